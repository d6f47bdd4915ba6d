"""Schedules have crontab's meaning: weekdays, "or" of the day fields, clocks that change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcile.base.errors import ConfigurationError
from reconcile.jobs.crontab import CrontabTrigger, check, next_times

#: A Tuesday.
START = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


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
        ("@hourly", ["Tue 24 13:00", "Tue 24 14:00"]),
        ("@midnight", ["Wed 25 00:00"]),
        ("@monthly", ["Tue 01 00:00", "Fri 01 00:00"]),
        ("@yearly", ["Fri 01 00:00", "Sat 01 00:00"]),
        ("0 9 * * 5-7", ["Fri 27 09:00", "Sat 28 09:00", "Sun 29 09:00", "Fri 04 09:00"]),
        ("0 9 * * 0,6", ["Sat 28 09:00", "Sun 29 09:00", "Sat 05 09:00"]),
        ("0 9 * * MON,wed", ["Wed 25 09:00", "Mon 30 09:00"]),
        ("10-20/5 12 * * *", ["Tue 24 12:10", "Tue 24 12:15", "Tue 24 12:20", "Wed 25 12:10"]),
        ("1,31 8-9 * * *", ["Wed 25 08:01", "Wed 25 08:31", "Wed 25 09:01", "Wed 25 09:31"]),
        # a day field that begins with a star: "and"
        ("0 0 */2 * 1", ["Mon 07 00:00", "Mon 21 00:00"]),
        ("0 0 29 2 *", ["Tue 29 00:00"]),
    ],
)
def test_expressions_mean_what_crontab_says(expression: str, times: list[str]) -> None:
    found = next_times(expression, after=START, timezone="UTC", count=len(times))

    assert [time.strftime("%a %d %H:%M") for time in found] == times


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "x",
        "* * * *",
        "61 * * * *",
        "0 0 31 2 *",
        "* * * * * *",
        "0 9 * * 8",
        "5-1 * * * *",
        "@reboot",
        "@often",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "*/0 * * * *",
        "-5 * * * *",
        "0 0 * * mo",
    ],
)
def test_what_is_no_crontab_expression_is_refused_by_the_settings_name(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="RECONCILE_SCHEDULE"):
        check(expression, timezone="UTC", setting="RECONCILE_SCHEDULE")


def _day(trigger: CrontabTrigger, start: datetime, hours: int) -> list[datetime]:
    """The firings of so many hours, as the scheduler asks for them."""
    fired: list[datetime] = []
    now, end = start, start + timedelta(hours=hours)
    while (fire := trigger.get_next_fire_time(fired[-1] if fired else None, now)) < end:
        fired.append(fire)
        now = fire
    return fired


def test_a_clock_set_back_does_not_fire_again() -> None:
    trigger = CrontabTrigger("*/5 * * * *")
    fired = trigger.get_next_fire_time(None, START)

    again = trigger.get_next_fire_time(fired, START - timedelta(hours=1))

    assert again == fired + timedelta(minutes=5)


def test_jitter_only_delays_and_does_not_skip() -> None:
    fired = _day(CrontabTrigger("*/5 * * * *", jitter=20), START, 24)

    assert len(fired) == 288
    assert all(0 <= (time.minute % 5) * 60 + time.second <= 20 for time in fired)


# --- an independent opinion --------------------------------------------------------------------------


def _field(low: int, high: int, names: str = "") -> st.SearchStrategy[str]:
    """A field as people write it: a star, a value, a range, a list, steps, names."""
    values = st.integers(low, high).map(str)
    words = st.sampled_from(names.split()) if names else values
    # croniter takes a range of one value for a whole turn.
    pairs = st.lists(st.integers(low, high), min_size=2, max_size=2, unique=True).map(sorted)
    ranges = pairs.map(lambda pair: f"{pair[0]}-{pair[1]}")
    steps = st.tuples(st.one_of(st.just("*"), ranges), st.integers(1, 9)).map(
        lambda pair: f"{pair[0]}/{pair[1]}"
    )
    lists = st.lists(st.one_of(values, words, ranges), min_size=2, max_size=3).map(",".join)
    return st.one_of(st.just("*"), st.just("*"), values, words, ranges, steps, lists)


_EXPRESSIONS = st.tuples(
    _field(0, 59),
    _field(0, 23),
    _field(1, 28),
    _field(1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"),
    _field(0, 6, "sun mon tue wed thu fri sat"),
).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(_EXPRESSIONS, st.integers(0, 6 * 365 * 24 * 60))
def test_another_library_reads_expressions_the_same_way(expression: str, minutes: int) -> None:
    """croniter, told to join the day fields as cron does: by "and" where one begins with a star."""
    after = datetime(2024, 1, 1, tzinfo=UTC) + minutes * _MINUTE
    theirs = croniter(expression, after, ret_type=datetime, implement_cron_bug=True)

    ours = next_times(expression, after=after, timezone="UTC", count=3)

    assert ours == [theirs.get_next() for _ in range(3)]


# --- when the clocks change --------------------------------------------------------------------------

_CHANGES = [
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
]


def _day_by_hand(expression: str, zone: ZoneInfo, day: date) -> list[datetime]:
    """Each instant of a local day, minute by minute, by rules written down a second time.

    With a star in minute or hour: each real minute whose wall time fits. Without: each wall time that
    fits, once: at its first coming, or where it never comes right after the gap.
    """
    start = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), time(), tzinfo=zone).astimezone(UTC)
    minutes = [start + n * _MINUTE for n in range(int((end - start) / _MINUTE))]
    if any(field.startswith("*") for field in expression.split()[:2]):
        return [minute for minute in minutes if _fits(expression, minute.astimezone(zone))]
    found: dict[datetime, None] = {}
    for n in range(24 * 60):
        wall = datetime.combine(day, time()) + n * _MINUTE
        if _fits(expression, wall):
            by_wall = [minute for minute in minutes if minute.astimezone(zone).replace(tzinfo=None) >= wall]
            found[by_wall[0]] = None
    return list(found)


def _fits(expression: str, wall: datetime) -> bool:
    minute, hour = expression.split()[:2]
    return _one(minute, wall.minute) and _one(hour, wall.hour)


def _one(field: str, value: int) -> bool:
    if field.startswith("*"):
        return value % int(field[2:] or 1) == 0
    return value in {int(part) for part in field.split(",")}


@pytest.mark.parametrize(("zone", "day"), _CHANGES)
@pytest.mark.parametrize(
    "expression",
    [
        "*/5 * * * *",
        "0 * * * *",
        "*/30 2 * * *",
        "*/20 1 * * *",
        "30 1 * * *",
        "30 2 * * *",
        "0 3 * * *",
        "15,45 2 * * *",
        "0 1,2,3 * * *",
        "30 0,1,2 * * *",
    ],
)
def test_the_day_on_which_the_clocks_change(expression: str, zone: str, day: date) -> None:
    by_hand = _day_by_hand(expression, ZoneInfo(zone), day)
    start = datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)

    fired = _day(CrontabTrigger(expression, timezone=zone), start, _hours(zone, day))

    assert fired == by_hand


def _hours(zone: str, day: date) -> int:
    begin, end = (datetime.combine(day + timedelta(days=n), time(), ZoneInfo(zone)) for n in (0, 1))
    return round((end.astimezone(UTC) - begin.astimezone(UTC)) / timedelta(hours=1))


@pytest.mark.parametrize(("zone", "day"), _CHANGES)
def test_a_fixed_time_comes_once_a_day_and_the_rest_is_regular(zone: str, day: date) -> None:
    start = datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)
    hours = _hours(zone, day)
    assert hours in (23, 25)

    often = _day(CrontabTrigger("*/5 * * * *", timezone=zone), start, hours)
    nightly = [
        len(_day(CrontabTrigger(f"30 {hour} * * *", timezone=zone), start, hours)) for hour in range(24)
    ]

    assert len(often) == hours * 12
    assert {later - earlier for earlier, later in pairwise(often)} == {timedelta(minutes=5)}
    assert nightly == [1] * 24


def test_an_hour_that_comes_twice_has_no_next_time_in_the_past() -> None:
    """Late in such an hour: what has been is never computed again, which would never end."""
    trigger = CrontabTrigger("30 1 * * *", timezone="America/New_York")
    fired = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)  # 01:30 for the first time
    late = datetime(2026, 11, 1, 6, 10, tzinfo=UTC)  # 01:10 for the second time

    assert trigger.get_next_fire_time(None, late) == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)
    assert trigger.get_next_fire_time(fired, late) == datetime(2026, 11, 2, 6, 30, tzinfo=UTC)


@settings(max_examples=200, deadline=None)
@given(_EXPRESSIONS, st.integers(0, 40), st.sampled_from(_CHANGES))
def test_the_next_time_is_always_later(expression: str, quarters: int, change: tuple[str, date]) -> None:
    zone, day = change
    start = datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)
    after = start + quarters * timedelta(minutes=7, seconds=13)

    first, second = next_times(expression, after=after, timezone=zone, count=2)

    assert after < first < second
    assert next_times(expression, after=first, timezone=zone, count=1) == [second]


@pytest.mark.parametrize(
    ("expression", "follows"),
    [
        ("*/5 * * * *", True),
        ("0 * * * *", True),
        ("* 3 * * *", True),
        ("@hourly", True),
        ("30 3 * * *", False),
        ("0,30 1-5 * * *", False),
        ("@daily", False),
        ("0 7 * * 1-5", False),
    ],
)
def test_what_runs_every_so_often_and_what_at_a_fixed_time(expression: str, follows: bool) -> None:
    assert CrontabTrigger(expression).follows_the_wall is follows
