"""Orders, intents and verdicts to fill an audit log with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from reconcile.audit.process import current_origin
from reconcile.domain.model import Enrollment, Outcome, Reason, Verdict
from reconcile.run.ports import Intent, Origin, Record
from reconcile.run.summary import RunSummary

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HERE = current_origin()
ELSEWHERE = Origin(host="elsewhere/other-boot/1", pid=HERE.pid, process_started=HERE.process_started)
REFUSED = Verdict(outcome=Outcome.RETRYING, reason=Reason.LMS_REJECTED, error="no", attempts=1)
EXCUSED = Verdict(outcome=Outcome.RETRYING, reason=Reason.LMS_UNAVAILABLE, error="down")
ENROLLED = Verdict(outcome=Outcome.ENROLLED, lms_id="lms-1", attempts=1)
SKIPPED = Verdict(outcome=Outcome.SKIPPED)
WAITING = Verdict(outcome=Outcome.WAITING, reason=Reason.MEMBER_MISSING)


def summary(run_id: str = "run-1", *, started_at: datetime = NOON) -> RunSummary:
    return RunSummary(run_id=run_id, mode="apply", started_at=started_at)


def enrollment(id: str = "order-1", **changes: object) -> Enrollment:  # noqa: A002
    order = Enrollment(
        id=id,
        payment_id=f"cs_{id}",
        member="learner@example.com",
        email="buyer@example.com",
        course="clinical-ai",
        amount=Decimal("199.5"),
        currency="usd",
        paid=True,
        paid_at=NOON - timedelta(hours=1),
    )
    return replace(order, **changes)  # type: ignore[arg-type]


def intent(id: str = "order-1", *, run_id: str = "run-1", number: int = 1) -> Intent:  # noqa: A002
    return Intent(run_id=run_id, enrollment=enrollment(id), number=number, started_at=NOON)


def record(verdict: Verdict = WAITING, *, id: str = "order-1", run_id: str = "run-1") -> Record:  # noqa: A002
    return Record(run_id=run_id, enrollment=enrollment(id), action="wait", verdict=verdict, at=NOON)
