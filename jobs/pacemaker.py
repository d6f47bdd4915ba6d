"""A beat by the clock that never goes back, for a scheduler that waits by the one on the wall.

The scheduler sleeps until a time of day. When the machine was suspended, or its clock was changed
meanwhile, that sleep is too long. So it is woken every few seconds, and told when the clock was set back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from reconcile.base import log
from reconcile.base.repeating import Repeating

_log = log.get_logger(__name__)

#: Seconds between two beats.
EVERY = 15.0
#: Seconds by which the wall clock must go back to be noticed: less is clock discipline, not a change.
NOTICED = 60.0


class Pacemaker(Repeating):
    """A background thread for the length of a `with` block."""

    def __init__(
        self,
        *,
        beat: Callable[[], None],
        set_back: Callable[[timedelta], None],
        every: float = EVERY,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`set_back` is told by how much the wall clock went back; then, as each time, comes `beat`."""
        super().__init__(self._safely, every=every, name="pacemaker")
        self._beat, self._set_back = beat, set_back
        self._wall, self._steady = wall, steady
        self._ahead = wall() - steady()

    def look(self) -> None:
        """One beat. What it calls may raise."""
        ahead = self._wall() - self._steady()
        back, self._ahead = self._ahead - ahead, ahead
        if back >= NOTICED:
            self._set_back(timedelta(seconds=back))
        self._beat()

    def _safely(self) -> None:
        try:
            self.look()
        except Exception:  # noqa: BLE001  without a beat the scheduler might oversleep
            _log.exception("The pacemaker stumbled; this is a bug")
