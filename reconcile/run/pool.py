"""How many requests to write may be in flight, and how many learners go in one: found out by the answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from reconcile.base.clock import Clock
from reconcile.run.answers import RefusedMany, Unanswered, Unserved
from reconcile.run.batching import BatchSize
from reconcile.run.limiter import HIGHEST, Limiter

Result = TypeVar("Result")

#: How much the newest answer counts in what a request takes.
_NEWEST = 0.2


class Request:
    """One request that is in flight, until its answer is handed in."""

    def __init__(self) -> None:
        self.answer: object = None

    def came(self, answer: Result) -> Result:
        """This is its answer; hands it back."""
        self.answer = answer
        return answer


class Pool:
    """The limits of one run. Thread-safe."""

    def __init__(self, clock: Clock, *, concurrency: int | None, batch: int | None) -> None:
        """None finds out; a batch of 1 is one by one."""
        self._clock = clock
        self._limiter = Limiter(concurrency)
        self._batch = BatchSize(batch)
        self._lock = threading.Lock()
        self._in_flight = 0
        self.seconds = 0.0  #: that a request takes, of late
        self.most = HIGHEST if concurrency is None else concurrency  #: that may ever be in flight

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return self._limiter.limit

    @property
    def batch(self) -> int:
        """Learners that may go in one request now."""
        return self._batch.size

    @contextmanager
    def request(self, count: int = 1, *, is_part: bool = False) -> Iterator[Request]:
        """For the length of a block a request for so many learners is in flight; see `Request.came`.

        `is_part`: of a batch that was refused already, whose refusal tells nothing new.
        """
        request, sent = Request(), self._clock.monotonic()
        with self._lock:
            self._in_flight += 1
            in_flight = self._in_flight
        try:
            yield request
        finally:
            with self._lock:
                self._in_flight -= 1
                self._learn(request.answer, count, self._clock.monotonic() - sent, in_flight, is_part=is_part)

    def _learn(self, answer: object, count: int, seconds: float, in_flight: int, *, is_part: bool) -> None:
        if answer is None:
            return
        self.seconds += _NEWEST * (seconds - self.seconds) if self.seconds else seconds
        dropped = isinstance(answer, Unserved | Unanswered)
        self._limiter.observed(seconds / count, in_flight=in_flight, dropped=dropped)
        if isinstance(answer, RefusedMany):
            if not is_part:
                self._batch.refused(count)
        elif not dropped:
            self._batch.answered(count, seconds=seconds)
        elif count > 1:
            self._batch.unanswered(count)
