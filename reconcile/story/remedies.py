"""What a person should do about each reason: one text for `explain`, reports and docs/operations.md. Pure."""

from __future__ import annotations

from reconcile.domain.model import Reason

#: Nothing can or need be done by a person.
NOTHING = "nothing"

#: In Markdown, as docs/operations.md has it; a test compares both.
REMEDIES: dict[Reason, str] = {
    Reason.MEMBER_MISSING: "the learner signs up (or correct `email`, or set `lmsContext.frappeEmail`); "
    "access follows by itself",
    Reason.MEMBER_DISABLED: "enable it in the LMS",
    Reason.COURSE_MISSING: "correct `courseId`, or create or rename the course",
    Reason.COURSE_UNPUBLISHED: "publish it",
    Reason.INVALID_EMAIL: "correct `email` in the order",
    Reason.INVALID_COURSE: "correct it in the order",
    Reason.MALFORMED: "correct the fields",
    Reason.PLACEHOLDER_EMAIL: "find the payer in the payment provider, then set `lmsContext.frappeEmail` "
    "to their LMS account; access follows by itself",
    Reason.LMS_REJECTED: "read the error: payment missing, self-learning disabled, …",
    Reason.LMS_UNAVAILABLE: "nothing; if it lasts, look at the LMS",
    Reason.RATE_LIMITED: "nothing; `RECONCILE_RATE` makes reconcile gentler",
    Reason.LMS_TIMEOUT: "nothing; if many: the LMS is slow",
    Reason.UNAUTHORIZED: "correct `FRAPPE_LMS_API_KEY`",
    Reason.FORBIDDEN: "give it the role Moderator",
    Reason.BLIND: "give its user the role Moderator; check that it is the right site",
    Reason.PROTOCOL: "check the address; without the vendor's method set `RECONCILE_ENROLL_VIA=rest`",
    Reason.EXHAUSTED: "find out why, then `reconcile retry ID`",
    Reason.LEASE_HELD: NOTHING,
    Reason.RETRY_JOB_ACTIVE: NOTHING,
    Reason.TOO_NEW: NOTHING,
    Reason.BACKOFF: NOTHING,
    Reason.NOT_PAID: NOTHING,
    Reason.IGNORED: "`reconcile ignore --list` says who, why and until when",
}
