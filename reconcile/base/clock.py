"""Time: the port, and the real clock, the only place that asks the machine for the time."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol

#: On Linux `time.monotonic` stands still while the machine sleeps; on macOS its CLOCK_MONOTONIC does not.
_AWAKE_OR_NOT: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class Clock(Protocol):
    """Time. `now` is aware UTC; `monotonic` and `sleep` are in seconds."""

    def now(self) -> datetime:
        """The wall clock."""
        ...

    def monotonic(self) -> float:
        """A clock that never goes back, and goes on while the machine sleeps."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; returns early when the run is asked to stop."""
        ...


class SystemClock:
    """Wall clock, monotonic clock, and a sleep that a stop signal ends."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds; never goes back, and goes on while the machine sleeps, where there is such a clock."""
        return time.clock_gettime(_AWAKE_OR_NOT) if _AWAKE_OR_NOT is not None else time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; returns early when the run is asked to stop."""
        self._stop.wait(seconds)
