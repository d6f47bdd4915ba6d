"""The same rows in every format: complete, harmless, and the same twice."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile import __version__
from reconcile.base.errors import ConfigurationError
from reconcile.cli import report as command_line
from reconcile.reports import formats
from reconcile.reports.formats import FORMATS, LIBRARIES, Format, require, write_report
from reconcile.reports.formats.csv_format import harmless
from reconcile.reports.formats.table_format import fitting
from reconcile.reports.model import Cell, Column, Row, View
from reconcile.reports.views import COLUMNS, Report
from tests.fakes.audit_samples import NOON


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def row(view: View = View.ATTEMPTS, **cells: Cell) -> Row:
    blank: dict[str, Cell] = dict.fromkeys(column.name for column in COLUMNS[view])
    return blank | cells


TEXTS = [form for form in Format if not form.is_binary]


def report(*rows: Row, view: View = View.ATTEMPTS) -> Report:
    return Report(
        view=view,
        columns=COLUMNS[view],
        rows=iter(rows),
        filters={"course": "clinical-ai", "since": NOON},
        generated_at=NOON,
    )


def written(form: Format, *rows: Row, view: View = View.ATTEMPTS, out: io.StringIO | None = None) -> str:
    out = out or io.StringIO(newline="")
    assert write_report(report(*rows, view=view), form, out) == len(rows)
    return out.getvalue()


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


SAMPLE = row(
    attempt_id=7,
    enrollment_id="order-1",
    started_at=NOON,
    finished_at=NOON + timedelta(milliseconds=1500),
    duration_ms=1500,
    error='said "no",\r\nthen nothing: [red]ü[/red] \x1b[31m',
    flags=("a", "b"),
)


def test_every_format_has_its_writer() -> None:
    assert set(FORMATS) == set(Format)
    assert all(callable(import_module(module).write) for module in FORMATS.values())


def test_the_command_line_knows_every_format() -> None:
    assert list(command_line.FORMATS) == [form.value for form in Format]


@pytest.mark.parametrize("form", LIBRARIES)
def test_a_missing_library_is_told_with_the_extra(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)

    with pytest.raises(
        ConfigurationError, match=f"the format {form.value} needs .*the extra `report`"
    ) as told:
        require(form)

    assert "pip install 'frappe-reconcile[report]'" in told.value.hint


@pytest.mark.parametrize("form", [form for form in Format if form not in LIBRARIES])
def test_the_other_formats_need_no_extra(form: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)

    require(form)


@pytest.mark.parametrize("view", list(View))
@pytest.mark.parametrize("form", TEXTS)
def test_every_view_can_be_written_in_every_format(view: View, form: Format) -> None:
    text = written(form, row(view), row(view), view=view)

    assert text.endswith("\n")


@pytest.mark.parametrize("form", TEXTS)
def test_nothing_found_is_still_a_whole_report(form: Format) -> None:
    text = written(form)

    match form:
        case Format.JSON:
            assert json.loads(text)["rows"] == []
        case Format.JSONL:
            assert text == ""
        case _:
            assert "enrollment_id" in text


# --- json ----------------------------------------------------------------------------------


def test_json_is_one_object() -> None:
    parsed = json.loads(written(Format.JSON, SAMPLE, SAMPLE))

    assert list(parsed) == [
        "view", "generated_at", "version", "period", "filters", "emails", "rows", "row_count",
    ]  # fmt: skip
    assert parsed["version"] == __version__
    assert parsed["period"] == {"since": NOON.isoformat(), "until": NOON.isoformat()}
    assert parsed["emails"] == "masked"
    assert parsed["view"] == "attempts"
    assert parsed["generated_at"] == NOON.isoformat()
    assert parsed["filters"] == {"course": "clinical-ai", "since": NOON.isoformat()}
    assert parsed["row_count"] == len(parsed["rows"]) == 2
    assert list(parsed["rows"][0]) == [column.name for column in COLUMNS[View.ATTEMPTS]]
    assert parsed["rows"][0]["flags"] == ["a", "b"]


def test_json_lines_are_one_object_each() -> None:
    lines = written(Format.JSONL, SAMPLE, SAMPLE).splitlines()

    assert [json.loads(line)["attempt_id"] for line in lines] == [7, 7]
    assert json.loads(lines[0])["error"] == SAMPLE["error"]


def test_amounts_are_numbers_in_json() -> None:
    cells = row(View.ENROLLMENTS, amount=Decimal("199.5"), paid_to_access_seconds=1.5)

    parsed = json.loads(written(Format.JSONL, cells, view=View.ENROLLMENTS))

    assert (parsed["amount"], parsed["paid_to_access_seconds"]) == (199.5, 1.5)


# --- csv -----------------------------------------------------------------------------------


def test_csv_is_rfc_4180_with_a_header() -> None:
    text = written(Format.CSV, SAMPLE)

    header, _, rest = text.partition("\r\n")
    assert header == ",".join(column.name for column in COLUMNS[View.ATTEMPTS])
    assert rest.endswith("\r\n")
    (found,) = read_csv(text)
    assert found["error"] == SAMPLE["error"]
    assert found["duration_ms"] == "1500"
    assert found["started_at"] == NOON.isoformat()
    assert found["flags"] == "a b"
    assert found["reason"] == ""


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        "  =1",
        " \t=1",
        "\u00a0=1",
        "\u200b=1",
        "\ufeff=1",
        "\x00=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff201",
        "\u22121",
        " \uff1d1",
    ],
)
def test_formulas_are_made_harmless(text: str) -> None:
    assert harmless(text) == f"'{text}"
    assert harmless((text,)) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=b", "1-1", "s***@example.com", "clinical-ai", "'=1", "2026-11-24"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("number", "text"), [(-5, "-5"), (-1.5, "-1.5"), (Decimal("-0.1"), "-0.1"), (None, "")]
)
def test_numbers_stay_numbers(number: Cell, text: str) -> None:
    assert harmless(number) == text


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_no_cell_of_a_csv_begins_a_formula_and_nothing_is_lost(text: str) -> None:
    (found,) = read_csv(written(Format.CSV, row(error=text)))

    assert found["error"].removeprefix("'") == text.removeprefix("'")
    assert not found["error"].strip().startswith(("=", "+", "-", "@"))


# --- table ---------------------------------------------------------------------------------


def test_a_table_in_a_file_has_all_columns_in_plain_text() -> None:
    header, line = written(Format.TABLE, SAMPLE).splitlines()

    assert header.split() == [column.name for column in COLUMNS[View.ATTEMPTS]]
    assert line.index("2026-11-24 12:00:00Z") == header.index("started_at")
    assert "\x1b" not in line
    assert r"\r\n" in line


def test_a_table_on_a_terminal_shows_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    many = (row(enrollment_id=f"order-{n}", outcome="failed", error="[bold]no\x1b[2J") for n in range(450))

    text = written(Format.TABLE, *many, out=Terminal())

    assert text.count("started_at") == 1, "one header, whatever the number of chunks"
    assert "order-0" in text
    assert "order-449" in text
    assert "\x1b[2J" not in text
    assert "not shown here: run_id" in text


def test_a_terminal_of_any_width_gets_the_first_columns() -> None:
    columns = COLUMNS[View.ATTEMPTS]

    assert [column.name for column in fitting(columns, 10)] == ["enrollment_id"]
    assert {"enrollment_id", "outcome", "reason"} <= {column.name for column in fitting(columns, 80)}
    assert fitting(columns, 1000) == list(columns)


@given(st.integers(1, 300))
def test_chosen_columns_never_exceed_the_terminal(width: int) -> None:
    chosen = fitting([Column(name=str(n), width=n, rank=n % 3) for n in range(3, 30)], width)

    assert len(chosen) == 1 or sum(column.width for column in chosen) + 2 * (len(chosen) - 1) <= width


@pytest.mark.parametrize("form", TEXTS)
def test_rows_are_written_while_they_are_read(form: Format) -> None:
    out = io.StringIO()
    seen = []

    def rows() -> Iterator[Row]:
        for number in range(3):
            seen.append(len(out.getvalue()))
            yield row(attempt_id=number)

    streamed = Report(
        view=View.ATTEMPTS, columns=COLUMNS[View.ATTEMPTS], rows=rows(), filters={}, generated_at=NOON
    )
    write_report(streamed, form, out)

    assert seen == sorted(set(seen))
