"""Schedules have crontab's meaning: weekdays, "or" of the day fields, clocks that change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from jobs.crontab import CrontabTrigger, check, next_times
from reconcile.errors import ConfigurationError

#: A Tuesday.
START = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("*/5 * * * *", ["Tue 24 12:05", "Tue 24 12:10", "Tue 24 12:15"]),
        ("*/7 * * * *", ["Tue 24 12:07", "Tue 24 12:14", "Tue 24 12:21"]),
        ("0 9 * * 1", ["Mon 30 09:00", "Mon 07 09:00", "Mon 14 09:00"]),
        ("0 9 * * 0", ["Sun 29 09:00", "Sun 06 09:00", "Sun 13 09:00"]),
        ("0 9 * * 7", ["Sun 29 09:00", "Sun 06 09:00", "Sun 13 09:00"]),
        ("0 9 * * sun", ["Sun 29 09:00", "Sun 06 09:00", "Sun 13 09:00"]),
        ("0 9 * * 1-5", ["Wed 25 09:00", "Thu 26 09:00", "Fri 27 09:00"]),
        ("0 9 * * mon-fri", ["Wed 25 09:00", "Thu 26 09:00", "Fri 27 09:00"]),
        # two restricted day fields mean "or"
        ("0 0 13 * 5", ["Fri 27 00:00", "Fri 04 00:00", "Fri 11 00:00", "Sun 13 00:00"]),
        ("30 3 1,15 * *", ["Tue 01 03:30", "Tue 15 03:30"]),
        ("0 */6 * * *", ["Tue 24 18:00", "Wed 25 00:00"]),
        ("0 0 * jan *", ["Fri 01 00:00", "Sat 02 00:00"]),
        ("@daily", ["Wed 25 00:00", "Thu 26 00:00"]),
        ("@weekly", ["Sun 29 00:00", "Sun 06 00:00"]),
    ],
)
def test_expressions_mean_what_crontab_says(expression: str, times: list[str]) -> None:
    found = next_times(expression, after=START, timezone="UTC", count=len(times))

    assert [time.strftime("%a %d %H:%M") for time in found] == times


@pytest.mark.parametrize(
    "expression", ["", "x", "* * * *", "61 * * * *", "0 0 31 2 *", "* * * * * *", "0 9 * * 8", "5-1 * * * *"]
)
def test_what_is_no_crontab_expression_is_refused_by_the_settings_name(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="RECONCILE_SCHEDULE"):
        check(expression, timezone="UTC", setting="RECONCILE_SCHEDULE")


def _day(trigger: CrontabTrigger, start: datetime, hours: int) -> list[datetime]:
    """The firings of so many hours, as the scheduler asks for them."""
    fired: list[datetime] = []
    now = start
    while (fire := trigger.get_next_fire_time(fired[-1] if fired else None, now)) < start + timedelta(
        hours=hours
    ):
        fired.append(fire)
        now = fire
    return fired


@pytest.mark.parametrize("day", [datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)])
def test_daylight_saving_neither_doubles_nor_drops_a_run(day: datetime) -> None:
    often = _day(CrontabTrigger("*/5 * * * *", timezone="America/New_York"), day, 24)
    nightly = _day(CrontabTrigger("30 1 * * *", timezone="America/New_York"), day, 24)
    skipped = _day(CrontabTrigger("30 2 * * *", timezone="America/New_York"), day, 24)

    assert len(often) == 288
    assert {later - earlier for earlier, later in pairwise(often)} == {timedelta(minutes=5)}
    assert len(nightly) == 1
    assert len(skipped) == 1


def test_a_clock_set_back_does_not_fire_again() -> None:
    trigger = CrontabTrigger("*/5 * * * *")
    fired = trigger.get_next_fire_time(None, START)

    again = trigger.get_next_fire_time(fired, START - timedelta(hours=1))

    assert again == fired + timedelta(minutes=5)


def test_jitter_only_delays_and_does_not_skip() -> None:
    fired = _day(CrontabTrigger("*/5 * * * *", jitter=20), START, 24)

    assert len(fired) == 288
    assert all(0 <= (time.minute % 5) * 60 + time.second <= 20 for time in fired)
