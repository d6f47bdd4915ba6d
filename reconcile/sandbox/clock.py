"""A clock that is told what time it is, for a day that passes in a minute."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta


class SimulatedClock:
    """Goes as a real one between the times that it is set to; sleeping moves it at once. Thread-safe."""

    def __init__(self, start: datetime) -> None:
        self._lock = threading.Lock()
        self._time, self._set_at, self._slept = start, time.monotonic(), 0.0

    def set(self, when: datetime) -> None:
        """It is `when` now, or already later: it never goes back."""
        with self._lock:
            self._time, self._set_at = max(when, self._now()), time.monotonic()

    def now(self) -> datetime:
        """The simulated time, in the zone that it was started with."""
        with self._lock:
            return self._now()

    def monotonic(self) -> float:
        """Seconds; never goes back."""
        with self._lock:
            return time.monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        """Let so much time pass, at once."""
        with self._lock:
            self._time += timedelta(seconds=seconds)
            self._slept += seconds

    def _now(self) -> datetime:
        return self._time + timedelta(seconds=time.monotonic() - self._set_at)
