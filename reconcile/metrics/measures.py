"""What is counted for monitoring: the closed lists of label values, and the counts. Pure.

What each number means to people stands in docs/monitoring.md; names and format are an adapter's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from reconcile.domain.histogram import Histogram
from reconcile.domain.model import Outcome, Reason, SyncStatus
from reconcile.domain.shop_queue import ShopQueue
from reconcile.run.summary import WAITS, RunStatus, RunSummary
from reconcile.story.backlog import UNSET, Backlog

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


@dataclass(kw_only=True)
class Tally:
    """What has been counted: it only grows, and every label value is there from the beginning."""

    runs: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(RUN_STATUSES, 0)))
    verdicts: Counter[tuple[str, str]] = field(default_factory=lambda: Counter(dict.fromkeys(VERDICTS, 0)))
    durations: Histogram = field(default_factory=lambda: Histogram(bounds=RUN_BOUNDS))
    waits: Histogram = field(default_factory=lambda: Histogram(bounds=WAITS))
    requests: dict[tuple[str, str], Histogram] = field(
        default_factory=lambda: {
            (operation, answer): Histogram(bounds=REQUEST_BOUNDS)
            for operation in OPERATIONS
            for answer in ANSWERS
        }
    )
    events: Counter[tuple[str, str]] = field(default_factory=Counter)

    def count_run(self, summary: RunSummary) -> None:
        """Count one run that is over, and those of dead processes that it has closed."""
        self.runs[summary.status.value] += 1
        self.runs[RunStatus.CRASHED.value] += summary.buried
        for (outcome, reason), count in summary.verdicts.items():
            self.verdicts[outcome.value, reason.value if reason is not None else NO_REASON] += count
        self.waits.add(summary.waits)
        if summary.finished_at is not None:
            self.durations.observe((summary.finished_at - summary.started_at).total_seconds())

    def count_request(self, operation: str, http_status: int | None, seconds: float) -> None:
        """Count one request to the LMS; an operation that is not in the list as `other`."""
        kind = operation if operation in OPERATIONS else "other"
        self.requests[kind, answer_of(http_status)].observe(seconds)

    def expect_jobs(self, names: Iterable[str]) -> None:
        """Have the events of these jobs at hand, though none has happened."""
        for name in names:
            for event in JOB_EVENTS:
                self.events[name, event] += 0

    def add(self, other: Tally) -> None:
        """Count what `other` has counted. Raises ValueError for histograms with other bounds."""
        self.durations.add(other.durations)
        self.waits.add(other.waits)
        for labels, spread in other.requests.items():
            self.requests.setdefault(labels, Histogram(bounds=REQUEST_BOUNDS)).add(spread)
        self.runs.update(other.runs)
        self.verdicts.update(other.verdicts)
        self.events.update(other.events)


@dataclass(kw_only=True)
class Standing:
    """How things stand: looked at after each run. None where nobody could look yet."""

    backlog: dict[str, int] | None = None
    #: Money by currency, in major units; a currency that was there once stays, with 0.
    amounts: dict[str, Decimal] = field(default_factory=lambda: {"usd": Decimal(0)})
    oldest_paid_at: datetime | None = None
    last_success: datetime | None = None
    unmarked: int | None = None  #: orders that were paid and never marked as paid
    jobs_open: int | None = None  #: in the shop's own retry queue
    jobs_overdue: int | None = None  #: of these, the ones that nobody has taken up in time

    def see(self, backlog: Backlog) -> None:
        """Take over what a look at the backlog has found."""
        self.backlog = backlog.statuses()
        self.amounts = {currency: Decimal(0) for currency in self.amounts} | {
            currency: backlog.amount(currency) for currency in backlog.amounts
        }
        self.oldest_paid_at = backlog.oldest_paid_at

    def see_shop(self, *, unmarked: int, queue: ShopQueue) -> None:
        """Take over what the shop itself has left undone."""
        self.unmarked, self.jobs_open, self.jobs_overdue = unmarked, queue.open, queue.overdue

    def succeeded(self, at: datetime) -> None:
        """A run ended well then."""
        self.last_success = at if self.last_success is None else max(self.last_success, at)

    def go_on_from(self, before: Standing) -> None:
        """Keep what was known before of what nobody could look at since, and the currencies there were."""
        if self.backlog is None:
            self.backlog, self.oldest_paid_at = before.backlog, before.oldest_paid_at
            self.amounts |= before.amounts
        else:
            self.amounts = {currency: Decimal(0) for currency in before.amounts} | self.amounts
        if self.unmarked is None:
            self.unmarked, self.jobs_open = before.unmarked, before.jobs_open
            self.jobs_overdue = before.jobs_overdue
        if before.last_success is not None:
            self.succeeded(before.last_success)

    def oldest_age(self, now: datetime) -> float | None:
        """For how many seconds the oldest unsynced order waits; 0 where there is none, None unknown."""
        if self.backlog is None:
            return None
        if self.oldest_paid_at is None:
            return 0.0
        return max((now - self.oldest_paid_at).total_seconds(), 0.0)
