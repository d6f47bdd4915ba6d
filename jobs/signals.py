"""SIGTERM, SIGINT and SIGHUP for the scheduler, handled in a thread of their own.

A handler runs in the main thread between two of its instructions, possibly while that thread holds
the very lock that the handler would need. So handlers only put the signal's number into a queue.
"""

from __future__ import annotations

import queue
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from reconcile.base import log

_log = log.get_logger(__name__)

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_ALL = (*_STOPPING, signal.SIGHUP)


class Signals:
    """For the length of a `with` block, in the main thread: who is told about which signal.

    The first SIGINT or SIGTERM calls `on_stop`, the second ends the process at once, as if nobody had
    handled it. Each SIGHUP calls `on_reload`.
    """

    def __init__(self, *, on_stop: Callable[[], None], on_reload: Callable[[], None]) -> None:
        self._on_stop, self._on_reload = on_stop, on_reload
        # Of the queues only this one may be filled by a signal handler: its `put` is reentrant.
        self._arrived: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._asked_to_stop = False
        self._before: dict[int, Any] = {}
        self._thread = threading.Thread(target=self._work, name="signals", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._before = {number: signal.signal(number, self._on_signal) for number in _ALL}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._arrived.put(None)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  a handler's signature
        if number in _STOPPING:
            if self._asked_to_stop:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            self._asked_to_stop = True
        self._arrived.put(number)

    def _work(self) -> None:
        while (number := self._arrived.get()) is not None:
            try:
                if number in _STOPPING:
                    sys.stderr.write("reconcile: finishing what is in flight; once more ends at once\n")
                    self._on_stop()
                else:
                    self._on_reload()
            except Exception:  # noqa: BLE001  the next signal must still be heard
                _log.exception("A signal could not be handled; this is a bug", signal=number)
