"""Watching the scheduler: its pulse, its readiness and its metrics, served where RECONCILE_HTTP says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import TracebackType
from typing import TYPE_CHECKING, Self

from reconcile.app.build import build
from reconcile.base import log
from reconcile.base.errors import ReconcileError
from reconcile.jobs.crontab import next_times
from reconcile.jobs.listener import Listener, Page
from reconcile.jobs.readiness import Found, Readiness
from reconcile.jobs.registry import JOBS
from reconcile.settings import Settings
from reconcile.settings.schedule import host_and_port

if TYPE_CHECKING:
    from reconcile.metrics.metrics import Metrics

_log = log.get_logger(__name__)

#: Seconds without a look for due jobs after which the scheduler counts as dead.
LONGEST_SILENCE = 60.0
_JSON = "application/json"


class Watching:
    """What can be asked of this process while the block runs; nothing where RECONCILE_HTTP is off."""

    def __init__(self, settings: Settings, *, stop: threading.Event, looked_at: Callable[[], float]) -> None:
        """Binds nothing yet. `stop` is set when the process drains.

        `looked_at`: when the scheduler last looked for due jobs, in monotonic seconds; 0 before the first.
        """
        self._settings = settings
        self._stop = stop
        self._readiness = Readiness(settings, stop=stop)
        self._listener: Listener | None = None
        self._looked_at = looked_at
        self._began_at = time.monotonic()
        #: What is counted; None where nobody can ask.
        self.metrics: Metrics | None = None

    def __enter__(self) -> Self:
        """Begin to listen. Raises ConfigurationError where the address cannot be had."""
        address = host_and_port(self._settings.http)
        if address is None:
            return self
        from reconcile.metrics.metrics import Metrics

        self._listener = Listener(
            address, {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._exposition}
        )
        self.metrics = Metrics(jobs=[job.name for job in JOBS])
        self._began_at = time.monotonic()
        self._listener.start()
        _log.info("Listening", address=self._listener.url)
        _warn_of_long_pauses(self._settings)
        threading.Thread(target=self._first_look, args=[self.metrics], name="first-look", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._listener = None

    def job_event(self, job: str, event: str) -> None:
        """Count what became of a job."""
        if self.metrics is not None:
            self.metrics.job_event(job, event)

    def run_broke(self) -> None:
        """A run that could not even begin has counted nothing itself."""
        if self.metrics is not None:
            self.metrics.run_broke()

    def reload(self, settings: Settings) -> None:
        """Go on with these settings; the address stays until the process is started again."""
        if self._listener is not None and settings.http != self._settings.http:
            _log.warning("RECONCILE_HTTP has changed; that takes a restart", address=self._listener.url)
        self._settings = self._readiness.settings = settings
        self._readiness.forget()

    # --- the pages -------------------------------------------------------------------------

    def _pulse(self) -> Found:
        silence = time.monotonic() - max(self._looked_at(), self._began_at)
        return Found(ok=silence <= LONGEST_SILENCE, detail=f"last tick {silence:.0f} s ago")

    def _healthz(self, _accept: str) -> Page:
        pulse = self._pulse()
        return Page(
            body=f"{'ok' if pulse.ok else 'stuck'}: {pulse.detail}\n".encode(), status=_status(pulse.ok)
        )

    def _readyz(self, _accept: str) -> Page:
        scheduler = Found(ok=False, detail="it is stopping") if self._stop.is_set() else self._pulse()
        checks = {"scheduler": scheduler, **self._readiness.look()}
        ready = all(found.ok for found in checks.values())
        answer = {
            "ready": ready,
            "checks": {name: {"ok": found.ok, "detail": found.detail} for name, found in checks.items()},
        }
        return Page(body=json.dumps(answer).encode() + b"\n", status=_status(ready), content_type=_JSON)

    def _exposition(self, accept: str) -> Page:
        from reconcile.metrics.metrics import exposition

        numbers = self.metrics.collect(datetime.now(UTC)) if self.metrics is not None else []
        text, content_type = exposition(numbers, accept=accept)
        return Page(body=text, content_type=content_type)

    def _first_look(self, metrics: Metrics) -> None:
        """How things stand before the first run."""
        from reconcile.metrics.metering import look

        try:
            with build(self._settings, create_audit=False, stop=self._stop) as app:
                look(metrics, app.ports, stop=self._stop)
        except ReconcileError as error:
            _log.info("The metrics know of no backlog yet", error=str(error))


def _status(ok: bool) -> int:  # noqa: FBT001  one word for one word
    return 200 if ok else 503


def _warn_of_long_pauses(settings: Settings) -> None:
    """Say so where the schedule's shortest pause is longer than /readyz allows."""
    expression = JOBS[0].expression(settings)
    if expression is None:
        return
    times = next_times(expression, after=datetime.now(UTC), timezone=settings.timezone, count=10)
    shortest = min(later - earlier for earlier, later in pairwise(times))
    if shortest >= timedelta(seconds=settings.ready_age):
        _log.warning(
            "RECONCILE_READY_AGE is shorter than the schedule's pauses: /readyz will fail between runs",
            ready_age=settings.ready_age,
            pause=shortest.total_seconds(),
        )
