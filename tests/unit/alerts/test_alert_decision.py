"""When to speak: tables for each turn of a cause's story, and properties over whole days of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.alerts.decision import (
    DAY,
    FIRST_CALM,
    TENFOLD,
    AlertState,
    Cause,
    Findings,
    Kind,
    News,
    calm,
    decide_alerts,
)

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RUN = timedelta(minutes=5)
KEY = "course_unpublished:old"


def findings(count: int = 0, *, judged: bool = True) -> Findings:
    cause = Cause(kind=Kind.COURSE_UNPUBLISHED, subject="old", count=count)
    return Findings(
        causes={KEY: cause} if count else {},
        judged=frozenset({Kind.COURSE_UNPUBLISHED}) if judged else frozenset(),
    )


def told(ago: timedelta = RUN, *, count: int = 5, **changes: object) -> AlertState:
    state = AlertState(first_seen_at=NOON - ago, told_at=NOON - ago, told_count=count)
    return AlertState(**vars(state) | changes)  # type: ignore[arg-type]


def cleared(ago: timedelta, **changes: object) -> AlertState:
    return told(2 * DAY, cleared_at=NOON - ago, **changes)


@pytest.mark.parametrize(
    ("before", "count", "news"),
    [
        (None, 412, News.RAISED),
        (AlertState(first_seen_at=NOON - DAY), 412, News.RAISED),  # could not be sent then
        (told(count=5), 5, None),
        (told(count=5), 49, None),
        (told(count=5), 50, News.GROWN),
        (told(count=0), 10, News.GROWN),
        (told(DAY - RUN), 5, None),
        (told(DAY), 5, News.REMINDER),
        (told(DAY), 1, News.REMINDER),
        (told(-RUN), 5, None),  # the clock was set back
        (cleared(RUN), 1, News.AGAIN),
        (cleared(DAY), 1, News.RAISED),
        (None, 0, None),
        (told(), 0, News.CLEARED),
        (told(relapses=1), 0, None),
        (told(relapses=1, gone_since=NOON - FIRST_CALM), 0, News.CLEARED),
        (AlertState(first_seen_at=NOON - RUN), 0, None),
        (cleared(RUN), 0, None),
    ],
)
def test_what_is_told(before: AlertState | None, count: int, news: News | None) -> None:
    memory = {KEY: before} if before is not None else {}

    steps = decide_alerts(findings(count), memory, NOON)

    assert [step.news for step in steps if step.news] == ([news] if news else [])


@pytest.mark.parametrize(
    ("before", "count", "after"),
    [
        (None, 7, AlertState(first_seen_at=NOON, told_at=NOON, told_count=7)),
        # Since when it lasts is kept, also where the first message could not be sent.
        (
            AlertState(first_seen_at=NOON - DAY),
            7,
            AlertState(first_seen_at=NOON - DAY, told_at=NOON, told_count=7),
        ),
        (told(DAY), 7, told(DAY, told_at=NOON, told_count=7)),
        (told(relapses=1), 0, told(relapses=1, gone_since=NOON)),
        (told(relapses=1, gone_since=NOON - RUN), 5, told(relapses=1)),
        (cleared(RUN, relapses=2), 7, AlertState(first_seen_at=NOON, told_at=NOON, told_count=7, relapses=3)),
        (cleared(DAY, relapses=2), 7, AlertState(first_seen_at=NOON, told_at=NOON, told_count=7)),
        (told(), 0, told(cleared_at=NOON)),
        (cleared(DAY), 0, None),
        (AlertState(first_seen_at=NOON), 0, None),
    ],
)
def test_what_is_remembered(before: AlertState | None, count: int, after: AlertState | None) -> None:
    (step,) = decide_alerts(findings(count), {KEY: before} if before is not None else {}, NOON)

    assert step.after == after


@pytest.mark.parametrize("before", [told(), told(DAY), cleared(DAY), AlertState(first_seen_at=NOON)])
def test_nothing_is_concluded_where_nobody_could_look(before: AlertState) -> None:
    assert decide_alerts(findings(0, judged=False), {KEY: before}, NOON) == []


def test_a_cause_of_a_later_version_is_left_alone() -> None:
    assert decide_alerts(findings(0), {"unheard_of:thing": told(DAY)}, NOON) == []


def test_each_cause_has_its_own_story() -> None:
    causes = [Cause(kind=Kind.COURSE_MISSING, subject=name, count=3) for name in ("a", "b")]
    now = Findings(
        causes={cause.key: cause for cause in causes}, judged=frozenset({Kind.COURSE_MISSING, Kind.FAILED})
    )

    steps = decide_alerts(now, {"course_missing:b": told(), "failed:malformed": told()}, NOON)

    assert [(step.key, step.news) for step in steps] == [
        ("course_missing:a", News.RAISED),
        ("failed:malformed", News.CLEARED),
    ]


def test_a_cause_that_comes_back_must_stay_away_longer_each_time() -> None:
    assert [calm(times) // timedelta(minutes=1) for times in range(6)] == [0, 10, 20, 40, 80, 160]
    assert calm(1000) == DAY


# --- whole stories -------------------------------------------------------------------------


def story(counts: Sequence[int | None], *, every: timedelta = RUN) -> list[tuple[datetime, News, int]]:
    """What is told while the count goes so from run to run (None: nobody could look); all of it is sent."""
    memory: dict[str, AlertState] = {}
    now, said = NOON, []
    for count in counts:
        for step in decide_alerts(findings(count or 0, judged=count is not None), memory, now):
            if step.news is not None:
                said.append((now, step.news, count or 0))
            if step.after is None:
                memory.pop(step.key)
            else:
                memory[step.key] = step.after
        now += every
    return said


def words(counts: Sequence[int | None]) -> list[News]:
    return [news for _, news, _ in story(counts)]


def test_a_trouble_of_two_days_is_told_three_times_and_cleared_once() -> None:
    two_days = [3] * (2 * 288 + 1) + [0] * 300

    assert words(two_days) == [News.RAISED, News.REMINDER, News.REMINDER, News.CLEARED]


def test_growth_tenfold_is_told_at_once() -> None:
    assert words([3, 4, 29, 30, 31, 299, 300, 0]) == [News.RAISED, News.GROWN, News.GROWN, News.CLEARED]


def test_gone_for_one_run_and_back_all_day_is_told_a_few_times() -> None:
    flapping = [5, 0] * 144

    assert words(flapping) == [News.RAISED, News.CLEARED, News.AGAIN]


COUNTS = st.lists(st.none() | st.sampled_from([0, 0, 1, 2, 9, 10, 150]), min_size=1, max_size=600)


@given(COUNTS)
def test_never_twice_within_a_day_unless_tenfold_or_after_an_all_clear(counts: list[int | None]) -> None:
    last: tuple[datetime, int] | None = None
    for at, news, count in story(counts):
        if news is News.CLEARED:
            last = None
            continue
        if last is not None:
            assert at - last[0] >= DAY or count >= TENFOLD * last[1]
        last = (at, count)


@given(COUNTS)
def test_each_alert_has_one_all_clear_at_most_and_none_comes_unasked(counts: list[int | None]) -> None:
    is_open = False
    for _, news, _ in story(counts):
        assert is_open == (news in (News.CLEARED, News.GROWN, News.REMINDER))
        is_open = news is not News.CLEARED


@given(COUNTS)
def test_in_the_end_the_all_clear_comes(counts: list[int | None]) -> None:
    # However much it flapped: two days without it are enough.
    said = words([*counts, *([0] * 2 * 288)])

    assert not said or said[-1] is News.CLEARED


@given(st.lists(st.sampled_from([0, 1]), min_size=288, max_size=288))
def test_whatever_flaps_is_told_nine_times_a_day_at_most(counts: list[int]) -> None:
    said = words(counts)

    assert sum(news is not News.CLEARED for news in said) <= 9
    assert sum(news is News.CLEARED for news in said) <= 9


def test_the_worst_flapping_is_within_that_bound() -> None:
    """Somebody who knows the rule: away exactly until the all-clear, then back."""
    memory: dict[str, AlertState] = {}
    said: list[News] = []
    count = 1
    for number in range(288):
        for step in decide_alerts(findings(count), memory, NOON + number * RUN):
            memory[step.key] = step.after  # type: ignore[assignment]
            if step.news is not None:
                said.append(step.news)
        told = memory[KEY].told_at is not None and memory[KEY].cleared_at is None
        count = 0 if told else 1

    assert 10 <= len(said) <= 18


STATES = st.builds(
    AlertState,
    first_seen_at=st.just(NOON - DAY),
    told_at=st.none() | st.sampled_from([NOON - DAY, NOON - RUN, NOON + RUN]),
    told_count=st.integers(0, 1000),
    gone_since=st.none() | st.just(NOON - RUN),
    cleared_at=st.none() | st.sampled_from([NOON - 2 * DAY, NOON - RUN]),
    relapses=st.integers(0, 100),
)
KEYS = st.sampled_from(["course_missing:a", "course_missing:b", "aborted:blind", "drift", "other"])


@given(
    memory=st.dictionaries(KEYS, STATES),
    there=st.sets(st.sampled_from(["a", "b"])),
    judged=st.frozensets(st.sampled_from(list(Kind))),
)
def test_deciding_is_total_deterministic_and_does_nothing_idle(
    memory: Mapping[str, AlertState], there: set[str], judged: frozenset[Kind]
) -> None:
    causes = [Cause(kind=Kind.COURSE_MISSING, subject=name) for name in there]
    now = Findings(causes={cause.key: cause for cause in causes}, judged=judged)

    steps = decide_alerts(now, memory, NOON)

    assert steps == decide_alerts(now, dict(reversed(memory.items())), NOON)
    assert all(step.news is not None or step.after != step.before for step in steps)
    assert all(step.after is not None for step in steps if step.news is not None)
    assert all(step.before == memory.get(step.key) for step in steps)
    # What was told is told: the same situation a moment later has nothing to add.
    later = {key: state for key, state in memory.items() if state.told_at is None or state.told_at <= NOON}
    for step in decide_alerts(now, later, NOON):
        later.pop(step.key, None)
        if step.after is not None:
            later[step.key] = step.after
    again = [step.news for step in decide_alerts(now, later, NOON) if step.news is not None]
    assert again == []
