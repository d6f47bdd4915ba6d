"""docs/architecture.md shows the house that stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.documents import CONTRIBUTING, ROOT
from tests.docs.house import ARCHITECTURE, arrows, drawn, files_of, floors, rooms


def test_the_drawing_is_of_this_code() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")

    assert text == drawn(text), "draw it anew: python -m tests.docs.house"


def test_every_room_is_drawn_and_has_a_door() -> None:
    homes = {path.parent.name for path in (ROOT / "reconcile").glob("*/__init__.py")} - {"migrations"}

    assert set(rooms()) == homes
    assert all(files_of(room)[0].name == "__init__.py" for room in rooms())


def test_arrows_go_down() -> None:
    """Once more than import-linter does, so that the drawing cannot be read wrongly."""
    above: set[str] = set()
    found = arrows()
    for floor in floors():
        above |= set(floor)
        assert all(not found[room] & above for room in floor)
    assert found["sandbox"] == set()


@pytest.mark.parametrize("path", [ARCHITECTURE, CONTRIBUTING], ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"`((?:reconcile|jobs|migrations|tests|docs|benchmarks)/[\w./*-]+)`", text)

    assert named
    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []
