"""The scheduler's own loop, really running, on days that are simulated: every minute of them."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from reconcile.jobs.registry import Job
from tests.fakes.schedule import MINUTE, NIGHTLY, OFTEN, settings, simulation, until

NOON = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/New_York", date(2026, 3, 8)),
        ("America/New_York", date(2026, 11, 1)),
        ("Europe/Berlin", date(2026, 3, 29)),
        ("Europe/Berlin", date(2026, 10, 25)),
    ],
)
@pytest.mark.parametrize("nightly", ["30 1 * * *", "30 2 * * *"])
def test_a_day_on_which_the_clocks_change(zone: str, day: date, nightly: str) -> None:
    start = datetime.combine(day, datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    given = settings(RECONCILE_TIMEZONE=zone, RECONCILE_SCHEDULE_DIGEST=nightly)

    with simulation(start, given) as simulated:
        simulated.live(start, end - MINUTE)

    often = simulated.recorder.times(OFTEN)
    # The one at midnight, the start itself, was fired when the scheduler began.
    assert len(often) == (end - start) / timedelta(minutes=5)
    assert {later - earlier for earlier, later in pairwise(often[1:])} == {timedelta(minutes=5)}
    assert len(simulated.recorder.times(NIGHTLY)) == 1
    assert simulated.scheduler.counts == {}


@pytest.mark.parametrize(
    "by", [timedelta(minutes=2), timedelta(minutes=20), timedelta(hours=1), timedelta(hours=10)]
)
def test_a_clock_set_back_stops_nothing_and_repeats_no_fixed_time(by: timedelta) -> None:
    """Half an hour, then the clock goes back, then half an hour: every five minutes makes 12 turns."""
    half_past = datetime(2026, 11, 24, 12, 20, tzinfo=UTC)
    given = settings(RECONCILE_SCHEDULE_DIGEST=f"{half_past:%M %H} * * *")
    with simulation(NOON, given) as simulated:
        simulated.live(NOON, NOON + 30 * MINUTE)
        now = NOON + 30 * MINUTE - by
        simulated.clock.move_to(now)
        simulated.scheduler.clock_set_back(by)
        simulated.live(now, now + 30 * MINUTE)

    assert len(simulated.recorder.times(OFTEN)) == 12
    assert len(simulated.recorder.times(NIGHTLY)) == 1


def test_a_fixed_time_that_comes_after_the_change_is_not_dropped() -> None:
    given = settings(RECONCILE_SCHEDULE_DIGEST="40 12 * * *")
    with simulation(NOON, given) as simulated:
        simulated.live(NOON, NOON + 30 * MINUTE)
        now = NOON + 10 * MINUTE
        simulated.clock.move_to(now)
        simulated.scheduler.clock_set_back(20 * MINUTE)
        simulated.live(now, now + 60 * MINUTE)

    assert len(simulated.recorder.times(NIGHTLY)) == 1


def test_a_clock_that_was_plainly_wrong_counts_no_more() -> None:
    """A day ahead, then corrected: tonight's run comes, though it has run at that time of tomorrow."""
    given = settings(RECONCILE_SCHEDULE_DIGEST="10 12 * * *")
    with simulation(NOON + timedelta(days=1), given) as simulated:
        simulated.move_to(NOON + timedelta(days=1, minutes=15))
        simulated.clock.move_to(NOON)
        simulated.scheduler.clock_set_back(timedelta(days=1, minutes=15))
        simulated.live(NOON, NOON + 15 * MINUTE)

    assert len(simulated.recorder.times(NIGHTLY)) == 2


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=9), timedelta(days=20_000)])
def test_a_clock_set_forward_or_a_long_sleep_is_made_up_for_by_one_run(by: timedelta) -> None:
    given = settings(RECONCILE_SCHEDULE_DIGEST="30 12 * * *")
    with simulation(NOON, given) as simulated:
        simulated.live(NOON, NOON + 10 * MINUTE)
        simulated.move_to(NOON + 10 * MINUTE + by)
        simulated.move_to(NOON + 11 * MINUTE + by)

    assert len(simulated.recorder.times(OFTEN)) == 3
    assert len(simulated.recorder.times(NIGHTLY)) == 1


def test_a_run_that_takes_longer_than_its_interval_is_not_doubled() -> None:
    busy = threading.Event()
    with simulation(NOON) as simulated:
        simulated.recorder.work = lambda _: busy.wait(20) and None
        simulated.clock.move_to(NOON + 5 * MINUTE)
        simulated.scheduler.look()
        until(lambda: simulated.submitted)
        for minutes in (10, 15):
            simulated.clock.move_to(NOON + minutes * MINUTE)
            simulated.scheduler.look()
            until(lambda n=minutes // 5 - 1: simulated.scheduler.counts["max_instances"] == n)
        busy.set()
        until(lambda: simulated.recorder.fired)
        # What was held back while it was busy is made up for at the next time, once.
        simulated.move_to(NOON + 20 * MINUTE)

    assert len(simulated.recorder.times(OFTEN)) == 2
    assert simulated.scheduler.counts == {"max_instances": 2}


def test_a_slow_job_does_not_hold_the_others_up() -> None:
    busy = threading.Event()
    given = settings(RECONCILE_SCHEDULE_DIGEST="1 12 * * *")
    with simulation(NOON, given) as simulated:
        simulated.recorder.work = lambda job: job.name == NIGHTLY and busy.wait(20) and None
        simulated.clock.move_to(NOON + 5 * MINUTE)
        simulated.scheduler.look()
        until(lambda: simulated.recorder.times(OFTEN))
        assert simulated.recorder.times(NIGHTLY) == []
        busy.set()
        until(lambda: simulated.recorder.times(NIGHTLY))


def test_what_slips_through_a_firing_is_counted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    def exit_(_: Job) -> None:
        raise SystemExit(3)

    with simulation(NOON) as simulated:
        simulated.recorder.work = exit_
        simulated.clock.move_to(NOON + 5 * MINUTE)
        simulated.scheduler.look()
        until(lambda: simulated.scheduler.counts["error"])

    assert simulated.scheduler.counts == Counter(error=1)
    assert "SystemExit(3)" in caplog.text
