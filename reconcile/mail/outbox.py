"""The outbox in the audit database: mail that is owed is written with the outcome that owes it.

`post` runs inside the audit's own transaction; everything else is a transaction of its own. What is
claimed is committed as `sending` before the mail server hears of it, so that a crash leaves a row
that says so.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from reconcile.audit.process import is_gone
from reconcile.audit.schema import read_secret
from reconcile.audit.store import Store, insert_new
from reconcile.audit.tables import outbox, people
from reconcile.base.redaction import excerpt
from reconcile.domain.mail_status import MailStatus
from reconcile.domain.model import UNNAMED_LMS_ID
from reconcile.mail.rules import MAILED, MailEnd
from reconcile.run.ports import Origin

_NAME_LENGTH = 32
_AGAIN = tuple(status.value for status in MailStatus if status.may_be_sent_again)
_accounts = people.alias("accounts")


@dataclass(frozen=True, kw_only=True)
class Due:
    """A mail whose turn it is."""

    enrollment_id: str
    course: str


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A mail that is ours to send now, with all that it is about. `tries` counts this one."""

    enrollment_id: str
    token: str
    tries: int
    course: str
    payment_id: str | None
    email: str  #: the buyer's
    account: str | None  #: the LMS account's; None where that person was forgotten


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A mail as the outbox has it, for people to read."""

    enrollment_id: str
    status: str
    course: str
    email: str | None  #: None where the person was forgotten
    tries: int
    created_at: datetime
    changed_at: datetime
    next_try_at: datetime | None  #: only while it is pending
    smtp_code: int | None
    error: str | None


def post(connection: Connection, attempts: Iterable[Mapping[Any, Any]]) -> None:
    """Owe a mail for each of these finished attempts' rows that gave access; once for an order, ever.

    Once for an LMS enrollment as well: two orders may both be found to have led to it.
    """
    rows = [_row(attempt) for attempt in attempts if _is_owed(attempt)]
    if rows:
        insert_new(connection, outbox, rows)


def _is_owed(attempt: Mapping[Any, Any]) -> bool:
    return attempt["outcome"] in MAILED and bool(attempt["email_key"] and attempt["course"])


def _row(attempt: Mapping[Any, Any]) -> dict[str, Any]:
    lms_id = attempt["lms_enrollment_id"]
    at = attempt["finished_at"]
    return {
        "enrollment_id": attempt["enrollment_id"],
        # Said by an LMS without a key, it names nothing.
        "lms_enrollment_id": lms_id if lms_id != UNNAMED_LMS_ID else None,
        "payment_id": attempt["payment_id"],
        "person_key": attempt["email_key"],
        "member_key": attempt["member_key"],
        "course": attempt["course"],
        "status": MailStatus.PENDING.value,
        "created_at": at,
        "changed_at": at,
        "next_try_at": at,
        "tries": 0,
    }


class SqlOutbox:
    """The mails that are owed. Each method is one committed transaction. Thread-safe.

    Every method raises AuditUnavailable only.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._secret = read_secret(store)

    def give_up_lost(self, *, origin: Origin, stale_before: datetime, at: datetime) -> Sequence[str]:
        """End as `unknown` what processes that are gone were sending; their orders' ids. May be repeated."""
        sending = outbox.c.status == MailStatus.SENDING.value
        with self._store.reading() as connection:
            found = connection.execute(select(outbox).where(sending)).all()
        gone = [
            row
            for row in found
            if is_gone(_sender(row), seen_from=origin, is_stale=row.claimed_at < stale_before)
        ]
        if not gone:
            return []
        end = MailEnd(status=MailStatus.UNKNOWN, error="the process that was sending it is gone")
        with self._store.writing() as connection:
            return [
                row.enrollment_id
                for row in gone
                if _end(connection, row.enrollment_id, row.claim, end, at=at) == 1
            ]

    def due(self, at: datetime, *, limit: int) -> Sequence[Due]:
        """The mails whose turn it is, the longest waiting first."""
        query = (
            select(outbox.c.enrollment_id, outbox.c.course)
            .where(outbox.c.status == MailStatus.PENDING.value, outbox.c.next_try_at <= at)
            .order_by(outbox.c.next_try_at, outbox.c.enrollment_id)
            .limit(limit)
        )
        with self._store.reading() as connection:
            rows = connection.execute(query).all()
        return [Due(enrollment_id=row.enrollment_id, course=row.course) for row in rows]

    def claim(self, enrollment_id: str, *, origin: Origin, at: datetime) -> Claim | None:
        """Take one mail to send it; None where somebody else has it or the person was forgotten.

        A conditional update, so that two processes never both have it.
        """
        this = outbox.c.enrollment_id == enrollment_id
        token = secrets.token_hex(16)
        with self._store.writing() as connection:
            taken = connection.execute(
                update(outbox)
                .where(this, outbox.c.status == MailStatus.PENDING.value, outbox.c.next_try_at <= at)
                .values(
                    status=MailStatus.SENDING.value,
                    claim=token,
                    claimed_at=at,
                    changed_at=at,
                    host=origin.host,
                    pid=origin.pid,
                    process_started=origin.process_started,
                    tries=outbox.c.tries + 1,
                )
            )
            if taken.rowcount != 1:
                return None
            row = connection.execute(_with_people().where(this)).one()
            if row.email is None:
                _end(connection, enrollment_id, token, MailEnd(status=MailStatus.FORGOTTEN), at=at)
                return None
        return Claim(
            enrollment_id=enrollment_id,
            token=token,
            tries=row.tries,
            course=row.course,
            payment_id=row.payment_id,
            email=row.email,
            account=row.account,
        )

    def settle(self, claim: Claim, end: MailEnd, *, at: datetime) -> None:
        """Record what became of a mail that was taken."""
        with self._store.writing() as connection:
            _end(connection, claim.enrollment_id, claim.token, end, at=at)

    def counts(self) -> Mapping[MailStatus, int]:
        """How many mails are in each state; absent means none."""
        query = select(outbox.c.status, func.count().label("mails")).group_by(outbox.c.status)
        with self._store.reading() as connection:
            found = {row.status: row.mails for row in connection.execute(query)}
        return {status: found[status.value] for status in MailStatus if status.value in found}

    def message_name(self, enrollment_id: str) -> str:
        """The part before the @ of this mail's Message-ID: the same always, and telling nobody anything."""
        named = hmac.new(self._secret, f"mail:{enrollment_id}".encode(), hashlib.sha256)
        return named.hexdigest()[:_NAME_LENGTH]

    def unsent(self) -> Sequence[Stored]:
        """Every mail that was not sent, the oldest first."""
        query = _with_people().where(outbox.c.status != MailStatus.SENT.value)
        with self._store.reading() as connection:
            rows = connection.execute(query.order_by(outbox.c.created_at, outbox.c.enrollment_id)).all()
        return [_stored(row) for row in rows]

    def send_again(self, enrollment_ids: Iterable[str], *, at: datetime) -> Sequence[str]:
        """Make these pending once more, with all their tries; the ids of those that could be."""
        with self._store.writing() as connection:
            return [
                enrollment_id
                for enrollment_id in dict.fromkeys(enrollment_ids)
                if connection.execute(
                    update(outbox)
                    .where(outbox.c.enrollment_id == enrollment_id, outbox.c.status.in_(_AGAIN))
                    .values(status=MailStatus.PENDING.value, tries=0, next_try_at=at, changed_at=at)
                ).rowcount
                == 1
            ]


def _with_people() -> Any:
    return (
        select(outbox, people.c.email, _accounts.c.email.label("account"))
        .outerjoin(people, people.c.person_key == outbox.c.person_key)
        .outerjoin(_accounts, _accounts.c.person_key == outbox.c.member_key)
    )


def _end(connection: Connection, enrollment_id: str, token: str, end: MailEnd, *, at: datetime) -> int:
    """End a claim; 0 where it is no longer this one."""
    values: dict[str, Any] = {
        "status": end.status.value,
        "changed_at": at,
        "claim": None,
        "claimed_at": None,
        "smtp_code": end.code,
        "error": excerpt(end.error) if end.error else None,
    }
    if end.next_try_at is not None:
        values["next_try_at"] = end.next_try_at
    this = (outbox.c.enrollment_id == enrollment_id, outbox.c.claim == token)
    return connection.execute(update(outbox).where(*this).values(**values)).rowcount


def _sender(row: Row[Any]) -> Origin:
    return Origin(host=row.host, pid=row.pid, process_started=row.process_started)


def _stored(row: Row[Any]) -> Stored:
    pending = row.status == MailStatus.PENDING.value
    return Stored(
        enrollment_id=row.enrollment_id,
        status=row.status,
        course=row.course,
        email=row.email,
        tries=row.tries,
        created_at=row.created_at,
        changed_at=row.changed_at,
        next_try_at=row.next_try_at if pending else None,
        smtp_code=row.smtp_code,
        error=row.error,
    )
