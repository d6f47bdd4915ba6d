"""CSV (RFC 4180) that a spreadsheet may open: no cell of it is taken for a formula."""

from __future__ import annotations

import csv
import re
from datetime import datetime
from operator import itemgetter
from string import ascii_letters, digits
from typing import TextIO

from reconcile.reports.formats.cells import as_text
from reconcile.reports.model import Cell
from reconcile.reports.views import Report

# What a spreadsheet takes for a formula, also behind blanks and invisible characters and in full
# width; a leading tab or line end makes some of them look at what follows.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = re.compile(
    "[\\s\x00-\x20\x7f\u00ad\u200b-\u200f\u2060\ufeff]*[=+\\-@\uff1d\uff0b\uff0d\uff20\u2212]|[\t\r\n]"
)
#: What begins with these is no formula.
_PLAIN = frozenset(ascii_letters + digits)


def write(report: Report, out: TextIO) -> int:
    """Write header and rows; the number of rows. `out` must not translate line ends (`newline=""`)."""
    names = [column.name for column in report.columns]
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    cells_of = itemgetter(*names)
    count = 0
    for row in report.rows:
        # Most cells are no formula at a glance. Here, and not in a function: there are millions.
        writer.writerow(
            [
                cell
                if cell is None or (kind := type(cell)) is int or (kind is str and cell[:1] in _PLAIN)
                else harmless(cell)
                for cell in cells_of(row)
            ]
        )
        count += 1
    return count


def harmless(cell: Cell) -> str:
    """The cell's text, with an apostrophe before what would run as a formula; numbers stay numbers."""
    if isinstance(cell, datetime):
        return cell.isoformat()
    text = as_text(cell)
    # Most cells begin with a letter or a digit: no formula does, and no expression is needed to see it.
    if not text or text[0].isalnum() or not isinstance(cell, str | tuple):
        return text
    return f"'{text}" if _FORMULA.match(text) else text
