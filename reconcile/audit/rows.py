"""What a run, an order and a verdict look like as rows: the only place where columns are filled."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from reconcile import __version__
from reconcile.base.redaction import excerpt, mask_email
from reconcile.domain.identity import normalise_email
from reconcile.domain.model import AnyEnrollment, Enrollment, Verdict
from reconcile.run.ports import End, Intent, Origin, Record
from reconcile.run.summary import RunStatus, RunSummary

Row = dict[str, Any]

#: Amounts are kept as whole ten-thousandths: no currency has more places, and sums stay exact.
_E4 = Decimal(10_000)
#: An error is for a person to read; the rest of a long answer is of no use in an audit.
MAX_ERROR = 1000
_KEY_LENGTH = 32
#: The number of a row that stands for no LMS write.
NO_WRITE = 0


def person_key(secret: bytes, email: str) -> str:
    """The name of a person in the audit: 32 hex digits, the same for every spelling of the address.

    Keyed, so that nobody who has only the rows can try addresses against them.
    """
    address = normalise_email(email).encode("utf-8", "replace")
    return hmac.digest(secret, address, "sha256").hex()[:_KEY_LENGTH]


def run_row(summary: RunSummary, origin: Origin) -> Row:
    """A run that begins."""
    return {
        "run_id": summary.run_id,
        "mode": summary.mode,
        "started_at": summary.started_at,
        "heartbeat_at": summary.started_at,
        "host": origin.host,
        "pid": origin.pid,
        "process_started": origin.process_started,
        "version": __version__,
        **run_progress(summary),
    }


def run_progress(summary: RunSummary) -> Row:
    """What changes about a run until it has ended."""
    over = summary.status is not RunStatus.RUNNING
    return {
        "status": summary.status.value,
        "reason": summary.reason,
        "finished_at": summary.finished_at,
        "scanned": summary.scanned,
        "lms_requests": summary.lms_requests,
        "lms_total": summary.lms_total,
        "unmarked": summary.unmarked,
        "exit_code": int(summary.exit_code) if over else None,
        "outcomes": json.dumps({key.value: n for key, n in sorted(summary.outcomes.items()) if n}),
        "reasons": json.dumps({key.value: n for key, n in sorted(summary.reasons.items()) if n}),
    }


def intent_row(intent: Intent, secret: bytes) -> Row:
    """An attempt that begins."""
    return {
        "run_id": intent.run_id,
        **_order(intent.enrollment, secret),
        "number": intent.number,
        "action": "enroll",
        "started_at": intent.started_at,
        "flags": join_flags(intent.flags),
        "counted": 0,
        "shop_tries": intent.shop_tries,
        "lease_token": intent.lease_token,
    }


def record_row(record: Record, secret: bytes) -> Row:
    """A verdict without a write: begun and finished at once."""
    return {
        "run_id": record.run_id,
        **_order(record.enrollment, secret),
        "number": NO_WRITE,
        "action": record.action,
        "started_at": record.at,
        "http_status": None,
        "shop_tries": record.shop_tries,
        **verdict_columns(record.verdict, at=record.at),
    }


def end_columns(end: End, *, flags: str) -> Row:
    """What the end of an attempt adds to its row, which has `flags` already."""
    return {
        **verdict_columns(end.verdict, at=end.at),
        "http_status": end.http_status,
        "flags": join_flags(end.verdict.flags | split_flags(flags)),
        "never_sent": int(end.never_sent),
    }


def verdict_columns(verdict: Verdict, *, at: datetime) -> Row:
    """What a verdict says, as an attempt's columns."""
    return {
        "finished_at": at,
        "outcome": verdict.outcome.value,
        "reason": verdict.reason.value if verdict.reason is not None else None,
        "lms_enrollment_id": verdict.lms_id,
        "error": excerpt(verdict.error, limit=MAX_ERROR) if verdict.error else None,
        "flags": join_flags(verdict.flags),
        "counted": int(verdict.attempts > 0),
    }


def people_of(enrollment: AnyEnrollment, row: Row) -> Mapping[str, str]:
    """An order's addresses by person key, which its row has: the buyer's and, if another, the learner's."""
    keys = (row["email_key"], row["member_key"])
    return {
        key: address for key, address in zip(keys, _addresses(enrollment), strict=True) if key and address
    }


def join_flags(flags: frozenset[str]) -> str:
    """Flags as one column: sorted words with blanks between."""
    return " ".join(sorted(flags))


def split_flags(column: str) -> frozenset[str]:
    """The flags that a column holds."""
    return frozenset(column.split())


def _addresses(enrollment: AnyEnrollment) -> tuple[str | None, str | None]:
    member = enrollment.member if isinstance(enrollment, Enrollment) else None
    return enrollment.email, member


def _order(enrollment: AnyEnrollment, secret: bytes) -> Row:
    email, member = _addresses(enrollment)
    email_key = person_key(secret, email) if email else None
    is_same = member == email  # most buy for themselves
    return {
        "enrollment_id": enrollment.id,
        "payment_id": enrollment.payment_id,
        "email_masked": mask_email(email) if email else None,
        "email_key": email_key,
        "member_key": email_key if is_same else person_key(secret, member) if member else None,
        "course": enrollment.course,
        "amount_e4": _ten_thousandths(enrollment.amount),
        "currency": enrollment.currency,
        "paid_at": enrollment.paid_at,
    }


def _ten_thousandths(amount: Decimal | None) -> int | None:
    if amount is None:
        return None
    return int((amount * _E4).to_integral_value(rounding=ROUND_HALF_EVEN))
