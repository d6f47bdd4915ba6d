"""What mailing needs from the world, as Protocols, with the values that cross them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from reconcile.domain.mail_status import MailStatus
from reconcile.mail.rules import MailAnswer, MailEnd
from reconcile.run.ports import Origin


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One mail, ready to be sent. `message_id` is the same whenever this mail is made."""

    to: str
    message_id: str
    at: datetime
    subject: str
    text: str
    html: str | None = None


class MailSession(Protocol):
    """One conversation with the mail server, for several mails."""

    def send(self, mail: Mail) -> MailAnswer:
        """Hand one mail over; bounded in time, never raises. NOT to be repeated after Unclear."""
        ...


class Mailer(Protocol):
    """The mail server."""

    def session(self) -> AbstractContextManager[MailSession]:
        """Begin a conversation. Raises MailUnavailable."""
        ...


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


class Outbox(Protocol):
    """The mails that are owed. Each method is one committed transaction. Raises AuditUnavailable."""

    def give_up_lost(self, *, origin: Origin, stale_before: datetime, at: datetime) -> Sequence[str]:
        """End as `unknown` what processes that are gone were sending; their orders' ids. May be repeated."""
        ...

    def due(self, at: datetime, *, limit: int) -> Sequence[Due]:
        """The mails whose turn it is, the longest waiting first. Read only."""
        ...

    def claim(self, enrollment_id: str, *, origin: Origin, at: datetime) -> Claim | None:
        """Take one mail to send it; None where somebody else has it or the person was forgotten."""
        ...

    def settle(self, claim: Claim, end: MailEnd, *, at: datetime) -> None:
        """Record what became of a mail that was taken."""
        ...

    def counts(self) -> Mapping[MailStatus, int]:
        """How many mails are in each state; absent means none. Read only."""
        ...

    def message_name(self, enrollment_id: str) -> str:
        """The part before the @ of this mail's Message-ID: the same always, and telling nobody anything."""
        ...
