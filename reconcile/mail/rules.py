"""One mail to a learner: what a server may answer, and which state (`domain.mail_status`) follows. Pure.

pending ── claimed, committed ──> sending ── accepted ──────────────> sent
   ^                                 │ ├──── refused (5xx) ─────────> bounced
   └── try again later (4xx, network)┘ ├──── out of tries ──────────> failed
                                       └──── no answer to the whole
                                             mail, or the process
                                             died ──────────────────> unknown: never sent again
pending, and the person was forgotten ──────────────────────────────> forgotten
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconcile.domain.mail_status import MailStatus
from reconcile.domain.model import Outcome
from reconcile.run.retry import RetryPolicy

#: What is mailed: access that a run gave, or found to have given. `already_enrolled` is not our doing.
MAILED = frozenset({Outcome.ENROLLED, Outcome.RECOVERED})

#: 2, 4, 8 … minutes, at most 6 hours, ± 10 %: a bit more than a day in all.
_BACKOFF = RetryPolicy(max_attempts=12, backoff_base=120.0, backoff_max=6 * 3600.0)
MAX_TRIES = _BACKOFF.max_attempts


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The server has taken the mail."""

    code: int


@dataclass(frozen=True, kw_only=True)
class Bounced:
    """The server will never take this mail (5xx). `code` is None where it was not even asked."""

    error: str
    code: int | None = None


@dataclass(frozen=True, kw_only=True)
class Later:
    """Certainly not taken, and likely to be another time (4xx, network).

    `broken`: the conversation is over. `hopeless`: the next mail would be answered the same.
    """

    error: str
    code: int | None = None
    broken: bool = False
    hopeless: bool = False


@dataclass(frozen=True, kw_only=True)
class Unclear:
    """Sent to its last byte and not answered: taken or not, nobody knows."""

    error: str


MailAnswer = Accepted | Bounced | Later | Unclear


@dataclass(frozen=True, kw_only=True)
class MailEnd:
    """What becomes of a mail: its next state, and when it is tried again if that is `pending`."""

    status: MailStatus
    next_try_at: datetime | None = None
    code: int | None = None
    error: str | None = None


def conclude(answer: MailAnswer, *, enrollment_id: str, tries: int, now: datetime) -> MailEnd:
    """What an answer means for a mail that was tried `tries` times, this one included."""
    match answer:
        case Accepted(code=code):
            return MailEnd(status=MailStatus.SENT, code=code)
        case Bounced(error=error, code=code):
            return MailEnd(status=MailStatus.BOUNCED, code=code, error=error)
        case Unclear(error=error):
            return MailEnd(status=MailStatus.UNKNOWN, error=error)
    if tries >= MAX_TRIES:
        return MailEnd(status=MailStatus.FAILED, code=answer.code, error=answer.error)
    wait = timedelta(seconds=_BACKOFF.delay(enrollment_id, tries))
    return MailEnd(status=MailStatus.PENDING, next_try_at=now + wait, code=answer.code, error=answer.error)
