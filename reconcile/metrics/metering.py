"""What follows a run for monitoring: it is counted, and how things stand is looked at.

The look is one more index-bounded scan of the backlog. It follows the run, and not the scrape: a
scrape must answer at once whatever the backlog, and whoever scrapes must not be able to load MongoDB.
"""

from __future__ import annotations

import threading

from reconcile.base import log
from reconcile.base.errors import ReconcileError, StoreUnavailable
from reconcile.domain.model import AnyEnrollment, History
from reconcile.metrics.metrics import Metrics
from reconcile.run.follow_up import Finished
from reconcile.run.options import Ports
from reconcile.run.source import Selection
from reconcile.run.summary import RunStatus
from reconcile.run.unmarked import find_unmarked
from reconcile.story.backlog import Backlog

_log = log.get_logger(__name__)

#: Seconds that a look at the backlog may take.
LONGEST_LOOK = 60.0


class Metering:
    """The `FollowUp` that counts each run and looks at how things stand then."""

    name = "metrics"

    def __init__(self, metrics: Metrics, ports: Ports, *, stop: threading.Event) -> None:
        self._metrics = metrics
        self._ports = ports
        self._stop = stop
        self._told: Backlog | None = None  #: by the run, where it tells

    def begins(self) -> None:
        """A run begins, which will tell of everybody who is left."""
        self._told = Backlog()

    def left(self, item: AnyEnrollment, history: History) -> None:  # noqa: ARG002  an Onlooker's signature
        """The run has left this order unsynced."""
        if self._told is not None:
            self._told.add(item)

    def after(self, finished: Finished) -> None:
        """Count the run; look, unless there is nothing to look at or no time to."""
        result = finished.result
        told, self._told = self._told if result.saw_all else None, None
        self._metrics.run_over(result.summary)
        interrupted = result.summary.status is RunStatus.INTERRUPTED
        if not interrupted and not isinstance(result.failure, StoreUnavailable):
            look(self._metrics, self._ports, stop=self._stop, backlog=told)


def look(metrics: Metrics, ports: Ports, *, stop: threading.Event, backlog: Backlog | None = None) -> None:
    """See how things stand. What cannot be seen stays as it was known. Never raises ReconcileError.

    `backlog`: where it is known already, it is not counted again.
    """
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
        backlog = backlog or _count(ports, stop)
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
