"""What was seen of courses: a few of them stand behind thousands of orders, and a run asks for each once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping

from reconcile.domain.identity import normalise_name

#: Seconds that something seen is believed in a run that lasts: somebody may publish a course meanwhile.
_BELIEVED = 300.0


class SeenCourses:
    """Which courses there are, and whether they are published. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        #: Published? None where there is no such course; and when that was seen.
        self._seen: dict[str, tuple[bool | None, float]] = {}

    def forget(self) -> None:
        """A run begins: it looks for itself."""
        with self._lock:
            self._seen.clear()

    def look(
        self, courses: Collection[str], ask: Callable[[list[str]], Mapping[str, bool] | None]
    ) -> Mapping[str, bool] | None:
        """Those of these courses that there are, by name, and whether each is published.

        `ask` is asked, once, for what was not seen lately; None where it does not know. What somebody else
        lets be forgotten meanwhile is part of this answer all the same: a course that is not in it is none.
        """
        names = {normalise_name(course): course for course in courses}
        oldest = self._monotonic() - _BELIEVED
        with self._lock:
            found = {name: flag for name, (flag, at) in self._seen.items() if name in names and at >= oldest}
        asked = sorted(course for name, course in names.items() if name not in found)
        if asked:
            told = ask(asked)
            if told is None:
                return None
            answer = {name: told.get(name) for name in map(normalise_name, asked)}
            now = self._monotonic()
            with self._lock:
                self._seen.update((name, (flag, now)) for name, flag in answer.items())
            found |= answer
        return {name: flag for name, flag in found.items() if flag is not None}
