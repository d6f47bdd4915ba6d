"""The numbers for monitoring: what this process has counted, and a look at the backlog after each run.

The look is one more index-bounded scan of the backlog. It follows the run, and not the scrape: a
scrape must answer at once whatever the backlog, and whoever scrapes must not be able to load MongoDB.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable
from datetime import datetime

from reconcile.base import log
from reconcile.base.errors import ReconcileError, StoreUnavailable
from reconcile.domain.shop_queue import ShopQueue
from reconcile.metrics.measures import Standing, Tally
from reconcile.run.follow_up import Finished
from reconcile.run.options import Ports
from reconcile.run.source import Selection
from reconcile.run.summary import RunStatus, RunSummary
from reconcile.run.unmarked import find_unmarked
from reconcile.story.backlog import Backlog

_log = log.get_logger(__name__)

#: Seconds that a look at the backlog may take.
LONGEST_LOOK = 60.0


class Metrics:
    """What was counted and how things stand. Thread-safe; every method returns at once."""

    def __init__(self, *, jobs: Iterable[str] = ()) -> None:
        """`jobs`: whose events are counted, though none has happened yet."""
        self._lock = threading.Lock()
        self._tally = Tally()
        self._tally.expect_jobs(jobs)
        self._standing = Standing()

    def run_over(self, summary: RunSummary) -> None:
        """Count a run that is over."""
        with self._lock:
            self._tally.count_run(summary)
            if summary.status is RunStatus.COMPLETED and summary.finished_at is not None:
                self._standing.succeeded(summary.finished_at)

    def run_broke(self) -> None:
        """Count a run that could not even begin, or that a bug has ended, as aborted."""
        with self._lock:
            self._tally.runs[RunStatus.ABORTED.value] += 1

    def request(self, operation: str, http_status: int | None, seconds: float) -> None:
        """Count a request to the LMS; `operation` is one of `domain.measures.OPERATIONS`."""
        with self._lock:
            self._tally.count_request(operation, http_status, seconds)

    def job_event(self, job: str, event: str) -> None:
        """Count what became of a job; `event` is one of `domain.measures.JOB_EVENTS`."""
        with self._lock:
            self._tally.events[job, event] += 1

    def saw(self, backlog: Backlog) -> None:
        """Take over what a look at the backlog has found."""
        with self._lock:
            self._standing.see(backlog)

    def saw_shop(self, *, unmarked: int, queue: ShopQueue) -> None:
        """Take over what the shop itself has left undone."""
        with self._lock:
            self._standing.see_shop(unmarked=unmarked, queue=queue)

    def succeeded(self, at: datetime) -> None:
        """A run, of this process or of another one, ended well then."""
        with self._lock:
            self._standing.succeeded(at)

    def go_on_from(self, tally: Tally, standing: Standing) -> None:
        """Add what was counted before, elsewhere. What is known of how things stand now wins."""
        with self._lock:
            self._tally.add(tally)
            self._standing.go_on_from(standing)

    def snapshot(self) -> tuple[Tally, Standing]:
        """Both as they are now; the caller's own."""
        with self._lock:
            return copy.deepcopy(self._tally), copy.deepcopy(self._standing)


class Metering:
    """The `FollowUp` that counts each run and looks at how things stand then."""

    name = "metrics"

    def __init__(self, metrics: Metrics, ports: Ports, *, stop: threading.Event) -> None:
        self._metrics = metrics
        self._ports = ports
        self._stop = stop

    def after(self, finished: Finished) -> None:
        """Count the run; look, unless there is nothing to look at or no time to."""
        result = finished.result
        self._metrics.run_over(result.summary)
        interrupted = result.summary.status is RunStatus.INTERRUPTED
        if not interrupted and not isinstance(result.failure, StoreUnavailable):
            look(self._metrics, self._ports, stop=self._stop)


def look(metrics: Metrics, ports: Ports, *, stop: threading.Event) -> None:
    """See how things stand. What cannot be seen stays as it was known. Never raises ReconcileError."""
    try:
        for run in ports.audit.recent_runs():
            if run.finished_at is not None:
                metrics.succeeded(run.finished_at)
    except ReconcileError as error:
        _log.info("The last good run is not known to the metrics", error=str(error))
    try:
        now = ports.clock.now()
        unmarked = find_unmarked(ports.source, ports.audit, now).count
        metrics.saw_shop(unmarked=unmarked, queue=ports.source.shop_queue(now))
        backlog = _count(ports, stop)
    except ReconcileError as error:
        _log.info("The orders could not be counted for the metrics", error=str(error))
        return
    if backlog is not None:
        metrics.saw(backlog)


def _count(ports: Ports, stop: threading.Event) -> Backlog | None:
    """The backlog as it is; None where there is no time to count it."""
    deadline = ports.clock.monotonic() + LONGEST_LOOK
    backlog = Backlog()
    for item in ports.source.scan(Selection()):
        if stop.is_set():
            return None
        if ports.clock.monotonic() > deadline:
            _log.warning(
                "The backlog was not counted for the metrics: it takes too long", seconds=LONGEST_LOOK
            )
            return None
        backlog.add(item)
    return backlog
