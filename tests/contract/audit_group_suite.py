"""What every AuditLog does with attempts that are begun, ended together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from reconcile.base.errors import AuditUnavailable
from reconcile.domain.model import (
    NO_HISTORY,
    EffectKey,
    OpenWrite,
    Outcome,
    Reason,
    Verdict,
)
from reconcile.run.ports import AuditLog, End, Intent
from reconcile.run.summary import RunStatus
from tests.fakes.audit_samples import (
    ELSEWHERE,
    ENROLLED,
    HERE,
    NOON,
    REFUSED,
    SKIPPED,
    WAITING,
    enrollment,
    record,
    summary,
)

HOUR = timedelta(hours=1)
UNANSWERED = Verdict(outcome=Outcome.RETRYING, reason=Reason.LMS_TIMEOUT)
MINE, THEIRS = "run-1", "run-2"
KEY = EffectKey("learner@example.com", "clinical-ai")


def leased(
    id: str = "order-1",  # noqa: A002
    *,
    run_id: str = MINE,
    token: str | None = "t-1",
    **changes: object,
) -> Intent:
    """An intent under a lease; the order has the pair `KEY` unless it is changed."""
    order = enrollment(id, **changes)
    return Intent(run_id=run_id, enrollment=order, number=1, started_at=NOON, lease_token=token)


def ended(attempt_id: int | None, verdict: Verdict = ENROLLED, *, never_sent: bool = False) -> End:
    assert attempt_id is not None
    return End(attempt_id=attempt_id, verdict=verdict, at=NOON, http_status=200, never_sent=never_sent)


def begun(log: AuditLog, *intents: Intent) -> Sequence[int | None]:
    return log.begin_all(intents, held_since=NOON - HOUR)


def two_runs(log: AuditLog) -> AuditLog:
    """With two runs under way."""
    for run_id in (MINE, THEIRS):
        log.open_run(summary(run_id), ELSEWHERE)
    return log


def bury(log: AuditLog) -> None:
    """Both runs are given up for dead."""
    log.close_dead_runs(origin=HERE, stale_before=NOON + 24 * HOUR, at=NOON)


class AuditGroupContract:
    """Subclasses give the fixture `log`."""

    @pytest.fixture
    def log(self) -> Iterator[AuditLog]:
        raise NotImplementedError

    @pytest.fixture
    def two(self, log: AuditLog) -> AuditLog:
        return two_runs(log)

    # --- groups ----------------------------------------------------------------------------

    def test_a_group_is_numbered_in_its_order(self, two: AuditLog) -> None:
        orders = [f"order-{number}" for number in range(603)]
        numbers = begun(two, *(leased(order, member=f"{order}@example.com") for order in orders))

        assert list(numbers) == sorted({number for number in numbers if number is not None})
        bury(two)
        found = two.history(orders)
        assert [found[order].newest for order in orders] == list(numbers)
        assert [found[order].open_attempt for order in orders] == list(numbers)

    def test_nothing_is_begun_or_ended_for_nobody(self, log: AuditLog) -> None:
        assert list(log.begin_all([], held_since=NOON)) == []
        log.finish_all([], run_id="nobody")

    def test_a_group_is_begun_whole_or_not_at_all(self, two: AuditLog) -> None:
        with pytest.raises(AuditUnavailable):
            begun(two, leased(), leased("order-2", run_id="nobody", member="other@example.com"))

        assert two.history(["order-1", "order-2"]) == {}

    def test_a_group_is_ended_whole_or_not_at_all(self, two: AuditLog) -> None:
        (number,) = begun(two, leased())

        with pytest.raises(AuditUnavailable):
            two.finish_all([ended(number), ended(4711)], run_id=MINE)
        with pytest.raises(AuditUnavailable):
            two.finish_all([ended(number)], run_id="nobody")

        assert two.history(["order-1"])["order-1"].last_outcome is None

    def test_an_attempt_of_a_group_keeps_its_first_end(self, two: AuditLog) -> None:
        first, second = begun(two, leased(), leased("order-2"))
        two.finish_all([ended(first)], run_id=MINE)

        for _ in range(2):
            two.finish_all([ended(first, REFUSED), ended(second), ended(second, REFUSED)], run_id=MINE)

        found = two.history(["order-1", "order-2"])
        assert {history.last_outcome for history in found.values()} == {Outcome.ENROLLED}

    def test_another_run_ends_what_the_dead_have_left(self, two: AuditLog) -> None:
        numbers = begun(two, leased(), leased("order-2"))
        bury(two)
        two.open_run(summary("run-3"), HERE)

        two.finish_all([ended(number) for number in numbers], run_id="run-3")

        assert list(two.open_attempts()) == []

    # --- what is known of open ones -----------------------------------------------------------

    def test_what_the_dead_have_left_open_is_told_with_its_lease(self, two: AuditLog) -> None:
        first, second = begun(two, leased(token=None), replace(leased(), number=2, started_at=NOON + HOUR))
        assert two.history(["order-1"])["order-1"].open_attempts == ()
        bury(two)

        history = two.history(["order-1"])["order-1"]

        assert first is not None
        assert second is not None
        assert history.open_attempts == (
            OpenWrite(attempt_id=first, started_at=NOON, token=None),
            OpenWrite(attempt_id=second, started_at=NOON + HOUR, token="t-1"),
        )
        assert history.open_attempt == history.newest == second
        assert [left.token for left in two.open_attempts()] == [None, "t-1"]

    def test_the_newest_is_of_any_kind(self, two: AuditLog) -> None:
        two.record([record()])
        first = two.history(["order-1"])["order-1"].newest
        (under_way,) = begun(two, leased())

        assert first is not None
        assert under_way is not None
        assert two.history(["order-1"])["order-1"].newest == under_way > first

    # --- never sent ---------------------------------------------------------------------------------

    def test_what_was_never_sent_is_no_news(self, two: AuditLog) -> None:
        two.record([record()])
        before = two.history(["order-1"])["order-1"]
        numbers = begun(two, replace(leased(), started_at=NOON + HOUR))
        two.finish_all([replace(ended(numbers[0], SKIPPED, never_sent=True), at=NOON + HOUR)], run_id=MINE)

        assert replace(two.history(["order-1"])["order-1"], newest=before.newest) == before
        assert two.history(["order-1"])["order-1"].newest == numbers[0]
        bury(two)
        assert list(two.open_attempts()) == []
        assert two.given_access(["order-1"]) == frozenset()

    def test_of_an_order_never_sent_only_that_is_known(self, two: AuditLog) -> None:
        (number,) = begun(two, leased())
        two.finish_all(
            [ended(number, replace(SKIPPED, reason=Reason.NOT_PAID), never_sent=True)], run_id=MINE
        )

        assert two.history(["order-1"]) == {"order-1": replace(NO_HISTORY, newest=number)}

    @pytest.mark.parametrize("verdict", [ENROLLED, REFUSED, WAITING, replace(SKIPPED, attempts=1)])
    def test_what_was_never_sent_can_have_no_other_verdict(self, verdict: Verdict) -> None:
        with pytest.raises(ValueError, match="never sent"):
            ended(1, verdict, never_sent=True)

    def test_a_run_closes_with_groups_in_it(self, two: AuditLog) -> None:
        numbers = begun(two, leased(), leased("order-2", token=None))
        two.finish_all([ended(numbers[0]), ended(numbers[1], SKIPPED, never_sent=True)], run_id=MINE)
        over = summary(MINE)
        over.close(RunStatus.COMPLETED, at=NOON)

        assert two.close_run(over) is not None
