"""One plain sentence for each reason: for the order's `errorMessage`, for reports and for people."""

from __future__ import annotations

from reconcile.domain.model import Reason

SENTENCES: dict[Reason, str] = {
    Reason.MEMBER_MISSING: "The LMS has no account with this e-mail yet; access follows after sign-up.",
    Reason.MEMBER_DISABLED: "The learner's LMS account is disabled; enable it and access follows by itself.",
    Reason.COURSE_MISSING: "The LMS has no course with this name; check courseId against the LMS.",
    Reason.COURSE_UNPUBLISHED: "The course is not published in the LMS; once it is, access follows.",
    Reason.INVALID_EMAIL: "The e-mail address cannot exist as written; correct it in the order.",
    Reason.INVALID_COURSE: "courseId is not a course slug; correct it in the order.",
    Reason.MALFORMED: "The order cannot be sent as it is; correct the fields named.",
    Reason.PLACEHOLDER_EMAIL: "The shop made this e-mail address up; find out whose order it is.",
    Reason.LMS_REJECTED: "The LMS refused this enrollment.",
    Reason.LMS_UNAVAILABLE: "The LMS was not available; tried again by itself.",
    Reason.RATE_LIMITED: "The LMS asked for fewer requests; tried again by itself.",
    Reason.LMS_TIMEOUT: "The LMS did not answer in time; looked at again before anything is sent again.",
    Reason.UNAUTHORIZED: "The LMS does not accept the API key.",
    Reason.FORBIDDEN: "The API key's user lacks the role that is needed in the LMS.",
    Reason.BLIND: "The API key cannot see other people's enrollments.",
    Reason.PROTOCOL: "The LMS answered with something that is not its contract.",
    Reason.EXHAUSTED: "Our visits are used up; a person should look, then `reconcile retry` tries once more.",
    Reason.LEASE_HELD: "Another process is at it, or an unanswered write is waited out.",
    Reason.RETRY_JOB_ACTIVE: "The storefront's own retry worker is working on this order.",
    Reason.TOO_NEW: "Paid, or tried by the shop itself, so lately that the shop may still be at it.",
    Reason.BACKOFF: "Waiting before the next attempt.",
    Reason.NOT_PAID: "The order is not paid.",
    Reason.IGNORED: "Left alone because a person asked for it; `reconcile ignore --list` says until when.",
}

_MAX_ERROR = 500


def sentence(reason: Reason | None, error: str | None = None) -> str:
    """The sentence for `reason`, with what the LMS itself said behind it, at most 500 characters."""
    said = " ".join((error or "").split())
    text = SENTENCES[reason] if reason is not None else ""
    if said and text:
        return f"{text} ({said})"[:_MAX_ERROR]
    return (said or text)[:_MAX_ERROR]
