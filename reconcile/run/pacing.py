"""How fast a run may write: one pace for all threads, and pauses that the LMS asks for."""

from __future__ import annotations

import threading

from reconcile.base.clock import Clock

#: Longest pause (seconds) that a rate limit may impose inside a run; Frappe's window is 60 s.
LONGEST_PAUSE = 60.0


class Pacer:
    """At most `rate` turns per second over all threads (0: no limit), none while paused."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._interval = 1.0 / rate if rate > 0 else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0  # monotonic seconds: when the next turn may begin

    def wait(self) -> None:
        """Wait for this thread's turn; returns early when the run is asked to stop."""
        with self._lock:
            now = self._clock.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval
        if turn > now:
            self._clock.sleep(turn - now)

    def pause(self, seconds: float) -> None:
        """Nobody's turn for so long (`Retry-After`)."""
        with self._lock:
            self._next = max(self._next, self._clock.monotonic() + seconds)
