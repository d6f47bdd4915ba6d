"""The last look before a write: what has changed since the decision keeps it back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from reconcile.domain.model import (
    NO_HISTORY,
    AnyEnrollment,
    Defer,
    Enrollment,
    History,
    MalformedEnrollment,
    Outcome,
    Reason,
    Skip,
    SyncState,
)
from reconcile.run.decision import obstacle, twin_obstacle
from reconcile.run.retry import RetryPolicy
from tests.fakes.world import NOON

ORDER = Enrollment(
    id="e1",
    payment_id="pi_1",
    member="a@example.com",
    email="a@example.com",
    course="python-basics",
    amount=Decimal(199),
    currency="usd",
    paid=True,
    paid_at=NOON - timedelta(hours=9),
)
SECOND = timedelta(seconds=1)
JUST_TRIED = SyncState(status="retrying", last_attempt=NOON - SECOND, error="fetch failed")
TRIED_LATELY = SyncState(status="retrying", last_attempt=NOON - 90 * SECOND, error="fetch failed")
AT_WORK = History(retry_job_active=True)
SYNCED = SyncState(synced=True, status="success", lms_id="x")
POLICY = RetryPolicy()
AT_ONCE = RetryPolicy(immediately=True)
MALFORMED = MalformedEnrollment(id="e1", problems=("email is missing",), reason=Reason.MALFORMED)
OURS = History(last_said_at=NOON - SECOND)


@pytest.mark.parametrize(
    ("fresh", "history", "policy", "reason"),
    [
        (None, NO_HISTORY, POLICY, Reason.NOT_PAID),
        (replace(ORDER, paid=False), NO_HISTORY, POLICY, Reason.NOT_PAID),
        (replace(ORDER, sync=SYNCED), NO_HISTORY, POLICY, None),
        (ORDER, AT_WORK, AT_ONCE, Reason.RETRY_JOB_ACTIVE),
        (replace(ORDER, member="b@example.com"), NO_HISTORY, POLICY, None),
        (replace(ORDER, course="other"), NO_HISTORY, POLICY, None),
        (MALFORMED, NO_HISTORY, POLICY, None),
        # the success page was opened a second ago
        (replace(ORDER, touched=(NOON - SECOND,)), NO_HISTORY, POLICY, Reason.TOO_NEW),
        (replace(ORDER, sync=JUST_TRIED), NO_HISTORY, POLICY, Reason.TOO_NEW),
        # asked for by hand: the storefront's own call may still be on its way, or be carried out late
        (replace(ORDER, sync=JUST_TRIED), NO_HISTORY, AT_ONCE, Reason.TOO_NEW),
        (replace(ORDER, sync=TRIED_LATELY), NO_HISTORY, AT_ONCE, Reason.LEASE_HELD),
    ],
)
def test_what_keeps_a_write_back(
    fresh: AnyEnrollment | None, history: History, policy: RetryPolicy, reason: Reason | None
) -> None:
    found = obstacle(ORDER, fresh, history, policy, NOON)

    assert found is not None
    assert (found.outcome, found.reason) == (Outcome.SKIPPED, reason)
    assert found.error or found.reason


@pytest.mark.parametrize(
    ("fresh", "history", "policy"),
    [
        (ORDER, NO_HISTORY, POLICY),
        (replace(ORDER, amount=None), NO_HISTORY, POLICY),
        (replace(ORDER, touched=(NOON - 61 * SECOND,)), NO_HISTORY, AT_ONCE),
        (replace(ORDER, sync=JUST_TRIED), OURS, POLICY),
    ],
)
def test_what_does_not(fresh: AnyEnrollment, history: History, policy: RetryPolicy) -> None:
    assert obstacle(ORDER, fresh, history, policy, NOON) is None


@pytest.mark.parametrize(
    ("twin", "history", "policy", "expected"),
    [
        (ORDER, NO_HISTORY, POLICY, None),
        (ORDER, AT_WORK, POLICY, Skip(Reason.RETRY_JOB_ACTIVE)),
        (replace(ORDER, touched=(NOON - SECOND,)), NO_HISTORY, POLICY, Skip(Reason.TOO_NEW)),
        (
            replace(ORDER, sync=TRIED_LATELY),
            NO_HISTORY,
            AT_ONCE,
            Defer(NOON + 90 * SECOND, Reason.LEASE_HELD),
        ),
        # synced, but perhaps after we have looked
        (replace(ORDER, sync=SYNCED), AT_WORK, POLICY, None),
        (
            replace(ORDER, sync=replace(SYNCED, last_attempt=NOON - SECOND)),
            NO_HISTORY,
            POLICY,
            Skip(Reason.TOO_NEW),
        ),
        (replace(ORDER, sync=SYNCED, touched=(NOON - SECOND,)), NO_HISTORY, AT_ONCE, Skip(Reason.TOO_NEW)),
        (replace(ORDER, sync=replace(SYNCED, last_attempt=NOON - 301 * SECOND)), NO_HISTORY, POLICY, None),
    ],
)
def test_what_a_twin_has_to_say(
    twin: Enrollment, history: History, policy: RetryPolicy, expected: object
) -> None:
    assert twin_obstacle(twin, history, policy, NOON) == expected
