"""Tables: nothing is wrapped, cut or taken for markup, and what was found is shown however a look ends."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from reconcile.cli.show import print_json_stream, print_rows

COLUMNS = {"action": 8, "id": 4, "course": 0}


def test_a_table_is_as_wide_as_it_must_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    long = "x" * 300

    print_rows([("enroll", long, "[red]a[/]\nb"), ("wait", "-", "")], COLUMNS)

    assert capsys.readouterr().out.splitlines() == [
        f"action    {'id':<300}  course",
        f"enroll    {long}  [red]a[/]\\nb",
        "wait      -",
    ]


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
def test_many_rows_have_one_header(capsys: pytest.CaptureFixture[str], count: int) -> None:
    print_rows((("enroll", f"{number}", "c") for number in range(count)), COLUMNS)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "action    id    course"
    assert [line.split()[1] for line in lines[1:]] == [f"{number}" for number in range(count)]


def test_no_rows_are_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], COLUMNS)

    assert capsys.readouterr().out == ""


def _broken() -> Iterator[tuple[str, str, str]]:
    yield "enroll", "1", "c"
    raise KeyboardInterrupt


def test_what_was_found_before_a_look_broke_off_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        print_rows(_broken(), COLUMNS, header=False)

    assert capsys.readouterr().out == "enroll    1     c\n"


def test_an_object_is_whole_also_where_a_look_broke_off(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        print_json_stream("rows", ({"id": row[1]} for row in _broken()), lambda: {"counts": 1})

    shown = json.loads(capsys.readouterr().out)
    assert shown == {"rows": [{"id": "1"}], "counts": 1, "error": "interrupted"}
