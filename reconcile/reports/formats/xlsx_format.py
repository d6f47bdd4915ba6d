"""A workbook for Excel and its kin: typed cells, real dates (UTC), filters; no cell is ever a formula.

Every cell is written by the method of its type: text stays text, whatever it begins with, and so do ids
that look like numbers. Rows are streamed; a sheet that is full is followed by another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Any

from reconcile.base.redaction import escape_controls
from reconcile.reports.formats.cells import as_text, is_instant
from reconcile.reports.formats.provenance import told
from reconcile.reports.model import Cell, Column, Row
from reconcile.reports.views import Report

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

#: Excel's own limits.
ROWS = 1_048_576
_LETTERS = 32_767
_WIDEST = 60
_OPTIONS: Mapping[str, Any] = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "remove_timezone": True,
}


def write(report: Report, out: IO[bytes]) -> int:
    """Write the workbook; the number of rows. Nothing reaches `out` before the last row was read.

    Until then the rows are in a private temporary folder, which is gone afterwards, whatever happens.
    """
    from xlsxwriter import Workbook
    from xlsxwriter.exceptions import FileCreateError

    sink = _Sink(out)
    with TemporaryDirectory(prefix="reconcile-report-") as folder:
        workbook = Workbook(sink, {**_OPTIONS, "tmpdir": folder})
        try:
            count = _fill(workbook, report)
        except BaseException:
            # Its files must be closed, and only this closes them.
            sink.broken = True
            with suppress(FileCreateError):
                workbook.close()
            raise
        try:
            workbook.close()
        except FileCreateError as error:
            sink.broken = True
            # xlsxwriter wraps what the disk said.
            raise next((cause for cause in error.args if isinstance(cause, OSError)), error) from error
    return count


def _fill(workbook: Workbook, report: Report) -> int:
    workbook.use_zip64()
    workbook.set_properties(
        {
            "title": f"reconcile report: {report.view.value}",
            "comments": f"reconcile {report.version}",
            "created": report.generated_at.astimezone(UTC).replace(tzinfo=None),
        }
    )
    sections = report.overview.sections() if report.overview is not None else []
    sheets = _Sheets(workbook)
    count = sheets.add(report.view.value, report.columns, report.rows)
    for section in sections:
        for table in section.tables:
            sheets.add(table.name, table.columns, table.rows)
    sheets.add_pairs("provenance", [*told(report, count), ("all times", "UTC")])
    return count


class _Sink:
    """A stream that says once that it is broken, and then takes everything and keeps nothing.

    A zip file that is thrown away half-written tries to write its end, and would complain again.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.broken = False

    def write(self, piece: bytes) -> int:
        """Pass it on."""
        if self.broken:
            return len(piece)
        try:
            return self._out.write(piece)
        except BaseException:
            self.broken = True
            raise

    def flush(self) -> None:
        """Pass it on."""
        if not self.broken:
            self._out.flush()

    def seekable(self) -> bool:
        """What cannot be sought in is written in one go."""
        return self._out.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Pass it on."""
        return offset if self.broken else self._out.seek(offset, whence)

    def tell(self) -> int:
        """Pass it on."""
        return 0 if self.broken else self._out.tell()


class _Sheets:
    """Adds sheets to a workbook."""

    def __init__(self, workbook: Workbook) -> None:
        self._workbook = workbook
        self._bold = workbook.add_format({"bold": True, "bg_color": "#E8ECEF", "border": 1})
        self._instant = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss", "align": "left"})
        self._day = workbook.add_format({"num_format": "yyyy-mm-dd", "align": "left"})
        self._amount = workbook.add_format({"num_format": "#,##0.00##"})

    def add(self, name: str, columns: Sequence[Column], rows: Iterable[Row]) -> int:
        """A sheet with a header, or several where there are more rows than fit; the number of rows."""
        names = [column.name for column in columns]
        sheet, place, number, count = self._begin(name, columns), 0, 1, 0
        for row in rows:
            if place + 1 >= ROWS:
                self._end(sheet, place, columns)
                number, place = number + 1, 0
                sheet = self._begin(f"{name} {number}", columns)
            place += 1
            count += 1
            for at, column in enumerate(names):
                self._write(sheet, place, at, column, row[column])
        self._end(sheet, place, columns)
        return count

    def add_pairs(self, name: str, pairs: Iterable[tuple[str, Cell]]) -> None:
        """A sheet of labels and values."""
        sheet = self._workbook.add_worksheet(name)
        sheet.set_column(0, 0, 20)
        sheet.set_column(1, 1, _WIDEST)
        for place, (label, cell) in enumerate(pairs):
            sheet.write_string(place, 0, label, self._bold)
            self._write(sheet, place, 1, label, cell)

    def _begin(self, name: str, columns: Sequence[Column]) -> Worksheet:
        sheet = self._workbook.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        for at, column in enumerate(columns):
            title = heading(column.name)
            sheet.set_column(at, at, min(max(column.width, len(title)) + 3, _WIDEST))
            sheet.write_string(0, at, title, self._bold)
        return sheet

    def _end(self, sheet: Worksheet, last: int, columns: Sequence[Column]) -> None:
        sheet.autofilter(0, 0, last, len(columns) - 1)

    def _write(self, sheet: Worksheet, row: int, at: int, name: str, cell: Cell) -> None:
        match cell:
            case None | () | "":
                pass
            case bool():
                sheet.write_boolean(row, at, cell)
            case datetime() if cell.year > 1900:  # Excel's own beginning
                sheet.write_datetime(
                    row, at, cell.astimezone(UTC), self._day if name == "day" else self._instant
                )
            case int() | float() | Decimal():
                form = self._amount if name.startswith("amount") else None
                sheet.write_number(row, at, cell, form)
            case _:
                sheet.write_string(row, at, _text(as_text(cell)))


def heading(name: str) -> str:
    """The column's name; instants are said to be in UTC."""
    return f"{name} (UTC)" if is_instant(name) else name


def _text(text: str) -> str:
    text = escape_controls(text)
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
