"""Every view in every text format, at two widths, against what it looked like when somebody last looked.

The files are in `snapshots/`. After a change that is meant:

    RECONCILE_TEST_SNAPSHOTS=update .venv/bin/python -m pytest tests/unit/reports/test_reports_snapshots.py

then look at `git diff` before you commit.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcile.audit.log import SqlAuditLog
from reconcile.reports.formats import Format, write_report
from reconcile.reports.model import View
from reconcile.reports.views import build_report
from tests.fakes.audit_story import REPORTED, story

FOLDER = Path(__file__).with_name("snapshots")
UPDATE = os.environ.get("RECONCILE_TEST_SNAPSHOTS") == "update"
WIDTHS = (80, 140)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
#: Charts are pygal's, their numbers and words stand beside them; the style is looked at in the browser.
_LOOKS = re.compile(r"<(svg|style)\b.*?</\1>", re.DOTALL)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlAuditLog]:
    with story(tmp_path_factory.mktemp("story")) as log:
        yield log


def written(log: SqlAuditLog, view: View, form: Format, out: io.StringIO) -> str:
    with log.reading() as connection:
        report = build_report(connection, view, generated_at=REPORTED)
        object.__setattr__(report, "version", "0.0.0")
        write_report(report, form, out)
    return out.getvalue()


def compare(name: str, text: str) -> None:
    path = FOLDER / name
    if UPDATE:
        path.write_bytes(text.encode("utf-8"))
    assert path.exists(), f"there is no {path.name} yet; the docstring above tells how to make it"
    assert text == path.read_bytes().decode("utf-8"), f"{path.name} looks different now"


@pytest.mark.parametrize("view", list(View))
@pytest.mark.parametrize("width", WIDTHS)
def test_tables_on_a_terminal(
    log: SqlAuditLog, view: View, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")

    text = _ANSI.sub("", written(log, view, Format.TABLE, _Terminal()))

    assert max(len(line) for line in text.splitlines() if not line.startswith("not shown")) <= width
    compare(f"{view.value}.table.{width}.txt", text)


@pytest.mark.parametrize("view", list(View))
@pytest.mark.parametrize("form", [form for form in Format if not form.is_binary])
def test_exports_do_not_depend_on_the_terminal(
    log: SqlAuditLog, view: View, form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = []
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        texts.append(written(log, view, form, io.StringIO(newline="")))

    assert texts[0] == texts[1]
    compare(f"{view.value}.{form.value}", _LOOKS.sub(r"<\1/>", texts[0]))
