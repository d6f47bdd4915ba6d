"""An audit with any number of attempts and a valid chain, made quickly through the audit log itself.

Every attempt is a verdict without a write, because those can be recorded a thousand at a time. An order has
several of them: it waits or is refused first, and has access in the end, as a rule.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.audit.process import current_origin
from reconcile.base.batched import batched
from reconcile.domain.model import Enrollment, Outcome, Reason, Verdict
from reconcile.run.ports import Record
from reconcile.run.summary import RunStatus, RunSummary

_A_RUN = 10_000
_AT_ONCE = 1000
_BEGIN = datetime(2026, 1, 5, 6, tzinfo=UTC)
_COURSES = ("python-basics", "clinical-ai", "sql-intro", "data-ethics", "statistics-101")
_FIRST = (
    ("wait", Verdict(outcome=Outcome.WAITING, reason=Reason.MEMBER_MISSING)),
    ("wait", Verdict(outcome=Outcome.WAITING, reason=Reason.COURSE_MISSING)),
    (
        "enroll",
        Verdict(
            outcome=Outcome.RETRYING,
            reason=Reason.LMS_UNAVAILABLE,
            error="HTTP 503 from the LMS: Service Unavailable",
        ),
    ),
    (
        "enroll",
        Verdict(outcome=Outcome.RETRYING, reason=Reason.LMS_REJECTED, error="refused: not now", attempts=1),
    ),
)
_GIVEN_UP = Verdict(outcome=Outcome.FAILED, reason=Reason.LMS_REJECTED, error="refused: not now")


def make_audits(folder: Path, count: int) -> tuple[Path, Path]:
    """An audit of `count` attempts, and one of the first tenth of them."""
    whole, tenth = folder / "whole.db", folder / "tenth.db"
    log = open_audit(f"sqlite:///{whole}")
    with log:
        _fill(log, 0, count // 10)
    # The last connection has emptied the write-ahead log into the file.
    shutil.copy(whole, tenth)
    log = open_audit(f"sqlite:///{whole}")
    with log:
        _fill(log, count // 10, count)
    return whole, tenth


def _fill(log: SqlAuditLog, first: int, last: int) -> None:
    for start in range(first, last, _A_RUN):
        run = f"run{start:09d}"
        at = _BEGIN + timedelta(minutes=5 * start / _A_RUN)
        summary = RunSummary(run_id=run, mode="apply", started_at=at)
        log.open_run(summary, current_origin())
        for records in batched(_records(run, start, min(start + _A_RUN, last), at), _AT_ONCE):
            log.record(records)
            for record in records:
                summary.add(record.verdict, paid_at=record.enrollment.paid_at, at=record.at)
        summary.scanned = sum(summary.outcomes.values())
        summary.close(RunStatus.COMPLETED, at=at + timedelta(minutes=4))
        log.close_run(summary)


def _records(run: str, first: int, last: int, at: datetime) -> Iterator[Record]:
    """Attempts of three for each order: the third of a run's rows, when it comes, gives access."""
    random = Random(first)
    for number in range(first, last):
        order, step = divmod(number, 3)
        if step < 2:
            action, verdict = _FIRST[random.randrange(len(_FIRST))]
        elif random.random() < 0.05:
            action, verdict = "give_up", _GIVEN_UP
        else:
            action, verdict = "confirm", Verdict(outcome=Outcome.ALREADY_ENROLLED, lms_id=f"lms{order:09d}")
        when = at + timedelta(seconds=200 * (number - first) / _A_RUN)
        yield Record(
            run_id=run,
            enrollment=_order(order),
            action=action,
            verdict=verdict,
            at=when,
            shop_tries=order % 3,
        )


def _order(number: int) -> Enrollment:
    address = f"learner{number:07d}@example.com"
    return Enrollment(
        id=f"{number:024x}",
        payment_id=f"pi_bench_{number:09d}",
        member=address,
        email=address,
        course=_COURSES[number % len(_COURSES)],
        amount=Decimal(49 + number % 7 * 25),
        currency="usd",
        paid=True,
        paid_at=_BEGIN - timedelta(hours=1 + number % 200) + timedelta(minutes=15 * number / _A_RUN),
    )
