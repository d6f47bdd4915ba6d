"""One HTML file that needs nothing else: no network, no script. The view `summary` is the owner's report.

Everything that is not ours is escaped by the templates; a content security policy forbids whatever an
escape might have missed. Rows are streamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, TextIO

from reconcile.reports.formats.charts import COLOURS
from reconcile.reports.formats.provenance import told
from reconcile.reports.model import Row
from reconcile.reports.views import Report

if TYPE_CHECKING:
    from jinja2 import Environment

_TITLES = {
    "summary": "Who paid and has no access",
    "attempts": "Attempts",
    "enrollments": "Enrollments",
    "runs": "Runs",
}


class _Counted:
    """Rows, and how many of them were read so far."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def write(report: Report, out: TextIO) -> int:
    """Write the page; the number of rows of the view."""
    environment = _environment()
    rows = _Counted(report.rows)
    facts = {
        "report": report,
        "title": _TITLES[report.view.value],
        "columns": report.columns,
        "rows": rows,
        "style": _style(),
        # Asked at the end of the page, when the rows were read.
        "provenance": lambda: told(report, rows.count),
    }
    name = "table.html"
    if report.overview is not None:
        name = "owner.html"
        facts |= {"now_is": report.overview.now_is(), "sections": report.overview.sections()}
    stream = environment.get_template(name).stream(facts)
    stream.enable_buffering(100)
    for piece in stream:
        out.write(piece)
    return rows.count


def _style() -> str:
    """The style sheet, with the colours that the charts use."""
    sheet = files("reconcile.reports.formats").joinpath("templates/style.css").read_text(encoding="utf-8")
    words = [
        f".word.{word}::before {{ background: {colour}; }}"
        for word, colour in COLOURS.items()
        if " " not in word
    ]
    return sheet + "\n".join(words)


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from reconcile.reports.formats import html_cells

    environment = Environment(
        loader=PackageLoader("reconcile.reports.formats"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(html_cells.FILTERS)
    return environment
