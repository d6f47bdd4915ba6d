"""Text that means harm is text in HTML and in a workbook, and nothing of it is lost."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest
from openpyxl import load_workbook
from openpyxl.workbook import Workbook

from reconcile.audit.log import SqlAuditLog
from reconcile.base.redaction import escape_controls
from reconcile.reports.formats import Format, write_report, xlsx_format
from reconcile.reports.model import Cell, Row, View
from reconcile.reports.views import COLUMNS, Report, build_report
from tests.fakes.audit_samples import NOON
from tests.fakes.audit_story import HOSTILE, REPORTED, story

_ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "nav", "section", "h1",
    "h2", "p", "ul", "li", "a", "dl", "dt", "dd", "div", "span", "strong", "code", "data", "time", "figure",
    "figcaption", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td",
    "svg", "g", "defs", "rect", "path", "circle", "text", "line",
}  # fmt: skip


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [str(value) for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlAuditLog]:
    with story(tmp_path_factory.mktemp("story")) as log:
        yield log


def page(log: SqlAuditLog, view: View) -> tuple[str, _Page]:
    out = io.StringIO()
    with log.reading() as connection:
        write_report(build_report(connection, view, generated_at=REPORTED), Format.HTML, out)
    parsed = _Page()
    parsed.feed(out.getvalue())
    parsed.close()
    return out.getvalue(), parsed


def workbook(log: SqlAuditLog, view: View) -> Workbook:
    out = io.BytesIO()
    with log.reading() as connection:
        write_report(build_report(connection, view, generated_at=REPORTED), Format.XLSX, out)
    out.seek(0)
    return load_workbook(out)


def one_sheet(*rows: Row, view: View = View.ATTEMPTS) -> Workbook:
    blank: dict[str, Cell] = dict.fromkeys(column.name for column in COLUMNS[view])
    out = io.BytesIO()
    report = Report(
        view=view,
        columns=COLUMNS[view],
        rows=iter([blank | dict(row) for row in rows]),
        filters={"course": "clinical-ai"},
        generated_at=NOON,
    )
    assert write_report(report, Format.XLSX, out) == len(rows)
    out.seek(0)
    return load_workbook(out)


# --- html ----------------------------------------------------------------------------------


@pytest.mark.parametrize("view", list(View))
def test_a_page_is_made_of_our_elements_alone(log: SqlAuditLog, view: View) -> None:
    _, parsed = page(log, view)

    assert parsed.tags - _ALLOWED == set()
    assert not [name for name in parsed.attributes if name.startswith("on")]
    assert all(address.startswith("#") for address in parsed.addresses)


@pytest.mark.parametrize("view", [View.ATTEMPTS, View.ENROLLMENTS])
def test_a_page_shows_hostile_text_as_it_is(log: SqlAuditLog, view: View) -> None:
    _, parsed = page(log, view)

    for text in HOSTILE:
        assert escape_controls(text) in parsed.text


@pytest.mark.parametrize("view", list(View))
def test_a_page_forbids_what_an_escape_might_miss(log: SqlAuditLog, view: View) -> None:
    text, _ = page(log, view)

    assert "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'" in text
    assert "@import" not in text
    assert "url(" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("view", list(View))
def test_a_page_is_the_same_twice(log: SqlAuditLog, view: View) -> None:
    assert page(log, view)[0] == page(log, view)[0]


def test_drawing_leaves_the_imports_of_others_alone(log: SqlAuditLog) -> None:
    page(log, View.SUMMARY)

    assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("pygal")]
    with pytest.raises(ModuleNotFoundError):
        import_module("no_module_of_this_name")


# --- xlsx ----------------------------------------------------------------------------------


@pytest.mark.parametrize("view", list(View))
def test_no_cell_of_a_workbook_is_a_formula_or_a_link(log: SqlAuditLog, view: View) -> None:
    for sheet in workbook(log, view):
        for row in sheet.iter_rows():
            assert not [cell for cell in row if cell.data_type == "f" or cell.hyperlink], sheet.title


def test_text_stays_text(log: SqlAuditLog) -> None:
    sheet = workbook(log, View.ENROLLMENTS)["enrollments"]
    names = [cell.value for cell in sheet[1]]

    payments = [row[names.index("payment_id")] for row in sheet.iter_rows(min_row=2)]

    found = {cell.value for cell in payments}
    assert {escape_controls(text) for text in HOSTILE} <= found
    assert {cell.data_type for cell in payments} == {"s"}
    assert "00123" in found


def test_cells_have_their_types() -> None:
    half_past = datetime(2026, 11, 24, 13, 30, tzinfo=UTC).astimezone(tz=None)
    cells: Row = {
        "attempt_id": 7,
        "enrollment_id": "6563000000000000",
        "started_at": half_past,
        "finished_at": datetime(1600, 1, 1, tzinfo=UTC),
        "duration_ms": 1.5,
        "outcome": "failed",
        "number": True,
        "error": "a\x00b" + "x" * 40_000,
        "flags": ("a", "b"),
    }

    book = one_sheet(cells)

    sheet = book["attempts"]
    assert [cell.value for cell in sheet[1]][8:10] == ["started_at (UTC)", "finished_at (UTC)"]
    row = {head.value: cell.value for head, cell in zip(sheet[1], sheet[2], strict=True)}
    assert row["attempt_id"] == 7
    assert row["enrollment_id"] == "6563000000000000"
    assert row["started_at (UTC)"] == datetime(2026, 11, 24, 13, 30)  # noqa: DTZ001  Excel knows no zones
    assert row["finished_at (UTC)"] == "1600-01-01T00:00:00+00:00"
    assert row["duration_ms"] == 1.5
    assert row["number"] is True
    assert row["flags"] == "a b"
    assert row["reason"] is None
    assert row["error"].startswith("a\\x00bxx")
    assert row["error"].endswith("…")
    assert len(row["error"]) == 32_767


def test_a_sheet_can_be_worked_with() -> None:
    sheet = one_sheet({"attempt_id": 1}, {"attempt_id": 2})["attempts"]

    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:Q3"
    assert sheet.column_dimensions["D"].width > 28


def test_a_workbook_says_where_it_comes_from() -> None:
    told = {row[0].value: row[1].value for row in one_sheet({"attempt_id": 1})["provenance"].iter_rows()}

    assert told["report"] == "reconcile report --view attempts"
    assert told["period from"] == "the beginning of the audit"
    assert told["course"] == "clinical-ai"
    assert told["generated at"] == NOON.replace(tzinfo=None)
    assert told["e-mail addresses"] == "masked"
    assert told["row count"] == 1
    assert told["all times"] == "UTC"


def test_a_full_sheet_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_format, "ROWS", 4)

    book = one_sheet(*({"attempt_id": number} for number in range(8)))

    assert book.sheetnames == ["attempts", "attempts 2", "attempts 3", "provenance"]
    rows = [[cell.value for cell in sheet["B"]] for sheet in list(book)[:3]]
    assert rows == [["attempt_id", 0, 1, 2], ["attempt_id", 3, 4, 5], ["attempt_id", 6, 7]]
    assert [sheet.auto_filter.ref for sheet in list(book)[:3]] == ["A1:Q4", "A1:Q4", "A1:Q3"]


def test_the_owners_numbers_are_sheets_of_their_own(log: SqlAuditLog) -> None:
    book = workbook(log, View.SUMMARY)

    assert book.sheetnames[0] == "summary"
    assert {"causes_by_learners", "causes_by_money", "waiting", "duplicates", "leaks"} <= set(book.sheetnames)
    candidates = [row[6].value for row in book["duplicates"].iter_rows(min_row=2)]
    assert candidates == [False, True, True]


def test_a_report_that_fails_leaves_no_orders_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def rows() -> Iterator[Row]:
        yield dict.fromkeys(column.name for column in COLUMNS[View.ATTEMPTS])
        assert list(tmp_path.iterdir()), "the rows so far are on the disk"
        raise ZeroDivisionError

    report = Report(
        view=View.ATTEMPTS, columns=COLUMNS[View.ATTEMPTS], rows=rows(), filters={}, generated_at=NOON
    )
    out = io.BytesIO()

    with pytest.raises(ZeroDivisionError):
        write_report(report, Format.XLSX, out)

    assert out.getvalue() == b""
    assert list(tmp_path.iterdir()) == []


class _Pipe(io.RawIOBase):
    """Takes so many bytes, forwards only, and then says that the disk is full."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.got = b""

    def writable(self) -> bool:
        return True

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        if len(self.got) + len(piece) > self._room:
            raise OSError(28, "No space left on device")
        self.got += piece
        return len(piece)


def small() -> Report:
    blank: Row = dict.fromkeys(column.name for column in COLUMNS[View.RUNS])
    return Report(
        view=View.RUNS,
        columns=COLUMNS[View.RUNS],
        rows=iter([blank]),
        filters={},
        generated_at=NOON,
    )


def test_a_workbook_fits_through_a_pipe() -> None:
    pipe = _Pipe(1_000_000)

    write_report(small(), Format.XLSX, pipe)

    assert zipfile.ZipFile(io.BytesIO(pipe.got)).testzip() is None
    assert load_workbook(io.BytesIO(pipe.got)).sheetnames == ["runs", "provenance"]


def test_a_full_disk_is_told_as_what_it_is() -> None:
    with pytest.raises(OSError, match="No space left"):
        write_report(small(), Format.XLSX, _Pipe(100))
