"""Counts in words."""

from __future__ import annotations

import pytest

from reconcile.story.words import counted, plural


def test_what_there_is_none_of_is_not_counted() -> None:
    assert counted({"enrolled": 12, "skipped": 0, "failed": 1}) == "12 enrolled, 1 failed"
    assert counted({"enrolled": 0}) == ""


@pytest.mark.parametrize(("count", "words"), [(0, "visits"), (1, "visit"), (2, "visits")])
def test_only_one_is_one(count: int, words: str) -> None:
    assert plural(count, "visit") == words
