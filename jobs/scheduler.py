"""The background process: jobs at their times, signals, reload.

It needs nothing to be up when it starts: a job that cannot work says so and is tried again at its
next time. Several of these processes may run at once; leases keep them apart, jitter spreads them.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    JobEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler

from jobs.crontab import CrontabTrigger, check, next_times
from jobs.registry import JOBS, OFF, Job
from reconcile import announcing, log
from reconcile.announcing import could_not_begin, judge_silence
from reconcile.bootstrap import build
from reconcile.errors import ReconcileError
from reconcile.followup.alert_memory import MemoryAlertBook
from reconcile.settings import Settings

_log = log.get_logger(__name__)

MAIN_JOB = "reconcile_enrollments"

#: Seconds by which replicas are spread.
JITTER = 10.0
_EVENTS = {
    EVENT_JOB_ERROR: "error",
    EVENT_JOB_MISSED: "missed",
    EVENT_JOB_MAX_INSTANCES: "max_instances",
}


class Scheduler:
    """Runs the jobs until it is asked to stop."""

    def __init__(self, load: Callable[[], Settings], *, jitter: float = JITTER) -> None:
        """`load` reads the settings; it is called again on SIGHUP. Raises ConfigurationError."""
        self._load = load
        self._jitter = jitter
        self.settings = checked(load())
        #: Set by SIGTERM or SIGINT: running jobs drain.
        self.stop = threading.Event()
        self.counts: Counter[str] = Counter()
        self._troubles: dict[str, str] = {}
        #: What this process has alerted of while the audit database was away.
        self._alerts = MemoryAlertBook()
        self._scheduler = BlockingScheduler(
            timezone=UTC,
            executors={
                # The main job has its own thread: a slow one of the others must not hold it up.
                MAIN_JOB: ThreadPoolExecutor(1),
                "default": ThreadPoolExecutor(1),
            },
            # Missed while the process slept or was busy: one run makes up for all of them, however late.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._scheduler.add_listener(self._count, sum(_EVENTS))

    def run(self) -> None:
        """Run the jobs until a signal; returns when the running ones have drained."""
        self._plan()
        before = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            _log.info("Scheduler started", jobs={job.name: job.schedule(self.settings) for job in JOBS})
            self._scheduler.start()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        _log.info("Scheduler stopped", **{name: count for name, count in self.counts.items() if count})

    def run_once(self, job: Job) -> int:
        """Run one job now, in this thread; its exit code. Raises what opening the application raises."""
        with build(self.settings, stop=self.stop, alert_memory=self._alerts) as app:
            return job.run(app)

    def _plan(self) -> None:
        self._scheduler.remove_all_jobs()
        for job in JOBS:
            expression = job.schedule(self.settings)
            if expression.strip().lower() == OFF:
                continue
            trigger = CrontabTrigger(expression, timezone=self.settings.timezone, jitter=self._jitter)
            executor = job.name if job.name == MAIN_JOB else "default"
            self._scheduler.add_job(self._execute, trigger, args=[job], id=job.name, executor=executor)

    def _execute(self, job: Job) -> None:
        """One firing. Expected errors are told once each until they are gone; bugs reach `_count`."""
        if self.stop.is_set():
            return
        try:
            code = self.run_once(job)
        except ReconcileError as error:
            self.counts["failed"] += 1
            if self._troubles.get(job.name) != str(error):
                _log.error("Job could not run", job=job.name, error=str(error), hint=error.hint)
            self._troubles[job.name] = str(error)
            if job.name == MAIN_JOB:
                could_not_begin(self.settings, error, memory=self._alerts)
            return
        self.counts["done"] += 1
        if self._troubles.pop(job.name, None) is not None:
            _log.info("Job runs again", job=job.name)
        _log.debug("Job done", job=job.name, exit_code=code)

    def _count(self, event: JobEvent) -> None:
        what = _EVENTS[event.code]
        self.counts[what] += 1
        error = getattr(event, "exception", None)
        _log.warning(
            "Job event", job=event.job_id, event_kind=what, error=repr(error) if error is not None else None
        )
        if event.code == EVENT_JOB_MAX_INSTANCES and event.job_id == MAIN_JOB:
            # A run that does not end tells nobody. Not here: this thread is the one that looks at the time.
            threading.Thread(target=judge_silence, args=[self.settings], name="silence", daemon=True).start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  a handler's signature
        if number == signal.SIGHUP:
            self._reload()
            return
        if self.stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.stop.set()
        # Not waiting here: a handler runs in the main thread, between two of its instructions.
        threading.Thread(target=self._scheduler.shutdown, name="shutdown", daemon=True).start()

    def _reload(self) -> None:
        try:
            settings = checked(self._load())
        except ReconcileError as error:
            _log.error("Settings were not reloaded; the old ones stay", error=str(error), hint=error.hint)
            return
        self.settings = settings
        self._plan()
        _log.info("Settings reloaded", jobs={job.name: job.schedule(settings) for job in JOBS})


def checked(settings: Settings) -> Settings:
    """The settings, with every job's schedule proven to be one, and the alerts' URLs to be usable.

    Raises ConfigurationError.
    """
    for job in JOBS:
        expression = job.schedule(settings)
        if expression.strip().lower() != OFF:
            check(expression, timezone=settings.timezone, setting=job.setting)
    announcing.check(settings)
    return settings


def upcoming(settings: Settings, *, now: datetime) -> list[tuple[Job, str, datetime | None]]:
    """Each job with its expression and its next time; None where it is off."""
    found: list[tuple[Job, str, datetime | None]] = []
    for job in JOBS:
        expression = job.schedule(settings)
        is_off = expression.strip().lower() == OFF
        times = [] if is_off else next_times(expression, after=now, timezone=settings.timezone, count=1)
        found.append((job, expression, times[0] if times else None))
    return found
