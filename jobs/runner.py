"""One firing of a job: open the application, let the job work, tell trouble once and its end once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from reconcile.app.app import App, Notify
from reconcile.app.build import build
from reconcile.base import log
from reconcile.base.clock import Clock, SystemClock
from reconcile.base.errors import ReconcileError
from reconcile.jobs.registry import Job
from reconcile.run.abort import abort_reason
from reconcile.run.summary import ExitCode
from reconcile.settings import Settings

_log = log.get_logger(__name__)

#: Opens the application that a job works on.
Open = Callable[[Settings], AbstractContextManager[App]]
#: How a firing may end: the keys of `Runner.counts`, beside those of the scheduler's own events.
DONE, FAILED, ERROR = "done", "failed", "error"
#: Exit codes that mean: could not do its work.
_TROUBLE = frozenset({ExitCode.USAGE, ExitCode.ABORTED, ExitCode.TEMPORARY})


@dataclass(kw_only=True)
class _Trouble:
    """Since when a job cannot do its work, and how often it has tried in vain."""

    kind: str
    since: datetime
    times: int = 1


class Runner:
    """Runs jobs and keeps count. Thread-safe as long as one job does not run twice at once."""

    def __init__(
        self, *, stop: threading.Event, open_app: Open | None = None, clock: Clock | None = None
    ) -> None:
        self._stop = stop
        self._open = open_app or self._build
        self._clock = clock or SystemClock()
        #: How firings ended, over all jobs; each by one of DONE, FAILED, ERROR.
        self.counts: Counter[str] = Counter()
        #: Told of each: the job's name and how its firing ended.
        self.on_event: Callable[[str, str], None] = _nobody
        #: Told where a job could not even begin, so that it could tell nobody itself.
        self.on_broken: Callable[[Job, ReconcileError], None] = _nobody
        self._troubles: dict[str, _Trouble] = {}

    def count(self, job: str, event: str) -> None:
        """Count how a firing ended, and tell whoever listens."""
        self.counts[event] += 1
        self.on_event(job, event)

    def once(self, job: Job, settings: Settings, *, notify: Notify | None = None) -> int:
        """Run one job now, in this thread; its exit code. Raises whatever the job raises."""
        with build(settings, stop=self._stop, notify=notify) as app:
            return job.run(app)

    def fire(self, job: Job, settings: Settings) -> None:
        """One firing; none once `stop` is set. Never raises: what went wrong is counted and logged.

        Trouble is told when it begins, when its kind changes and when it is over; in between it is
        tried again in silence. A bug and a `sys.exit` are told each time.
        """
        if self._stop.is_set():
            return
        try:
            with self._open(settings) as app:
                trouble = self._troubles.get(job.name)
                app.known_trouble = trouble.kind if trouble is not None else None
                code = job.run(app)
        except ReconcileError as error:
            self.on_broken(job, error)
            self._in_trouble(job, abort_reason(error), error=str(error), hint=error.hint or None)
        except SystemExit as error:
            self.count(job.name, ERROR)
            _log.error("Job called sys.exit, which ends nothing here", job=job.name, code=str(error.code))
        except BaseException:  # noqa: BLE001  a pool's thread has nobody to raise to
            self.count(job.name, ERROR)
            _log.exception("Job failed; this is a bug", job=job.name)
        else:
            if code in _TROUBLE:
                self._in_trouble(job, f"exit code {code}", error=None, hint=None)
            else:
                self._went_well(job, code)

    def _in_trouble(self, job: Job, kind: str, *, error: str | None, hint: str | None) -> None:
        self.count(job.name, FAILED)
        trouble = self._troubles.get(job.name)
        if trouble is None or trouble.kind != kind:
            since = trouble.since if trouble is not None else self._clock.now()
            times = trouble.times + 1 if trouble is not None else 1
            self._troubles[job.name] = _Trouble(kind=kind, since=since, times=times)
            _log.error(
                "Job could not run; tried again at its next time, and told when it runs again",
                job=job.name,
                reason=kind,
                error=error,
                hint=hint,
            )
        else:
            trouble.times += 1
            _log.debug("Job could still not run", job=job.name, reason=kind, error=error)

    def _went_well(self, job: Job, code: int) -> None:
        self.count(job.name, DONE)
        trouble = self._troubles.pop(job.name, None)
        if trouble is not None:
            _log.info(
                "Job runs again",
                job=job.name,
                trouble=trouble.kind,
                since=trouble.since,
                tried_in_vain=trouble.times,
            )
        _log.debug("Job done", job=job.name, exit_code=code)

    def _build(self, settings: Settings) -> App:
        return build(settings, stop=self._stop)


def _nobody(job: object, what: object) -> None:
    """Nobody listens."""
