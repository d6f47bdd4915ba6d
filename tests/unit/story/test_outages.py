"""Outages: runs in a row that had to stop, and the longest time without a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconcile.story.outages import Outages

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
FIVE = timedelta(minutes=5)


def folded(story: str) -> Outages:
    """One letter for each run, five minutes apart; a blank is a run that did not come."""
    words = {
        "c": ("completed", None),
        "l": ("aborted", "lms_unavailable"),
        "m": ("aborted", "mongodb_unavailable"),
        "?": ("aborted", None),
        "i": ("interrupted", None),
        "x": ("crashed", None),
        "r": ("running", None),
    }
    outages = Outages()
    for place, letter in enumerate(story):
        if letter != " ":
            status, reason = words[letter]
            outages.add(status=status, reason=reason, started_at=NOON + place * FIVE)
    return outages


@pytest.mark.parametrize(
    ("story", "told"),
    [
        ("", []),
        ("ccc", []),
        ("cixrc", []),
        ("cllc", [("lms_unavailable", 1, 3, 2)]),
        ("clxilc", [("lms_unavailable", 1, 5, 2)]),
        ("clmmc", [("lms_unavailable", 1, 2, 1), ("mongodb_unavailable", 2, 4, 2)]),
        ("clclc", [("lms_unavailable", 1, 2, 1), ("lms_unavailable", 3, 4, 1)]),
        ("cl", [("lms_unavailable", 1, None, 1)]),
        ("lr", [("lms_unavailable", 0, None, 1)]),
        ("?c", [("unknown", 0, 1, 1)]),
    ],
)
def test_an_outage_lasts_until_a_run_goes_through(
    story: str, told: list[tuple[str, int, int | None, int]]
) -> None:
    found = [
        (
            outage.reason,
            (outage.start - NOON) // FIVE,
            (outage.end - NOON) // FIVE if outage.end else None,
            outage.runs,
        )
        for outage in folded(story).found
    ]
    assert found == told


@pytest.mark.parametrize(
    ("story", "silence"), [("", None), ("c", None), ("cc", (0, 1)), ("cc  cc c", (1, 4)), ("c  c  c", (0, 3))]
)
def test_the_longest_time_without_a_run_is_known(story: str, silence: tuple[int, int] | None) -> None:
    found = folded(story).longest_silence
    assert (found and tuple((instant - NOON) // FIVE for instant in found)) == silence
