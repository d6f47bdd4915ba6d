"""Whether a run could work now: MongoDB, the LMS and the audit answer, and the last good run is not too old.

Each check has `PATIENCE` seconds and a thread of its own; one that still hangs is not begun again.
What was found is kept for `KEEP` seconds, so that probes cannot hammer the LMS.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from reconcile.app.parts import open_database, platform
from reconcile.base.clock import SystemClock
from reconcile.base.errors import AuditUnavailable, ReconcileError
from reconcile.base.redaction import redact
from reconcile.jobs.registry import JOBS
from reconcile.settings import Settings

PATIENCE = 5.0
KEEP = 5.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one check has found, in words that may be shown to anybody."""

    ok: bool
    detail: str


#: Looks at one thing; says how it is. Raises ReconcileError where it is not well.
Check = Callable[[Settings, threading.Event], str]


class Readiness:
    """Makes the checks, all at once, and remembers for a moment what they found. Thread-safe."""

    def __init__(
        self, settings: Settings, *, stop: threading.Event, checks: Mapping[str, Check] | None = None
    ) -> None:
        self.settings = settings
        self._stop = stop
        self._checks = checks if checks is not None else CHECKS
        self._lock = threading.Lock()
        self._running: dict[str, threading.Thread] = {}
        self._found: dict[str, Found] = {}
        self._kept_until = float("-inf")

    def look(self) -> Mapping[str, Found]:
        """What the checks find, or have found a moment ago; within `PATIENCE`. Never raises."""
        with self._lock:
            if time.monotonic() >= self._kept_until:
                self._found = self._look()
                self._kept_until = time.monotonic() + KEEP
            return self._found

    def forget(self) -> None:
        """Look anew when asked next: the settings have changed."""
        with self._lock:
            self._kept_until = float("-inf")

    def _look(self) -> dict[str, Found]:
        found: dict[str, Found] = {}
        for name, check in self._checks.items():
            hanging = self._running.get(name)
            if hanging is None or not hanging.is_alive():
                self._running[name] = self._begin(name, check, found)
        deadline = time.monotonic() + PATIENCE
        for thread in self._running.values():
            thread.join(max(deadline - time.monotonic(), 0.0))
        late = Found(ok=False, detail=f"no answer within {PATIENCE:g} s")
        return {name: found.get(name, late) for name in self._checks}

    def _begin(self, name: str, check: Check, found: dict[str, Found]) -> threading.Thread:
        def run() -> None:
            found[name] = _made(check, self.settings, self._stop)

        thread = threading.Thread(target=run, name=f"check-{name}", daemon=True)
        thread.start()
        return thread


def _made(check: Check, settings: Settings, stop: threading.Event) -> Found:
    try:
        return Found(ok=True, detail=check(settings, stop))
    except ReconcileError as error:
        return Found(ok=False, detail=redact(str(error)))
    except Exception as error:  # noqa: BLE001  whatever it is, it is not ready
        return Found(ok=False, detail=redact(f"{type(error).__name__}: {error}"))


class _NotReady(ReconcileError):
    """Everything answers, and yet it is not well."""


def _mongodb(settings: Settings, stop: threading.Event) -> str:  # noqa: ARG001  a check's signature
    from reconcile.storefront.connect import ping

    with ExitStack() as opened:
        ping(open_database(settings, opened), within=PATIENCE - 1)
    return "answers"


def _lms(settings: Settings, stop: threading.Event) -> str:
    with ExitStack() as opened:
        platform(settings, opened, SystemClock(stop)).ping()
    return "answers"


def _audit(settings: Settings, stop: threading.Event) -> str:  # noqa: ARG001  a check's signature
    from reconcile.audit.log import open_audit

    audit = open_audit(settings.audit_url.get_secret_value(), create=False)
    if audit is None:
        raise AuditUnavailable("there is no audit database yet; the first run makes it")
    audit.close()
    return "answers"


def _last_run(settings: Settings, stop: threading.Event) -> str:  # noqa: ARG001  a check's signature
    from reconcile.audit.log import open_audit
    from reconcile.story.runs import last_good_sign

    if JOBS[0].expression(settings) is None:
        return "RECONCILE_SCHEDULE is off"
    audit = open_audit(settings.audit_url.get_secret_value(), create=False)
    if audit is None:
        raise _NotReady("there was none yet")
    with audit, audit.reading() as connection:
        sign = last_good_sign(connection)
    if sign is None:
        raise _NotReady("there was no good one yet")
    age = (datetime.now(UTC) - sign).total_seconds()
    if age > settings.ready_age:
        raise _NotReady(
            f"the last good one was {age:.0f} s ago; RECONCILE_READY_AGE is {settings.ready_age:g} s"
        )
    return f"{max(age, 0.0):.0f} s ago"


CHECKS: Mapping[str, Check] = {"mongodb": _mongodb, "lms": _lms, "audit": _audit, "last_run": _last_run}
