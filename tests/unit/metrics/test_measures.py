"""What is counted for monitoring, and the closed lists of label values."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.domain.model import EffectKey, Outcome, Reason, Verdict
from reconcile.domain.shop_queue import ShopQueue
from reconcile.metrics.measures import (
    ANSWERS,
    JOB_EVENTS,
    NO_REASON,
    OPERATIONS,
    REASONS_OF,
    RUN_STATUSES,
    VERDICTS,
    Standing,
    Tally,
    answer_of,
)
from reconcile.run.answers import Refused
from reconcile.run.summary import RunStatus, RunSummary
from reconcile.storefront.documents import parse_enrollment
from reconcile.story.backlog import Backlog
from tests.fakes.harness import World
from tests.fakes.world import NOON, FakeLms, any_text_with_at, order

#: These end a run; no order has one of them as its verdict.
OF_RUNS = {Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.BLIND}


def test_every_outcome_and_reason_has_its_pairs() -> None:
    told = {reason for reasons in REASONS_OF.values() for reason in reasons if reason is not None}
    assert set(REASONS_OF) == set(Outcome)
    assert told | OF_RUNS == set(Reason)
    assert not told & OF_RUNS


def test_a_run_that_is_still_going_is_not_counted() -> None:
    assert set(RUN_STATUSES) == {"completed", "aborted", "interrupted", "crashed"}


def test_a_run_without_an_end_has_no_duration() -> None:
    tally = Tally()
    tally.count_run(RunSummary(run_id="r1", mode="apply", started_at=NOON, status=RunStatus.ABORTED))

    assert tally.runs["aborted"] == 1
    assert tally.durations.count == 0


def test_what_was_never_good_is_not_good_by_being_carried_on() -> None:
    standing = Standing()
    standing.go_on_from(Standing())

    assert standing.last_success is None


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, "2xx"),
        (204, "2xx"),
        (302, "4xx"),
        (100, "4xx"),
        (400, "4xx"),
        (417, "4xx"),
        (429, "429"),
        (500, "5xx"),
        (503, "5xx"),
        (599, "5xx"),
        (None, "none"),
    ],
)
def test_answers(status: int | None, answer: str) -> None:
    assert answer_of(status) == answer


@given(st.none() | st.integers(min_value=-1, max_value=10_000))
def test_every_answer_is_in_the_list(status: int | None) -> None:
    assert answer_of(status) in ANSWERS


def test_an_operation_that_nobody_knows_is_not_lost() -> None:
    tally = Tally()
    tally.count_request("who knows", 200, 0.1)

    assert tally.requests["other", "2xx"].count == 1
    assert set(tally.requests) == {(operation, answer) for operation in OPERATIONS for answer in ANSWERS}


def a_run(*verdicts: Verdict, status: RunStatus = RunStatus.COMPLETED, seconds: float = 7) -> RunSummary:
    summary = RunSummary(run_id="r1", mode="apply", started_at=NOON)
    for verdict in verdicts:
        summary.add(verdict, paid_at=NOON - timedelta(hours=2), at=NOON + timedelta(seconds=3))
    summary.close(status, at=NOON + timedelta(seconds=seconds))
    return summary


def test_what_a_run_adds() -> None:
    summary = a_run(
        Verdict(outcome=Outcome.ENROLLED),
        Verdict(outcome=Outcome.RECOVERED),
        Verdict(outcome=Outcome.ALREADY_ENROLLED),
        Verdict(outcome=Outcome.WAITING, reason=Reason.MEMBER_MISSING),
    )
    summary.buried = 2
    tally = Tally()

    tally.count_run(summary)
    tally.count_run(a_run(status=RunStatus.ABORTED, seconds=1))

    assert tally.runs == {"completed": 1, "aborted": 1, "interrupted": 0, "crashed": 2}
    assert tally.verdicts["enrolled", NO_REASON] == 1
    assert tally.verdicts["waiting", "member_missing"] == 1
    assert tally.verdicts.total() == 4
    # Who had access already did not get it from us: there is no telling how long they waited.
    assert (tally.waits.count, tally.waits.total) == (2, 2 * (2 * 3600 + 3))
    assert (tally.durations.count, tally.durations.total) == (2, 8)


def test_an_order_of_unknown_age_has_no_wait() -> None:
    summary = RunSummary(run_id="r1", mode="apply", started_at=NOON)
    summary.add(Verdict(outcome=Outcome.ENROLLED), paid_at=None, at=NOON)

    assert summary.waits.count == 0


def test_adding_keeps_every_label_value() -> None:
    one, other = Tally(), Tally()
    other.expect_jobs(["nightly"])
    other.count_request("enroll", 503, 2.0)
    other.count_run(a_run(Verdict(outcome=Outcome.ENROLLED)))

    one.add(other)
    one.add(other)

    assert one.runs == {"completed": 2, "aborted": 0, "interrupted": 0, "crashed": 0}
    assert set(one.verdicts) == set(VERDICTS)
    assert one.verdicts["enrolled", NO_REASON] == 2
    assert one.requests["enroll", "5xx"].count == 2
    assert set(one.events) == {("nightly", event) for event in JOB_EVENTS}


def a_backlog(*changes: dict[str, object]) -> Backlog:
    backlog = Backlog()
    for number, change in enumerate(changes):
        document = order(f"e{number}", **change)
        backlog.add(parse_enrollment(document, enrollment_id=f"e{number}", email_rule=any_text_with_at))
    return backlog


def test_how_things_stand() -> None:
    standing = Standing()
    assert (standing.backlog, standing.oldest_age(NOON)) == (None, None)

    standing.see(a_backlog({"amount": 10, "currency": "eur"}, {"amount": 5}))
    assert standing.backlog == {"pending": 2, "retrying": 0, "failed": 0, "unset": 0}
    assert standing.amounts == {"eur": Decimal(10), "usd": Decimal(5)}
    assert standing.oldest_age(NOON) == 86400
    # It grows though nobody looks again.
    assert standing.oldest_age(NOON + timedelta(hours=1)) == 86400 + 3600

    standing.see(a_backlog())
    assert standing.amounts == {"eur": Decimal(0), "usd": Decimal(0)}
    assert standing.oldest_age(NOON) == 0


def test_success_never_goes_back() -> None:
    standing = Standing()
    standing.succeeded(NOON)
    standing.succeeded(NOON - timedelta(hours=1))

    assert standing.last_success == NOON


def test_what_was_known_before_stays_where_nobody_could_look() -> None:
    before = Standing(last_success=NOON)
    before.see(a_backlog({"amount": 10, "currency": "eur"}))
    before.see_shop(unmarked=2, queue=ShopQueue(open=5, overdue=4))
    blind, seeing = Standing(), Standing()
    seeing.see(a_backlog())
    seeing.see_shop(unmarked=0, queue=ShopQueue())

    blind.go_on_from(before)
    seeing.go_on_from(before)

    assert blind.backlog == before.backlog
    assert blind.amounts == {"eur": Decimal(10), "usd": Decimal(0)}
    assert blind.oldest_age(NOON) == 86400
    assert seeing.backlog == {"pending": 0, "retrying": 0, "failed": 0, "unset": 0}
    assert seeing.amounts == {"eur": Decimal(0), "usd": Decimal(0)}
    assert (blind.unmarked, blind.jobs_open, blind.jobs_overdue) == (2, 5, 4)
    assert (seeing.unmarked, seeing.jobs_open, seeing.jobs_overdue) == (0, 0, 0)
    assert blind.last_success == seeing.last_success == NOON


def test_every_pair_that_a_run_has_is_in_the_list() -> None:
    """Runs over a world with every kind of order, until the poison is exhausted."""
    lms = FakeLms()
    lms.everybody = False
    lms.members = {f"e{number}@example.com" for number in range(8)}
    lms.rows.append(("other", EffectKey("somebody@example.com", "python-basics")))
    refused = EffectKey("e6@example.com", "python-basics")
    lms.answers[refused] = lambda _: Refused(reason=Reason.LMS_REJECTED, error="no", http_status=417)
    documents = [
        order("e0"),
        order("e1", courseId="nowhere"),
        order("e2", email="nobody@example.com"),
        order("e3", email="broken"),
        order("e4", courseId="No Slug"),
        order("e5", amount="much"),
        order("e6"),
        order("e7", timestamp=NOON.isoformat()),
    ]
    world = World(documents, lms)
    seen: Counter[tuple[str, str]] = Counter()
    for _ in range(8):
        tally = Tally()
        summary = world.run().summary
        tally.count_run(summary)
        assert tally.verdicts.total() == summary.outcomes.total() == summary.verdicts.total()
        seen.update(tally.verdicts)
        world.clock.advance(3600)

    assert set(seen) == set(VERDICTS)
    happened = {pair for pair, count in seen.items() if count}
    assert happened >= {
        ("enrolled", "none"),
        ("retrying", "lms_rejected"),
        ("failed", "lms_rejected"),
        ("failed", "exhausted"),
        ("failed", "malformed"),
        ("waiting", "member_missing"),
        ("skipped", "too_new"),
    }
