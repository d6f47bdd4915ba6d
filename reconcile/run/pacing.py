"""How fast a run may write: one pace for all threads, and pauses that the LMS asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from reconcile.base.clock import Clock
from reconcile.run.options import Halt

#: Longest pause (seconds) that a rate limit may impose inside a run; Frappe's window is 60 s.
LONGEST_PAUSE = 60.0
_NAP = 0.5


class Pacer:
    """At most `rate` turns per second over all threads (0: no limit), none while paused."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._interval = 1.0 / rate if rate > 0 else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        # Monotonic seconds.
        self._next = 0.0  #: when the next turn may begin
        self._paused_until = 0.0

    def wait_for_turn(self, halt: Halt) -> None:
        """Wait for the next turn; returns early when the run is ending."""
        with self._lock:
            turn = max(self._clock.monotonic(), self._next)
            self._next = turn + self._interval
        self._wait_until(lambda: turn, halt)

    def wait_for_pause(self, halt: Halt) -> None:
        """Wait for the end of a pause; returns early when the run is ending."""
        self._wait_until(lambda: self._paused_until, halt)

    def _wait_until(self, instant: Callable[[], float], halt: Halt) -> None:
        # A little at a time: the run may end for a reason that wakes nobody.
        while not halt.is_set and (left := instant() - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, _NAP))

    def pause(self, seconds: float) -> None:
        """Nobody's turn for so long (`Retry-After`)."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
