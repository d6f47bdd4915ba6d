"""Silence, and scans that find nothing any more: what is missing, and since when that is suspicious."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from reconcile.alerts.causes import Emptiness, RunEnd, Situation, find_causes, usual_interval
from reconcile.alerts.decision import DAY, Kind
from reconcile.run.summary import RunStatus

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR, RUN = timedelta(hours=1), timedelta(minutes=5)
GOOD = RunEnd(status=RunStatus.COMPLETED, scanned=3)
DOWN = RunEnd(status=RunStatus.ABORTED, reason="lms_unavailable")
STOPPED = RunEnd(status=RunStatus.INTERRUPTED)


def keys(situation: Situation) -> set[str]:
    return set(find_causes(situation).causes)


# --- silence -------------------------------------------------------------------------------


def every(gap: timedelta, count: int = 10, *, last: datetime = NOON) -> list[datetime]:
    return [last - number * gap for number in range(count)]


@pytest.mark.parametrize(
    ("successes", "usual"),
    [
        ([], None),
        (every(RUN, 2), None),
        (every(RUN), RUN),
        (every(HOUR), HOUR),
        (every(timedelta(seconds=3)), RUN),  # by hand
        ([*every(RUN, 6), NOON - 9 * DAY], RUN),  # one long pause is no habit
    ],
)
def test_the_usual_interval(successes: list[datetime], usual: timedelta | None) -> None:
    assert usual_interval(successes) == usual


@pytest.mark.parametrize(
    ("run", "gap", "since", "silent"),
    [
        (None, RUN, 3 * RUN, True),
        (None, RUN, 3 * RUN - timedelta(seconds=1), False),
        (None, HOUR, 2 * HOUR, False),
        (None, HOUR, 3 * HOUR, True),
        (STOPPED, RUN, HOUR, True),
        (GOOD, RUN, HOUR, False),
        (DOWN, RUN, HOUR, False),  # speaks for itself
    ],
)
def test_silence(run: RunEnd | None, gap: timedelta, since: timedelta, silent: bool) -> None:
    situation = Situation(at=NOON, run=run, successes=every(gap, last=NOON - since))

    assert ("silence" in keys(situation)) is silent
    assert (Kind.SILENCE in find_causes(situation).judged) is (not silent and run is not DOWN)


def test_without_a_history_there_is_no_silence() -> None:
    assert keys(Situation(at=NOON, successes=[])) == set()


# --- scans that find nothing ---------------------------------------------------------------

NOTHING = RunEnd(status=RunStatus.COMPLETED, scanned=0)


def finds(gap: timedelta, ago: timedelta, count: int = 10) -> list[datetime]:
    return every(gap, count, last=NOON - ago)[::-1]


@pytest.mark.parametrize(
    ("found_at", "newest", "suspicious"),
    [
        (finds(HOUR, 2 * DAY), NOON - 3 * DAY, True),
        (finds(HOUR, 2 * DAY), None, True),  # no paid order at all
        (finds(HOUR, 2 * DAY), NOON - DAY, False),  # sold since, and synced without us
        (finds(HOUR, DAY), None, False),  # not for long
        (finds(DAY, 3 * DAY), None, False),  # that has happened before
        (finds(DAY, 3 * DAY + RUN), None, True),
        (finds(HOUR, 2 * DAY, 4), None, False),  # never used to find much
        ([], None, False),
    ],
)
def test_scans_that_find_nothing(
    found_at: Sequence[datetime], newest: datetime | None, suspicious: bool
) -> None:
    emptiness = Emptiness(found_at=found_at, newest_paid_at=newest)

    found = find_causes(Situation(at=NOON, run=NOTHING, emptiness=emptiness))

    assert ("scan_empty" in found.causes) is suspicious
    assert Kind.SCAN_EMPTY in found.judged


def test_an_empty_scan_of_a_part_or_without_a_look_at_the_sales_says_nothing() -> None:
    part = RunEnd(status=RunStatus.COMPLETED, whole=False)
    emptiness = Emptiness(found_at=finds(HOUR, 2 * DAY))

    assert Kind.SCAN_EMPTY not in find_causes(Situation(at=NOON, run=part, emptiness=emptiness)).judged
    assert Kind.SCAN_EMPTY not in find_causes(Situation(at=NOON, run=NOTHING)).judged
