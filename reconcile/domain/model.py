"""The words of reconcile as types: orders, what the LMS shows, what we decided, what came of it.

An *enrollment* is the storefront's order document; an *LMS enrollment* is the document in Frappe.
All instants are aware UTC; money is in major units (199, 249.5) with its currency beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from reconcile.domain.observation import (
    CourseMissing,
    CourseUnpublished,
    Enrolled,
    MemberDisabled,
    MemberMissing,
    NotEnrolled,
    Observation,
    Unknown,
)
from reconcile.domain.sync import UNNAMED_LMS_ID, SyncState, SyncStatus

#: Handed on, beside what stands here.
__all__ = [
    "UNNAMED_LMS_ID",
    "CourseMissing",
    "CourseUnpublished",
    "Enrolled",
    "MemberDisabled",
    "MemberMissing",
    "NotEnrolled",
    "Observation",
    "SyncState",
    "SyncStatus",
    "Unknown",
]


class Outcome(StrEnum):
    """What came of an enrollment in one run. A closed list: reports and monitoring rely on it."""

    ENROLLED = "enrolled"
    ALREADY_ENROLLED = "already_enrolled"
    RECOVERED = "recovered"
    RETRYING = "retrying"
    WAITING = "waiting"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def has_access(self) -> bool:
        """True where the learner is in the course, by the LMS's own word."""
        return self in (Outcome.ENROLLED, Outcome.ALREADY_ENROLLED, Outcome.RECOVERED)


class Reason(StrEnum):
    """Why. A closed list; docs/operations.md says what a person should do about each."""

    MEMBER_MISSING = "member_missing"
    MEMBER_DISABLED = "member_disabled"
    COURSE_MISSING = "course_missing"
    COURSE_UNPUBLISHED = "course_unpublished"
    INVALID_EMAIL = "invalid_email"
    INVALID_COURSE = "invalid_course"
    MALFORMED = "malformed"
    PLACEHOLDER_EMAIL = "placeholder_email"
    LMS_REJECTED = "lms_rejected"
    LMS_UNAVAILABLE = "lms_unavailable"
    RATE_LIMITED = "rate_limited"
    LMS_TIMEOUT = "lms_timeout"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    BLIND = "blind"
    PROTOCOL = "protocol"
    EXHAUSTED = "exhausted"
    LEASE_HELD = "lease_held"
    RETRY_JOB_ACTIVE = "retry_job_active"
    TOO_NEW = "too_new"
    BACKOFF = "backoff"
    NOT_PAID = "not_paid"
    IGNORED = "ignored"

    @property
    def lms_at_fault(self) -> bool:
        """True where the LMS itself was the obstacle: uses up no attempt, needs no backoff."""
        return self in (Reason.LMS_UNAVAILABLE, Reason.RATE_LIMITED)


#: Flag beside an outcome: another paid order exists for the same learner and course (a refund is due).
DUPLICATE_PAYMENT = "duplicate_payment"
#: Flag: something about the order is not as the storefront writes it; enrolled all the same.
ODD_ORDER = "odd_order"


#: What each outcome makes of `frappeSync.syncStatus`; `skipped` leaves it alone.
SYNC_STATUS = {
    Outcome.ENROLLED: SyncStatus.SUCCESS,
    Outcome.ALREADY_ENROLLED: SyncStatus.SUCCESS,
    Outcome.RECOVERED: SyncStatus.SUCCESS,
    Outcome.RETRYING: SyncStatus.RETRYING,
    Outcome.WAITING: SyncStatus.RETRYING,
    Outcome.FAILED: SyncStatus.FAILED,
}


class EffectKey(NamedTuple):
    """What may exist once in the LMS: one learner in one course. Both parts are normalised."""

    member: str
    course: str


@dataclass(frozen=True, kw_only=True)
class Enrollment:
    """One order that can be sent to the LMS as it is."""

    id: str
    payment_id: str | None
    member: str  #: the LMS account: `lmsContext.frappeEmail` where given, else the buyer's e-mail
    email: str  #: the buyer's e-mail
    course: str
    amount: Decimal | None
    currency: str
    paid: bool
    paid_at: datetime | None  #: the payment where the document tells it, else the checkout's opening
    ordered_at: datetime | None = None  #: the checkout's opening
    touched: tuple[datetime, ...] = ()  #: whatever may tell that the storefront is at it: see `order_times`
    member_from: str | None = None  #: where `member` was found, where that is not the order's own `email`
    referral_code: str | None = None
    sync: SyncState = field(default_factory=SyncState)

    @property
    def key(self) -> EffectKey:
        """The effect key: two orders with the same key are one enrollment in the LMS."""
        return EffectKey(self.member, self.course)


@dataclass(frozen=True, kw_only=True)
class MalformedEnrollment:
    """An order that cannot be sent as it is: a value that is counted and reported, never an exception."""

    id: str
    problems: tuple[str, ...]
    reason: Reason
    payment_id: str | None = None
    email: str | None = None
    course: str | None = None
    amount: Decimal | None = None
    currency: str = "usd"
    paid: bool = True
    paid_at: datetime | None = None
    ordered_at: datetime | None = None
    touched: tuple[datetime, ...] = ()
    sync: SyncState = field(default_factory=SyncState)


AnyEnrollment = Enrollment | MalformedEnrollment


#: What the LMS shows that somebody outside must mend first, and the reason for waiting.
WAITS: dict[type[Observation], Reason] = {
    CourseMissing: Reason.COURSE_MISSING,
    CourseUnpublished: Reason.COURSE_UNPUBLISHED,
    MemberMissing: Reason.MEMBER_MISSING,
    MemberDisabled: Reason.MEMBER_DISABLED,
}


# What should be done about one enrollment.


@dataclass(frozen=True)
class Confirm:
    """The LMS has it; only our side is behind."""

    lms_id: str


@dataclass(frozen=True)
class Enroll:
    """Ask the LMS to create it."""


@dataclass(frozen=True)
class Wait:
    """Blocked on something outside; looked at again every run."""

    reason: Reason


@dataclass(frozen=True)
class Defer:
    """Not before `until`."""

    until: datetime
    reason: Reason


@dataclass(frozen=True)
class GiveUp:
    """Needs a person."""

    reason: Reason


@dataclass(frozen=True)
class Skip:
    """Not ours to do now."""

    reason: Reason


Decision = Confirm | Enroll | Wait | Defer | GiveUp | Skip

ACTIONS: dict[type[Decision], str] = {
    Confirm: "confirm",
    Enroll: "enroll",
    Wait: "wait",
    Defer: "defer",
    GiveUp: "give_up",
    Skip: "skip",
}


def action_of(decision: Decision) -> str:
    """The decision's name in JSON and in the audit."""
    return ACTIONS[type(decision)]


@dataclass(frozen=True, kw_only=True)
class OpenWrite:
    """An attempt whose run is over and has not said what came of it."""

    attempt_id: int
    started_at: datetime
    token: str | None = None  #: of the lease under which it was to be written; earlier versions do not tell


@dataclass(frozen=True, kw_only=True)
class History:
    """What the audit database and the leases remember of one enrollment before this run."""

    visits: int = 0  #: runs of ours whose writes were the enrollment's own to blame; one left open counts
    added: int = 0  #: what they have added to the order's `retryCount`
    writes: int = 0  #: all writes of ours, whoever was to blame
    excused: int = 0  #: writes that failed in a row with others and were blamed on the LMS
    disproved: int = 0  #: of these, the ones after which the LMS enrolled somebody
    last_outcome: Outcome | None = None
    last_reason: Reason | None = None
    last_said_at: datetime | None = None  #: when that verdict was reached: our mark in `lastSyncAttempt`
    last_write_at: datetime | None = None  #: when our last write began
    open_attempts: tuple[OpenWrite, ...] = ()  #: whose process died before their outcome; oldest first
    newest: int | None = None  #: the newest attempt of any kind, finished or not, sent or not
    hold_until: datetime | None = None  #: an unanswered write: nobody writes for this key before then
    ignored_until: datetime | None = None  #: a person has asked to leave it alone until then
    retry_job_active: bool = False  #: the storefront's own worker is at it right now

    @property
    def open_attempt(self) -> int | None:
        """The newest one that a dead process has left open."""
        return self.open_attempts[-1].attempt_id if self.open_attempts else None


NO_HISTORY = History()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one run concluded about one enrollment: goes to the summary, the audit and MongoDB.

    `attempts` is 1 where this run's visit counts (its writes were the enrollment's own to blame, or went
    through), else 0. `error` is plain words without secrets or whole addresses.
    """

    outcome: Outcome
    reason: Reason | None = None
    lms_id: str | None = None
    error: str | None = None
    attempts: int = 0
    flags: frozenset[str] = frozenset()
