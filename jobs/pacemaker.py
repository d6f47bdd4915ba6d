"""A beat by the clock that never goes back, for a scheduler that waits by the one on the wall.

The scheduler sleeps until a time of day. When the machine was suspended, or its clock was changed
meanwhile, that sleep is too long. So it is woken every few seconds, and told when the clock was set back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from reconcile.base import log

_log = log.get_logger(__name__)

#: Seconds between two beats.
EVERY = 15.0
#: Seconds by which the wall clock must go back to be noticed: less is clock discipline, not a change.
NOTICED = 60.0


class Pacemaker:
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
        self._beat, self._set_back, self._every = beat, set_back, every
        self._wall, self._steady = wall, steady
        self._ahead = wall() - steady()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pacemaker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> None:
        """One beat. What it calls may raise."""
        ahead = self._wall() - self._steady()
        back, self._ahead = self._ahead - ahead, ahead
        if back >= NOTICED:
            self._set_back(timedelta(seconds=back))
        self._beat()

    def _work(self) -> None:
        while not self._over.wait(self._every):
            try:
                self.look()
            except Exception:  # noqa: BLE001  without a beat the scheduler might oversleep
                _log.exception("The pacemaker stumbled; this is a bug")
