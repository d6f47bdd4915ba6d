"""Time: the port, and the real clock, the only place that asks the machine for the time."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time. `now` is aware UTC; `monotonic` and `sleep` are in seconds."""

    def now(self) -> datetime:
        """The wall clock."""
        ...

    def monotonic(self) -> float:
        """A clock that never goes back."""
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
        """Seconds; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; returns early when the run is asked to stop."""
        self._stop.wait(seconds)
