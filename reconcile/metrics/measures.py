"""What is counted for monitoring: the closed lists of label values, and the bounds of what takes time. Pure.

What each number means to people stands in docs/monitoring.md.
"""

from __future__ import annotations

from reconcile.domain.model import Outcome, Reason, SyncStatus
from reconcile.run.summary import RunStatus
from reconcile.story.backlog import UNSET

#: How a run that is over has ended.
RUN_STATUSES = tuple(status.value for status in RunStatus if status is not RunStatus.RUNNING)

#: The label value where an outcome has no reason: an empty one would be no label at all.
NO_REASON = "none"

#: Which reasons an outcome can have (INTERFACE, "Outcomes and reasons").
REASONS_OF: dict[Outcome, tuple[Reason | None, ...]] = {
    Outcome.ENROLLED: (None,),
    Outcome.ALREADY_ENROLLED: (None,),
    Outcome.RECOVERED: (None,),
    Outcome.RETRYING: (
        Reason.LMS_REJECTED,
        Reason.LMS_UNAVAILABLE,
        Reason.RATE_LIMITED,
        Reason.LMS_TIMEOUT,
        Reason.PROTOCOL,
    ),
    Outcome.WAITING: (
        Reason.MEMBER_MISSING,
        Reason.MEMBER_DISABLED,
        Reason.COURSE_MISSING,
        Reason.COURSE_UNPUBLISHED,
    ),
    Outcome.FAILED: (
        Reason.INVALID_EMAIL,
        Reason.INVALID_COURSE,
        Reason.MALFORMED,
        Reason.PLACEHOLDER_EMAIL,
        Reason.LMS_REJECTED,
        Reason.LMS_TIMEOUT,
        Reason.PROTOCOL,
        Reason.EXHAUSTED,
    ),
    # None: the storefront has synced the order while we worked.
    Outcome.SKIPPED: (
        None,
        Reason.LEASE_HELD,
        Reason.RETRY_JOB_ACTIVE,
        Reason.TOO_NEW,
        Reason.BACKOFF,
        Reason.NOT_PAID,
        Reason.IGNORED,
    ),
}
VERDICTS = tuple(
    (outcome.value, reason.value if reason is not None else NO_REASON)
    for outcome, reasons in REASONS_OF.items()
    for reason in reasons
)

#: The storefront's words, and the one for none of them.
BACKLOG_STATUSES = (SyncStatus.PENDING.value, SyncStatus.RETRYING.value, SyncStatus.FAILED.value, UNSET)

#: What the LMS is asked. `other` is what no run asks, but another command may.
OPERATIONS = ("ping", "sight", "enrollments", "users", "courses", "enroll", "other")
#: How it answers: redirects are among 4xx (the address is another's), `none` is no answer at all.
ANSWERS = ("2xx", "4xx", "429", "5xx", "none")

#: What may become of a job when its time has come.
JOB_EVENTS = ("done", "failed", "error", "missed", "max_instances")

#: Seconds. The default patience with one request (RECONCILE_TIMEOUT) is a bound.
REQUEST_BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RUN_BOUNDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


def answer_of(http_status: int | None) -> str:
    """The label value for an HTTP status; None is no answer."""
    if http_status is None:
        return "none"
    if http_status == 429:
        return "429"
    if http_status >= 500:
        return "5xx"
    return "2xx" if 200 <= http_status < 300 else "4xx"
