"""What is wrong: from how a run ended and who waits to causes, one for each trouble."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.alerts.causes import RunEnd, Situation, find_causes
from reconcile.alerts.decision import DAY, Kind
from reconcile.alerts.groups import MOST_SAMPLES, Groups, group_of
from reconcile.domain.model import NO_HISTORY, History, MalformedEnrollment, Outcome, Reason
from reconcile.domain.shop_queue import ShopQueue
from reconcile.domain.unmarked import Unmarked
from reconcile.run.summary import RunStatus
from tests.fakes.audit_samples import enrollment

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR, RUN = timedelta(hours=1), timedelta(minutes=5)
GOOD = RunEnd(status=RunStatus.COMPLETED, scanned=3)
DOWN = RunEnd(status=RunStatus.ABORTED, reason="lms_unavailable", error="the LMS is down", hint="Wait.")
STOPPED = RunEnd(status=RunStatus.INTERRUPTED)

BACKLOG = {
    Kind.FAILED,
    Kind.COURSE_MISSING,
    Kind.COURSE_UNPUBLISHED,
    Kind.MEMBER_MISSING_LONG,
    Kind.MEMBER_DISABLED_LONG,
}


def history(outcome: Outcome, reason: Reason | None) -> History:
    return History(last_outcome=outcome, last_reason=reason)


def waiting(reason: Reason) -> History:
    return history(Outcome.WAITING, reason)


def failed(reason: Reason) -> History:
    return history(Outcome.FAILED, reason)


def groups(*items: tuple[Any, History], complete: bool = True) -> Groups:
    found = Groups(now=NOON, alert_age=HOUR, complete=complete)
    for item, known in items:
        found.add(item, known, lambda item: f"line of {item.id}")
    return found


def keys(situation: Situation) -> set[str]:
    return set(find_causes(situation).causes)


# --- who waits for what --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "age", "group"),
    [
        (NO_HISTORY, HOUR, (Kind.OLDEST_WAITING, "")),
        (NO_HISTORY, HOUR - RUN, None),
        (NO_HISTORY, -HOUR, None),
        (History(ignored_until=NOON + DAY), HOUR, None),
        (History(ignored_until=NOON - RUN), HOUR, (Kind.OLDEST_WAITING, "")),
        (history(Outcome.RETRYING, Reason.LMS_REJECTED), HOUR, (Kind.OLDEST_WAITING, "")),
        (history(Outcome.RETRYING, Reason.LMS_TIMEOUT), RUN, None),
        # A success whose write-back did not get through.
        (history(Outcome.ENROLLED, None), DAY, (Kind.OLDEST_WAITING, "")),
        (waiting(Reason.COURSE_MISSING), RUN, (Kind.COURSE_MISSING, "clinical-ai")),
        (waiting(Reason.COURSE_UNPUBLISHED), RUN, (Kind.COURSE_UNPUBLISHED, "clinical-ai")),
        (waiting(Reason.MEMBER_MISSING), DAY, (Kind.MEMBER_MISSING_LONG, "")),
        (waiting(Reason.MEMBER_MISSING), DAY - RUN, None),
        (waiting(Reason.MEMBER_DISABLED), DAY, (Kind.MEMBER_DISABLED_LONG, "")),
        (failed(Reason.LMS_REJECTED), RUN, (Kind.FAILED, "course:clinical-ai")),
        # Out of attempts the run after: the same cause, not another one.
        (failed(Reason.EXHAUSTED), RUN, (Kind.FAILED, "course:clinical-ai")),
    ],
)
def test_the_group_of_an_order(known: History, age: timedelta, group: object) -> None:
    assert group_of(enrollment(paid_at=NOON - age), known, now=NOON, alert_age=HOUR) == group


def test_an_order_that_does_not_say_when_it_was_paid_counts_as_old() -> None:
    item = enrollment(paid_at=None)

    assert group_of(item, NO_HISTORY, now=NOON, alert_age=HOUR) == (Kind.OLDEST_WAITING, "")
    assert group_of(item, waiting(Reason.MEMBER_MISSING), now=NOON, alert_age=HOUR) == (
        Kind.MEMBER_MISSING_LONG,
        "",
    )


def test_a_malformed_order_is_named_by_its_reason_and_never_by_its_text() -> None:
    item = MalformedEnrollment(
        id="1", problems=("course",), reason=Reason.INVALID_COURSE, course="x\ny: a@example.com", paid_at=NOON
    )

    for known in (NO_HISTORY, failed(Reason.INVALID_COURSE), waiting(Reason.COURSE_MISSING)):
        assert group_of(item, known, now=NOON, alert_age=HOUR) == (Kind.FAILED, "invalid_course")


def test_412_orders_of_one_unpublished_course_are_one_cause_with_count_and_money() -> None:
    items = [enrollment(str(n), paid_at=NOON - n * RUN, amount=Decimal("199.99")) for n in range(411)]
    items.append(enrollment("eur", currency="eur", amount=Decimal("0.0001"), paid_at=NOON))

    found = find_causes(
        Situation(
            at=NOON, run=GOOD, groups=groups(*((item, waiting(Reason.COURSE_UNPUBLISHED)) for item in items))
        )
    )

    (cause,) = found.causes.values()
    assert (cause.key, cause.count) == ("course_unpublished:clinical-ai", 412)
    assert cause.amounts == (("eur", Decimal("0.0001")), ("usd", Decimal("82195.89")))
    assert cause.oldest_paid_at == NOON - 410 * RUN
    assert cause.samples == tuple(f"line of {n}" for n in range(410, 405, -1))


def test_support_gets_a_bounded_list_of_those_without_an_account() -> None:
    items = [enrollment(f"{n:03}", paid_at=NOON - DAY - n * HOUR) for n in range(50)]

    found = find_causes(
        Situation(at=NOON, groups=groups(*((item, waiting(Reason.MEMBER_MISSING)) for item in items)))
    )

    cause = found.causes["member_missing_long"]
    assert cause.count == 50
    assert len(cause.samples) == MOST_SAMPLES
    assert cause.samples[0] == "line of 049", "the oldest first"


ITEMS = st.tuples(
    st.builds(
        enrollment,
        st.uuids().map(str),
        paid_at=st.none() | st.sampled_from([NOON, NOON - HOUR, NOON - DAY, NOON - 9 * DAY]),
        course=st.sampled_from(["a", "b"]),
        amount=st.none() | st.decimals(0, 10**6, places=4),
        currency=st.sampled_from(["usd", "eur"]),
    ),
    st.builds(
        History,
        last_outcome=st.none() | st.sampled_from(Outcome),
        last_reason=st.none() | st.sampled_from(Reason),
    ),
)


@given(st.lists(ITEMS, max_size=60), st.sampled_from([GOOD, DOWN, STOPPED, None]))
def test_each_order_is_counted_once_at_most_and_no_money_is_lost(
    items: list[Any], run: RunEnd | None
) -> None:
    found = groups(*items)

    assert found.everybody.count == len(items)
    assert sum(group.count for group in found.by_cause.values()) <= len(items)
    for group in found.by_cause.values():
        assert sum(group.reasons.values()) == group.count
        assert len(group.samples) == min(group.count, MOST_SAMPLES)
    paid = sum((item.amount for item, _ in items if item.amount is not None), Decimal(0))
    assert sum((amount for _, amount in found.everybody.amounts), Decimal(0)) == paid
    situation = Situation(at=NOON, run=run, groups=found)
    assert find_causes(situation) == find_causes(situation)


# --- what can be judged --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("run", "complete", "judged"),
    [
        (GOOD, True, BACKLOG | {Kind.OLDEST_WAITING, Kind.ABORTED, Kind.SILENCE, Kind.SCAN_EMPTY}),
        (GOOD, False, {Kind.ABORTED, Kind.SILENCE, Kind.SCAN_EMPTY}),
        # A part of the backlog proves nothing of the whole.
        (RunEnd(status=RunStatus.COMPLETED, whole=False), True, BACKLOG | {Kind.OLDEST_WAITING}),
        (DOWN, True, BACKLOG),
        (STOPPED, True, BACKLOG | {Kind.OLDEST_WAITING}),
        (None, True, BACKLOG | {Kind.OLDEST_WAITING}),
    ],
)
def test_absence_means_gone_only_where_somebody_looked(
    run: RunEnd | None, complete: bool, judged: set[Kind]
) -> None:
    situation = Situation(at=NOON, run=run, groups=groups(complete=complete))

    assert find_causes(situation).judged == judged


def test_a_look_that_was_cut_short_still_tells_what_it_saw() -> None:
    seen = groups((enrollment(), waiting(Reason.COURSE_MISSING)), complete=False)

    assert keys(Situation(at=NOON, run=GOOD, groups=seen)) == {"course_missing:clinical-ai"}


def test_nothing_looked_at_means_nothing_concluded() -> None:
    found = find_causes(Situation(at=NOON))

    assert not found.causes
    assert not found.judged


# --- the run -------------------------------------------------------------------------------


def test_while_runs_are_aborted_that_learners_wait_is_no_cause_of_its_own() -> None:
    late = groups((enrollment(paid_at=NOON - DAY), NO_HISTORY))

    found = find_causes(Situation(at=NOON, run=DOWN, groups=late, successes=[NOON - DAY] * 5))

    (cause,) = found.causes.values()
    assert (cause.key, cause.count) == ("aborted:lms_unavailable", 1)
    assert cause.note == "The LMS is down. Paid orders that wait for a run: 1."
    assert cause.amounts == (("usd", Decimal("199.5")),)
    assert cause.remedy == "Wait."
    assert keys(Situation(at=NOON, run=GOOD, groups=late)) == {"oldest_waiting"}


def test_an_abort_is_told_where_mongodb_cannot_be_looked_at() -> None:
    run = RunEnd(status=RunStatus.ABORTED, reason="mongodb_unavailable")

    found = find_causes(Situation(at=NOON, run=run))

    assert set(found.causes) == {"aborted:mongodb_unavailable"}
    assert not found.judged


# --- drift ---------------------------------------------------------------------------------


def test_drift_is_one_cause_and_none_is_its_end() -> None:
    found = find_causes(Situation(at=NOON, drift={"ghosts": 3, "strays": 0, "stale": 2}))

    assert found.causes["drift"].count == 5
    assert found.causes["drift"].note == "3 ghosts, 2 stale."
    assert find_causes(Situation(at=NOON, drift={"ghosts": 0})).causes == {}
    assert found.judged == {Kind.DRIFT}


# --- what the shop has left undone ---------------------------------------------------------

IDLE = ShopQueue(collection="retry_jobs", open=9, overdue=7, oldest_due_at=NOON - 3 * HOUR)


def unmarked(*ages: timedelta) -> Unmarked:
    found = Unmarked()
    for number, age in enumerate(ages):
        opened = NOON - age - HOUR
        found.add(enrollment(id=f"e{number}", paid=False, paid_at=NOON - age, ordered_at=opened))
    return found


@pytest.mark.parametrize("run", [GOOD, DOWN, STOPPED, None])
def test_what_the_shop_leaves_undone_holds_however_the_run_ended(run: RunEnd | None) -> None:
    situation = Situation(at=NOON, run=run, queue=IDLE, unmarked=unmarked(DAY))

    assert {"shop_worker", "unmarked"} <= keys(situation)


def test_a_worker_that_does_not_run_counts_its_overdue_jobs() -> None:
    cause = find_causes(Situation(at=NOON, queue=IDLE)).causes["shop_worker"]

    assert cause.count == 7
    assert cause.note.startswith("The shop's own worker has not run since 2026-11-24 09:00 UTC. ")
    assert "9 open, 0 in work, 7 overdue" in cause.note


def test_unmarked_orders_with_money_and_examples() -> None:
    found = unmarked(*(number * DAY for number in range(1, 9)))
    lines = [f"line of {item.id}" for item in found.samples]

    cause = find_causes(Situation(at=NOON, unmarked=found, unmarked_lines=lines)).causes["unmarked"]

    assert (cause.count, cause.oldest_paid_at, cause.oldest_word) == (8, NOON - 8 * DAY, "paid")
    assert cause.amounts == found.amounts
    assert cause.samples == ("line of e7", "line of e6", "line of e5", "line of e4", "line of e3")


def test_what_was_looked_at_and_is_well_is_judged_and_the_rest_is_not() -> None:
    well = find_causes(Situation(at=NOON, queue=ShopQueue(), unmarked=Unmarked()))
    unseen = find_causes(Situation(at=NOON))

    assert (dict(well.causes), well.judged) == ({}, {Kind.SHOP_WORKER, Kind.UNMARKED})
    assert unseen.judged == frozenset()
