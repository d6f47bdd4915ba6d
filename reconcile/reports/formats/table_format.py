"""A table for people: Rich on a terminal, aligned plain text elsewhere.

Column widths are fixed beforehand and rows printed in chunks, so that a million of them need no
memory. A terminal gets as many columns as fit, the most telling ones; a file gets all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TextIO

from reconcile.base.redaction import escape_controls
from reconcile.reports.formats.cells import as_short_text
from reconcile.reports.model import Column, Row
from reconcile.reports.views import Report

_CHUNK = 200
_GAP = 2
_STYLES = {
    "enrolled": "green",
    "already_enrolled": "green",
    "recovered": "green",
    "retrying": "yellow",
    "waiting": "yellow",
    "failed": "bold red",
    "crashed": "bold red",
    "aborted": "red",
    "total": "bold",
}


def write(report: Report, out: TextIO) -> int:
    """Write the table; the number of rows."""
    return _write_rich(report, out) if out.isatty() else _write_plain(report, out)


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns that fit into `width`, in their order: by rank, and always the first one."""
    chosen: list[Column] = []
    used = -_GAP
    for column in sorted(columns, key=lambda column: column.rank):
        if not chosen or used + _GAP + column.width <= width:
            chosen.append(column)
            used += _GAP + column.width
    return [column for column in columns if column in chosen]


def _write_plain(report: Report, out: TextIO) -> int:
    """A cell that is too long pushes the rest of its line aside: better crooked than cut."""
    out.write(_line([column.name for column in report.columns], report.columns))
    count = 0
    for row in report.rows:
        out.write(_line(_texts(row, report.columns), report.columns))
        count += 1
    return count


def _line(texts: Iterable[str], columns: Sequence[Column]) -> str:
    padded = [
        text.rjust(column.width) if column.numeric else text.ljust(column.width)
        for text, column in zip(texts, columns, strict=True)
    ]
    return (" " * _GAP).join(padded).rstrip() + "\n"


def _texts(row: Row, columns: Iterable[Column]) -> Iterator[str]:
    # What an LMS or a document says must not move the cursor, nor make a second line.
    return (escape_controls(as_short_text(row[column.name])) for column in columns)


def _write_rich(report: Report, out: TextIO) -> int:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, highlight=False)
    columns = fitting(report.columns, console.width)
    count = 0
    chunk = list(islice(report.rows, _CHUNK))
    while chunk or not count:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_header=not count)
        for column in columns:
            table.add_column(
                column.name,
                width=column.width,
                overflow="fold",
                justify="right" if column.numeric else "left",
            )
        for row in chunk:
            # Text, not str: brackets in a cell are no markup.
            table.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in _texts(row, columns)))
        console.print(table)
        count += len(chunk)
        if not chunk:
            break
        chunk = list(islice(report.rows, _CHUNK))
    if hidden := [column.name for column in report.columns if column not in columns]:
        console.print(Text(f"not shown here: {', '.join(hidden)} (--format csv has all)", style="dim"))
    return count
