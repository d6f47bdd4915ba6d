"""Twenty days of a shop in an audit database, the same each time: what the reports are looked at with.

The usual trickle of orders, 37 that the webhook lost between 14:05 and 16:40 on 18 November, an outage of
the LMS, people who pay twice, wait, or cannot be helped, and text that means harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from reconcile.audit.log import SqlAuditLog
from reconcile.domain.model import (
    DUPLICATE_PAYMENT,
    AnyEnrollment,
    Enrollment,
    MalformedEnrollment,
    Outcome,
    Reason,
    Verdict,
)
from reconcile.run.ports import Intent, Record
from reconcile.run.summary import RunStatus, RunSummary
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import HERE

START = datetime(2026, 11, 4, tzinfo=UTC)
#: When the story's reports are made.
REPORTED = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
LEAK = datetime(2026, 11, 18, 14, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_EVERY = timedelta(hours=6)
_COURSES = ("python-basics", "data-101", "clinical-ai", "web-dev")

# What somebody may have typed, or an LMS may have answered.
SCRIPT = "<script>window.pwned = 1; document.title = 'pwned'</script>"
IMAGE = '"><img src="https://evil.example.com/x.png" onerror="window.pwned = 2">'
FORMULA = '=HYPERLINK("https://evil.example.com","click")'
RIGHT_TO_LEFT = "\u202egpj.exe \u05e9\u05dc\u05d5\u05dd"
EMOJI = "paid 👩‍🎓 twice – “why?” & <b>how</b>"
LONG = "x" * 500
HOSTILE = (SCRIPT, IMAGE, FORMULA, RIGHT_TO_LEFT, EMOJI, LONG, "+1", "-1", "@SUM(A1)", "00123")


@dataclass(frozen=True, kw_only=True)
class _Event:
    at: datetime
    order: AnyEnrollment
    verdict: Verdict
    writes: bool = True


def story(folder: Path) -> SqlAuditLog:
    """The audit log, filled; the caller closes it."""
    log = new_audit(folder)
    events = sorted(_events(), key=lambda event: (event.at, event.order.id))
    number, place, at = 0, 0, START
    while at + _EVERY <= REPORTED:
        number += 1
        at += _EVERY
        summary = RunSummary(run_id=f"run-{number:03}", mode="apply", started_at=at)
        log.open_run(summary, HERE)
        status, reason = _end(at)
        while status is RunStatus.COMPLETED and place < len(events) and events[place].at <= at:
            _carry_out(log, summary, events[place], at + timedelta(seconds=place % 7))
            place += 1
        summary.lms_requests = 3 + summary.scanned
        summary.close(status, at=at + timedelta(seconds=12), reason=reason)
        log.close_run(summary)
    return log


def _end(at: datetime) -> tuple[RunStatus, str | None]:
    if datetime(2026, 11, 12, 5, tzinfo=UTC) < at < datetime(2026, 11, 13, tzinfo=UTC):
        return RunStatus.ABORTED, Reason.LMS_UNAVAILABLE.value
    if at.date() == datetime(2026, 11, 8, tzinfo=UTC).date() and at.hour == 12:
        return RunStatus.INTERRUPTED, None
    return RunStatus.COMPLETED, None


def _carry_out(log: SqlAuditLog, summary: RunSummary, event: _Event, at: datetime) -> None:
    summary.scanned += 1
    summary.add(event.verdict)
    if event.writes and isinstance(event.order, Enrollment):
        intent = Intent(
            run_id=summary.run_id,
            enrollment=event.order,
            number=1,
            started_at=at,
            flags=event.verdict.flags,
        )
        finish(
            log,
            begin(log, intent),
            event.verdict,
            run_id=intent.run_id,
            at=at + timedelta(seconds=1.5),
            http_status=200,
        )
        return
    action = {Outcome.WAITING: "wait", Outcome.FAILED: "give_up"}.get(event.verdict.outcome, "confirm")
    record = Record(
        run_id=summary.run_id, enrollment=event.order, action=action, verdict=event.verdict, at=at
    )
    log.record([record])


def _order(number: int, paid_at: datetime, **changes: object) -> Enrollment:
    order = Enrollment(
        id=f"6b00{number:020}",
        payment_id=f"pi_{number:06}",
        member=f"learner{number}@example.com",
        email=f"learner{number}@example.com",
        course=_COURSES[number % 4],
        amount=Decimal((199, 249.5, 49, 1020)[number % 4]),
        currency="eur" if number % 5 == 0 else "usd",
        paid=True,
        paid_at=paid_at,
    )
    return replace(order, **changes)  # type: ignore[arg-type]


def _gave(number: int) -> Verdict:
    outcome = (Outcome.ENROLLED, Outcome.ENROLLED, Outcome.ALREADY_ENROLLED, Outcome.RECOVERED)[number % 4]
    return Verdict(outcome=outcome, lms_id=f"lms-{number}", attempts=int(outcome is Outcome.ENROLLED))


def _events() -> Iterator[_Event]:
    for number in range(20):  # the trickle: one a day
        paid_at = START + number * DAY + (number * 7 % 24) * HOUR
        yield _Event(at=paid_at + HOUR, order=_order(number, paid_at), verdict=_gave(number))
    for number in range(37):  # the leak: 155 minutes
        paid_at = LEAK + number * timedelta(minutes=155) / 36
        yield _Event(at=paid_at + HOUR, order=_order(100 + number, paid_at), verdict=_gave(number))
    yield from _waiting()
    yield from _troubles()


def _waiting() -> Iterator[_Event]:
    reasons = (
        Reason.MEMBER_MISSING,
        Reason.MEMBER_MISSING,
        Reason.COURSE_UNPUBLISHED,
        Reason.MEMBER_DISABLED,
    )
    for number in range(14):
        paid_at = START - 3 * DAY + number * timedelta(hours=37)
        verdict = Verdict(outcome=Outcome.WAITING, reason=reasons[number % 4])
        order = _order(200 + number, paid_at)
        yield _Event(at=paid_at + HOUR, order=order, verdict=verdict, writes=False)
        if number % 7 == 6:  # signed up two days later
            yield _Event(at=paid_at + 2 * DAY, order=order, verdict=_gave(0))


def _troubles() -> Iterator[_Event]:
    refused = Verdict(
        outcome=Outcome.RETRYING, reason=Reason.LMS_REJECTED, error="no seat is left", attempts=1
    )
    for number in range(3):
        paid_at = START + (10 + number) * DAY
        order = _order(300 + number, paid_at)
        yield _Event(at=paid_at, order=order, verdict=refused)
        if number:
            failed = Verdict(outcome=Outcome.FAILED, reason=Reason.EXHAUSTED)
            yield _Event(at=paid_at + DAY, order=order, verdict=failed, writes=False)
    twice = frozenset({DUPLICATE_PAYMENT})
    for number in range(2):  # one learner, two payments
        paid_at = START + 15 * DAY + number * HOUR
        order = _order(
            400 + number, paid_at, member="twice@example.com", email="twice@example.com", course="data-101"
        )
        yield _Event(at=paid_at, order=order, verdict=replace(_gave(0), flags=twice))
    lone = _order(410, START + 16 * DAY)
    yield _Event(at=START + 16 * DAY, order=lone, verdict=replace(_gave(2), flags=twice), writes=False)
    for number, text in enumerate(HOSTILE):
        yield _Event(
            at=START + 18 * DAY,
            order=MalformedEnrollment(
                id=f"6b01{number:020}",
                problems=(text,),
                reason=Reason.MALFORMED,
                payment_id=text,
                email=f"{text}@example.com" if number < 3 else "mallory@example.com",
                course=text,
                amount=Decimal("12.3456") if number == 0 else None,
                currency="usd",
                paid_at=START + 17 * DAY if number % 2 else None,
            ),
            verdict=Verdict(outcome=Outcome.FAILED, reason=Reason.MALFORMED, error=text),
            writes=False,
        )
