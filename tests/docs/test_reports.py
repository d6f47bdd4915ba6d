"""docs/operations.md explains each section of the owner's report, and each format."""

from __future__ import annotations

import re
from pathlib import Path

from reconcile.reports.formats import Format
from reconcile.reports.model import ReportFilter
from reconcile.reports.owner.overview import Overview
from tests.docs.documents import OPERATIONS, first_cells, section
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import NOON

TEXT = section(OPERATIONS.read_text(encoding="utf-8"), "Reports")


def test_each_format_has_a_row() -> None:
    assert first_cells(TEXT) >= {form.value for form in Format}


def test_each_section_has_a_row(tmp_path: Path) -> None:
    with new_audit(tmp_path) as log, log.reading() as connection:
        report = Overview(connection, ReportFilter(), generated_at=NOON)
        titles = [one.title for one in report.sections()]

    told = re.findall(r"^\| ([A-Z][^|]*?) \|", TEXT, re.MULTILINE)
    assert told == [*titles, "All verdicts"]
