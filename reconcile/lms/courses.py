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

    def unknown(self, courses: Collection[str]) -> list[str]:
        """Those of them that must be asked for, each once."""
        oldest = self._monotonic() - _BELIEVED
        with self._lock:
            known = {name for name, (_, at) in self._seen.items() if at >= oldest}
        return sorted({course for course in courses if normalise_name(course) not in known})

    def learn(self, asked: Collection[str], published: Mapping[str, bool]) -> None:
        """The answer about those that were asked for, by name; who is absent from it is no course."""
        now = self._monotonic()
        with self._lock:
            for name in map(normalise_name, asked):
                self._seen[name] = published.get(name), now

    def published(self) -> dict[str, bool]:
        """All courses seen, by name."""
        with self._lock:
            return {name: flag for name, (flag, _) in self._seen.items() if flag is not None}
