"""Fault injection as decorators: a port that sends its own process a signal around its n-th call.

Product code is untouched. Two kinds of steps: a port's method (`audit.begin_all`), and a command on
MongoDB's wire (`mongodb.update enrollments`), for what happens inside one port method.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pymongo import monitoring

from reconcile.run.leases import Leases
from reconcile.run.options import Ports
from reconcile.run.ports import AuditLog, LearningPlatform
from reconcile.run.source import EnrollmentSource

#: The ports that have effects outside, by their names in `Ports`.
PORTS: dict[str, type] = {
    "source": EnrollmentSource,
    "platform": LearningPlatform,
    "audit": AuditLog,
    "leases": Leases,
}
BEFORE, AFTER = "before", "after"
WIRE = "mongodb"
#: Seconds until the signal has come for certain, where the process lives on.
_MOMENT = {signal.SIGSTOP: 0.2, signal.SIGTERM: 0.1}


@dataclass(frozen=True, kw_only=True)
class Point:
    """Before or after the n-th call of one step; with `since`, counted from when that point was reached."""

    step: str  #: "audit.begin_all", or "mongodb.update enrollments"
    when: str
    nth: int = 1
    since: Point | None = None

    def __str__(self) -> str:
        own = f"{self.step}:{self.when}:{self.nth}"
        return own if self.since is None else f"{self.since}>{own}"

    @classmethod
    def read(cls, text: str) -> Point:
        since, _, own = text.rpartition(">")
        step, when, nth = own.rsplit(":", 2)
        return cls(step=step, when=when, nth=int(nth), since=cls.read(since) if since else None)


def steps_of_the_ports() -> set[str]:
    """Every method of every port; properties have no effect."""
    return {
        f"{port}.{name}"
        for port, protocol in PORTS.items()
        for name, member in vars(protocol).items()
        if callable(member) and not name.startswith("_")
    }


class Trap:
    """Springs once, when the process reaches its point.

    The signal is SIGKILL, SIGSTOP to pause, or SIGTERM to ask for an end.
    """

    def __init__(self, point: Point | None, *, number: signal.Signals = signal.SIGKILL) -> None:
        self._points: list[Point] = []  #: the last one first
        while point is not None:
            self._points.append(point)
            point = point.since
        self._number = number
        self._reached = 0
        self._lock = threading.Lock()

    def reach(self, step: str, when: str) -> None:
        with self._lock:
            point = self._points[-1] if self._points else None
            if point is None or (step, when) != (point.step, point.when):
                return
            self._reached += 1
            if self._reached < point.nth:
                return
            self._reached = 0
            self._points.pop()
            if not self._points:
                os.kill(os.getpid(), self._number)
                # A signal to oneself may come a moment later: no thread may slip past meanwhile.
                time.sleep(_MOMENT.get(self._number, 60))


class Crashing:
    """A port around another one, with a trap before and after each of its methods."""

    def __init__(self, inner: object, *, name: str, trap: Trap) -> None:
        self._inner = inner
        self._name = name
        self._trap = trap

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._inner, name)
        if not callable(member):
            return member
        return self._trapped(f"{self._name}.{name}", member)

    def _trapped(self, step: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._trap.reach(step, BEFORE)
            result = method(*args, **kwargs)
            self._trap.reach(step, AFTER)
            return result

        return call


class WireTrap(monitoring.CommandListener):
    """Reaches the trap's point around MongoDB commands: `mongodb.update enrollments` and the like."""

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self._running: dict[int, str] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        step = f"{WIRE}.{event.command_name} {event.command.get(event.command_name)}"
        self._running[event.request_id] = step
        self._trap.reach(step, BEFORE)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._trap.reach(self._running.pop(event.request_id, ""), AFTER)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._running.pop(event.request_id, None)


def trapped(ports: Ports, trap: Trap) -> Ports:
    """The same ports, each with the trap around it."""
    return replace(ports, **{name: Crashing(getattr(ports, name), name=name, trap=trap) for name in PORTS})
