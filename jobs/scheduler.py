"""The background process: jobs at their times, signals, reload.

It needs nothing to be up when it starts: a job that cannot work says so and is tried again at its
next time. Several of these processes may run at once; leases keep them apart, jitter spreads them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_SCHEDULER_STARTED,
    JobEvent,
    SchedulerEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.base import BaseTrigger

from reconcile.alerts.memory import MemoryAlertBook
from reconcile.app import alerts
from reconcile.app.app import App
from reconcile.app.build import build
from reconcile.base import log
from reconcile.base.errors import ReconcileError
from reconcile.jobs.crontab import CrontabTrigger
from reconcile.jobs.pacemaker import EVERY, Pacemaker
from reconcile.jobs.registry import JOBS, MAIN_JOB, Job, checked
from reconcile.jobs.runner import Runner
from reconcile.jobs.signals import Signals
from reconcile.jobs.watching import Watching
from reconcile.settings import Settings

_log = log.get_logger(__name__)

#: Seconds by which replicas are spread.
JITTER = 10.0
#: A clock that was set back further was wrong before: then its new time counts for every job.
CORRECTION = timedelta(hours=3)
#: The library's events that mean that a job did not do its work: what they count as, what they are told as.
_EVENTS = {
    EVENT_JOB_ERROR: ("error", "Job failed outside its own care; this is a bug"),
    EVENT_JOB_MISSED: ("missed", "Job came too late and was left out"),
    EVENT_JOB_MAX_INSTANCES: ("max_instances", "Job is still running; this turn is left out"),
}

#: Makes a trigger of an expression and a time zone.
MakeTrigger = Callable[[str, str], BaseTrigger]


class _Loop(BlockingScheduler):  # type: ignore[misc]  # APScheduler 3 ships no types
    """The library's scheduler, which also says when it has last looked for due jobs."""

    looked_at = 0.0  #: monotonic seconds
    looks = 0

    def _process_jobs(self) -> float | None:
        wait: float | None = super()._process_jobs()
        self.looked_at = time.monotonic()
        self.looks += 1
        return wait


class Scheduler:
    """Runs the jobs until it is asked to stop."""

    def __init__(
        self,
        load: Callable[[], Settings],
        *,
        jitter: float = JITTER,
        jobs: Sequence[Job] = JOBS,
        trigger: MakeTrigger | None = None,
        runner: Runner | None = None,
        beat: float = EVERY,
    ) -> None:
        """`load` reads the settings; it is called again on SIGHUP. Raises ConfigurationError.

        `trigger` replaces crontab's times by others, `runner` what a firing does.
        """
        self._load, self._jobs, self._beat = load, jobs, beat
        self._trigger = trigger or (
            lambda expression, timezone: CrontabTrigger(expression, timezone=timezone, jitter=jitter)
        )
        self.settings = self._read()
        #: Set by SIGTERM or SIGINT: running jobs drain.
        self.stop = threading.Event()
        #: What this process has alerted of while the audit database was away.
        self._alerts = MemoryAlertBook()
        self.watching = Watching(self.settings, stop=self.stop, looked_at=lambda: self.looked_at)
        self.runner = runner or Runner(stop=self.stop, open_app=self._open)
        self.runner.on_event = self.watching.job_event
        self.runner.on_broken = self._broke
        self._planned: dict[str, tuple[str, str]] = {}
        self._planning = threading.Lock()
        self._started = threading.Event()
        self._loop = self._new_loop()

    @property
    def counts(self) -> Counter[str]:
        """How firings ended: done, failed, error, missed, max_instances."""
        return self.runner.counts

    @property
    def looked_at(self) -> float:
        """When the scheduler last looked for due jobs, in monotonic seconds; every EVERY seconds it does."""
        return float(self._loop.looked_at)

    @property
    def looks(self) -> int:
        """How often it has looked for due jobs."""
        return int(self._loop.looks)

    def next_times(self) -> dict[str, datetime]:
        """When each job that is not switched off comes next; jitter included."""
        return {job.id: job.next_run_time for job in self._loop.get_jobs()}

    def run(self) -> None:
        """Run the jobs until a signal; returns when the running ones have drained. In the main thread.

        Raises ConfigurationError where RECONCILE_HTTP cannot be listened on.
        """
        with self.watching, Signals(on_stop=self.drain, on_reload=self.reload):
            self.serve()

    def serve(self) -> None:
        """Run the jobs until `drain`; returns when the running ones have drained."""
        self._plan()
        _log.info("Scheduler started", jobs=self._told(), timezone=self.settings.timezone)
        with Pacemaker(beat=self.look, set_back=self.clock_set_back, every=self._beat):
            self._loop.start()
        _log.info("Scheduler stopped", **{name: count for name, count in self.counts.items() if count})

    def drain(self) -> None:
        """Begin no job any more and wait for the running ones, which are asked to finish."""
        self.stop.set()
        self._started.wait()
        self._loop.shutdown()

    def reload(self) -> None:
        """Read the settings again; where they cannot be used, the old ones stay."""
        try:
            settings = self._read()
        except ReconcileError as error:
            _log.error("Settings were not reloaded; the old ones stay", error=str(error), hint=error.hint)
            return
        self.settings = settings
        self.watching.reload(settings)
        self._plan()
        _log.info("Settings reloaded", jobs=self._told(), timezone=settings.timezone)

    def look(self) -> None:
        """Look for due jobs now."""
        self._loop.wakeup()

    def clock_set_back(self, by: timedelta) -> None:
        """The wall clock shows again times that it has shown already: neither wait for it nor run twice.

        Jobs that run every so often go on by the new time. Those at a fixed time of the day stay where
        they are, which neither repeats nor drops one; unless the clock was plainly wrong before.
        """
        _log.warning("The clock was set back", seconds=round(by.total_seconds()))
        now = datetime.now(UTC)
        with self._planning:
            for job in self._loop.get_jobs():
                if by <= CORRECTION and not getattr(job.trigger, "follows_the_wall", True):
                    continue
                sooner = job.trigger.get_next_fire_time(None, now)
                if sooner < job.next_run_time:
                    self._loop.modify_job(job.id, next_run_time=sooner)

    def _new_loop(self) -> _Loop:
        # Its warnings are our events, told below; what is worse is its own to tell.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        loop = _Loop(
            timezone=UTC,
            # A thread for each job: a slow one must not hold the others up.
            executors={job.name: ThreadPoolExecutor(1) for job in self._jobs},
            # Missed while the process slept or was busy: one run makes up for all of them, however late.
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        loop.add_listener(self._count, sum(_EVENTS))
        loop.add_listener(self._note_start, EVENT_SCHEDULER_STARTED)
        return loop

    def _plan(self) -> None:
        """Put the settings' schedules into effect; one that has not changed keeps its next time."""
        with self._planning:
            for job in self._jobs:
                expression = job.expression(self.settings)
                wanted = (expression, self.settings.timezone) if expression is not None else None
                planned = self._planned.get(job.name)
                if wanted == planned:
                    continue
                if wanted is None:
                    self._loop.remove_job(job.name)
                    del self._planned[job.name]
                    continue
                self._loop.add_job(
                    self._fire,
                    self._trigger(*wanted),
                    args=[job],
                    id=job.name,
                    executor=job.name,
                    replace_existing=True,
                )
                self._planned[job.name] = wanted

    def _open(self, settings: Settings) -> App:
        return build(settings, stop=self.stop, metrics=self.watching.metrics, alert_memory=self._alerts)

    def _read(self) -> Settings:
        """The settings, with every schedule proven to be one, and the alerts' URLs to be usable."""
        settings = checked(self._load(), self._jobs)
        alerts.check(settings)
        return settings

    def _broke(self, job: Job, error: ReconcileError) -> None:
        """A run that could not even begin is told of as well."""
        if job.name == MAIN_JOB:
            self.watching.run_broke()
            alerts.could_not_begin(self.settings, error, memory=self._alerts)

    def _fire(self, job: Job) -> None:
        self.runner.fire(job, self.settings)

    def _count(self, event: JobEvent) -> None:
        what, told = _EVENTS[event.code]
        self.runner.count(event.job_id, what)
        error = getattr(event, "exception", None)
        _log.warning(told, job=event.job_id, error=repr(error) if error is not None else None)
        if event.code == EVENT_JOB_MAX_INSTANCES and event.job_id == MAIN_JOB:
            # A run that does not end tells nobody. Not here: this thread is the one that looks at the time.
            threading.Thread(
                target=alerts.judge_silence, args=[self.settings], name="silence", daemon=True
            ).start()

    def _note_start(self, event: SchedulerEvent) -> None:  # noqa: ARG002  a listener's signature
        self._started.set()

    def _told(self) -> dict[str, str]:
        return {job.name: job.schedule(self.settings) for job in self._jobs}
