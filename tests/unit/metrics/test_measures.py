"""The closed lists of label values, and that runs stay inside them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.domain.model import EffectKey, Outcome, Reason, Verdict
from reconcile.metrics.measures import ANSWERS, REASONS_OF, RUN_STATUSES, VERDICTS, answer_of
from reconcile.metrics.metrics import Metrics
from reconcile.run.answers import Refused
from reconcile.run.summary import RunSummary
from tests.fakes.harness import World
from tests.fakes.metrics import numbers
from tests.fakes.world import NOON, FakeLms, order

#: These end a run; no order has one of them as its verdict.
OF_RUNS = {Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.BLIND}


def test_every_outcome_and_reason_has_its_pairs() -> None:
    told = {reason for reasons in REASONS_OF.values() for reason in reasons if reason is not None}
    assert set(REASONS_OF) == set(Outcome)
    assert told | OF_RUNS == set(Reason)
    assert not told & OF_RUNS


def test_a_run_that_is_still_going_is_not_counted() -> None:
    assert set(RUN_STATUSES) == {"completed", "aborted", "interrupted", "crashed"}


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


def test_an_order_of_unknown_age_has_no_wait() -> None:
    summary = RunSummary(run_id="r1", mode="apply", started_at=NOON)
    summary.add(Verdict(outcome=Outcome.ENROLLED), paid_at=None, at=NOON)

    assert summary.waits.count == 0


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
        metrics = Metrics()
        summary = world.run().summary
        metrics.run_over(summary)
        counted = numbers(metrics, "reconcile_enrollments_total")
        assert sum(counted.values()) == summary.outcomes.total() == summary.verdicts.total()
        for (outcome, reason), count in counted.items():
            seen[outcome, reason] += int(count)
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
