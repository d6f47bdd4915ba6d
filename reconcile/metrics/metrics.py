"""The numbers for monitoring, in Prometheus' words: what this process has counted, and how things stand.

A registry of our own: the library's global one would add what others register. docs/monitoring.md
explains the numbers, `measures` has the values of their labels.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from reconcile.domain.histogram import Histogram
from reconcile.domain.shop_queue import ShopQueue
from reconcile.metrics.measures import (
    ANSWERS,
    BACKLOG_STATUSES,
    JOB_EVENTS,
    NO_REASON,
    OPERATIONS,
    REQUEST_BOUNDS,
    RUN_BOUNDS,
    RUN_STATUSES,
    VERDICTS,
    answer_of,
)
from reconcile.run.summary import WAIT_BOUNDS, RunStatus, RunSummary
from reconcile.story.backlog import Backlog


class Spread(Collector):
    """A metric of the type histogram.

    Not the library's own: that one cannot take over what a run has counted, and it writes the bound of
    30 days as `2.592e+06`, which would be another series than the one that is stored everywhere.
    """

    def __init__(
        self,
        name: str,
        about: str,
        labels: Sequence[str] = (),
        *,
        bounds: tuple[float, ...],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._about, self._labels, self._bounds = name, about, labels, bounds
        self._spreads: dict[tuple[str, ...], Histogram] = {}
        registry.register(self)

    def labels(self, *values: str) -> Histogram:
        """The one with these label values."""
        return self._spreads.setdefault(values, Histogram(bounds=self._bounds))

    def collect(self) -> Iterator[Metric]:
        """As the library wants it."""
        metric = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        for values, spread in self._spreads.items():
            buckets = [
                ("+Inf" if math.isinf(bound) else str(float(bound)), float(count))
                for bound, count in spread.cumulative()
            ]
            metric.add_metric(values, buckets, spread.total)
        yield metric


class Metrics:
    """What was counted and how things stand. Thread-safe; every method returns at once.

    Every label value is there from the beginning. What nobody could look at yet is NaN.
    """

    def __init__(self, *, jobs: Iterable[str] = ()) -> None:
        """`jobs`: whose events are counted, though none has happened yet."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's
        self._lock = threading.Lock()
        self._registry = ours = CollectorRegistry()
        counter, gauge = partial(Counter, registry=ours), partial(Gauge, registry=ours)
        self._runs = counter("reconcile_runs_total", "Runs that are over, by their end.", ["status"])
        self._verdicts = counter(
            "reconcile_enrollments_total",
            "Verdicts on orders, one for each order and run.",
            ["outcome", "reason"],
        )
        self._backlog = gauge(
            "reconcile_backlog", "Paid orders without confirmed access, by sync status.", ["status"]
        )
        self._oldest = gauge(
            "reconcile_oldest_unsynced_seconds",
            "How long the oldest paid order without confirmed access has waited.",
        )
        self._amounts = gauge(
            "reconcile_unsynced_amount", "Money paid without confirmed access, in major units.", ["currency"]
        )
        self._unmarked = gauge(
            "reconcile_unmarked_orders",
            "Orders that somebody has paid and that the shop has never marked as paid.",
        )
        self._jobs_open = gauge(
            "reconcile_shop_jobs_open", "Jobs in the shop's own retry queue that are not done."
        )
        self._jobs_overdue = gauge(
            "reconcile_shop_jobs_overdue", "Of these, the ones whose time has come and that nobody is at."
        )
        self._durations = Spread(
            "reconcile_run_duration_seconds", "How long runs took.", bounds=RUN_BOUNDS, registry=ours
        )
        self._requests = Spread(
            "reconcile_lms_request_duration_seconds",
            "How long the LMS took to answer a request, or not to.",
            ["operation", "status"],
            bounds=REQUEST_BOUNDS,
            registry=ours,
        )
        self._last_success = gauge(
            "reconcile_last_success_timestamp_seconds",
            "When the last completed run ended (Unix time); 0 where none is known.",
        )
        self._waits = Spread(
            "reconcile_paid_to_access_seconds",
            "From payment to access, for those who got it by us.",
            bounds=WAIT_BOUNDS,
            registry=ours,
        )
        self._job_events = counter(
            "reconcile_job_events_total", "What became of the scheduler's jobs.", ["job", "event"]
        )
        for status in sorted(RUN_STATUSES):
            self._runs.labels(status)
        for verdict in sorted(VERDICTS):
            self._verdicts.labels(*verdict)
        for operation in sorted(OPERATIONS):
            for answer in sorted(ANSWERS):
                self._requests.labels(operation, answer)
        for job in sorted(jobs):
            for event in sorted(JOB_EVENTS):
                self._job_events.labels(job, event)
        self._durations.labels()
        self._waits.labels()
        for status in sorted(BACKLOG_STATUSES):
            self._backlog.labels(status).set(math.nan)
        self._amounts.labels("usd").set(math.nan)
        for unknown in (self._oldest, self._unmarked, self._jobs_open, self._jobs_overdue):
            unknown.set(math.nan)
        #: The last look at the backlog: the oldest goes on waiting after it.
        self._seen: Backlog | None = None
        #: Every currency that was ever seen stays, with 0.
        self._currencies = {"usd"}
        self._succeeded_at = 0.0

    def run_over(self, summary: RunSummary) -> None:
        """Count a run that is over, and those of dead processes that it has closed."""
        with self._lock:
            self._runs.labels(summary.status.value).inc()
            self._runs.labels(RunStatus.CRASHED.value).inc(summary.buried)
            for (outcome, reason), count in summary.verdicts.items():
                self._verdicts.labels(outcome.value, reason.value if reason else NO_REASON).inc(count)
            self._waits.labels().add(summary.waits)
            if summary.finished_at is not None:
                took = (summary.finished_at - summary.started_at).total_seconds()
                self._durations.labels().observe(took)
        if summary.status is RunStatus.COMPLETED and summary.finished_at is not None:
            self.succeeded(summary.finished_at)

    def run_broke(self) -> None:
        """Count a run that could not even begin, or that a bug has ended, as aborted."""
        self._runs.labels(RunStatus.ABORTED.value).inc()

    def request(self, operation: str, http_status: int | None, seconds: float) -> None:
        """Count one request to the LMS; an operation that is not in the list as `other`."""
        kind = operation if operation in OPERATIONS else "other"
        with self._lock:
            self._requests.labels(kind, answer_of(http_status)).observe(seconds)

    def job_event(self, job: str, event: str) -> None:
        """Count what became of a job; `event` is one of JOB_EVENTS."""
        self._job_events.labels(job, event).inc()

    def saw(self, backlog: Backlog) -> None:
        """Take over what a look at the backlog has found."""
        with self._lock:
            self._seen = backlog
            for status, count in backlog.statuses().items():
                self._backlog.labels(status).set(count)
            self._currencies |= backlog.amounts.keys()
            self._amounts.clear()
            for currency in sorted(self._currencies):
                self._amounts.labels(currency).set(float(backlog.amount(currency)))

    def saw_shop(self, *, unmarked: int, queue: ShopQueue) -> None:
        """Take over what the shop itself has left undone."""
        with self._lock:
            self._unmarked.set(unmarked)
            self._jobs_open.set(queue.open)
            self._jobs_overdue.set(queue.overdue)

    def succeeded(self, at: datetime) -> None:
        """A run, of this process or of another one, ended well then."""
        with self._lock:
            self._succeeded_at = max(self._succeeded_at, at.timestamp())
            self._last_success.set(self._succeeded_at)

    def value(self, name: str, **labels: str) -> float:
        """One number, by its whole name. Raises KeyError where there is none."""
        found = self._registry.get_sample_value(name, labels)
        if found is None:
            raise KeyError(name)
        return found

    def collect(self, now: datetime) -> list[Metric]:
        """All the numbers as they are now; the caller's own."""
        with self._lock:
            if self._seen is not None:
                since = self._seen.oldest_paid_at or now
                self._oldest.set(max((now - since).total_seconds(), 0.0))
            return list(self._registry.collect())


def exposition(metrics: Iterable[Metric], *, accept: str = "") -> tuple[bytes, str]:
    """The text and its content type; OpenMetrics where `accept` asks for it, else the format 0.0.4."""
    registry = CollectorRegistry()
    registry.register(_Collected(list(metrics)))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collected(Collector):
    """What is told as it stands."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics
