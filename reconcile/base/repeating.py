"""Do something every so often, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Repeating:
    """A background thread for the length of a `with` block; leaving waits for what it is at.

    Where `action` raises, it is not done any more.
    """

    def __init__(self, action: Callable[[], None], *, every: float, name: str) -> None:
        """Seconds; the first time comes after so many."""
        self._action = action
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(self._every):
            self._action()
