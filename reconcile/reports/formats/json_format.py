"""One JSON object, written while the rows are read: what was asked for, the rows, and their number."""

from __future__ import annotations

from typing import TextIO

from reconcile.reports.formats.cells import as_json
from reconcile.reports.formats.provenance import provenance
from reconcile.reports.model import Section
from reconcile.reports.views import Report


def write(report: Report, out: TextIO) -> int:
    """Write the object; the number of rows. The number comes last: before the rows nobody knows it."""
    sections = report.overview.sections() if report.overview is not None else []
    out.write(as_json(provenance(report))[:-1] + ', "rows": [')
    count = 0
    for row in report.rows:
        out.write((",\n" if count else "\n") + as_json(row))
        count += 1
    out.write("\n]")
    if sections:
        named = {section.name: _section(section) for section in sections}
        out.write(f',\n"sections": {as_json(named)}')
    out.write(f', "row_count": {count}}}\n')
    return count


def _section(section: Section) -> dict[str, object]:
    """What the owner's report says under one heading: sentences, figures by name, tables by name."""
    return {
        "title": section.title,
        "words": list(section.words),
        "figures": {figure.name: figure.value for figure in section.figures},
        "tables": {table.name: list(table.rows) for table in section.tables},
    }
