"""A server with a queue, us, and another client, as discrete events: no clock, and the same each time."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from reconcile.run.limiter import Limiter

#: Seconds of service, given how many are served at once and something random.
Service = Callable[[int, random.Random], float]


def steady(seconds: float) -> Service:
    return lambda _busy, _random: seconds


def noisy(seconds: float, variation: float) -> Service:
    """Gamma: of that mean, with that ratio of standard deviation and mean."""
    shape = 1 / variation**2
    return lambda _busy, chance: chance.gammavariate(shape, seconds / shape)


def shared(seconds: float, cores: int) -> Service:
    """Every worker is let in, and they share so many cores."""
    return lambda busy, _random: seconds * max(1.0, busy / cores)


@dataclass
class Client:
    """Another client: one request after the other, so long between them, or arriving by chance at a rate."""

    pause: float = 0.0
    per_second: float | None = None


@dataclass
class Seen:
    """What came of it: our answers, the others' seconds, and the limits over time."""

    ours: int = 0
    theirs: list[float] = field(default_factory=list)
    spans: list[tuple[float, float, int]] = field(default_factory=list)  #: from, until, limit

    def p95(self) -> float:
        """Of the others."""
        return sorted(self.theirs)[int(0.95 * len(self.theirs))]

    def mean_limit(self, *, after: float) -> float:
        """Over the time after so many seconds."""
        spans = [(until - since, limit) for since, until, limit in self.spans if since >= after]
        return sum(seconds * limit for seconds, limit in spans) / sum(seconds for seconds, _ in spans)


def together(runs: Iterable[Seen]) -> Seen:
    """Several runs as one."""
    found = Seen()
    for run in runs:
        found.ours += run.ours
        found.theirs += run.theirs
        found.spans += run.spans
    return found


def simulate(
    *,
    workers: int,
    service: Service,
    limiter: Limiter | None,
    others: Iterable[Client],
    seconds: float,
    seed: int = 1,
) -> Seen:
    """Run it for so long; without a limiter, the others alone."""
    server, seen = Server(workers=workers, service=service, chance=random.Random(seed)), Seen()
    for other in others:
        _come(server, seen, other)
    if limiter is not None:
        _press(server, seen, limiter)
    server.run(seconds)
    return seen


class Server:
    """So many workers, whoever came first is served first; and the time in which that happens."""

    def __init__(self, *, workers: int, service: Service, chance: random.Random) -> None:
        self.now = 0.0
        self.chance = chance
        self._workers, self._service = workers, service
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._waiting: deque[Callable[[], None]] = deque()
        self._busy = 0

    def run(self, seconds: float) -> None:
        while self._events and self._events[0][0] <= seconds:
            self.now, _, happens = heapq.heappop(self._events)
            happens()

    def later(self, seconds: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), happens))

    def ask(self, answered: Callable[[], None]) -> None:
        self._waiting.append(answered)
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._busy < self._workers:
            self._busy += 1
            done = partial(self._done, self._waiting.popleft())
            self.later(self._service(self._busy, self.chance), done)

    def _done(self, answered: Callable[[], None]) -> None:
        self._busy -= 1
        answered()
        self._serve()


def _come(server: Server, seen: Seen, other: Client) -> None:
    began = server.now

    def answered() -> None:
        seen.theirs.append(server.now - began)
        if other.per_second is None:
            server.later(other.pause, again)

    again = partial(_come, server, seen, other)
    server.ask(answered)
    if other.per_second is not None:
        server.later(server.chance.expovariate(other.per_second), again)


def _press(server: Server, seen: Seen, limiter: Limiter) -> None:
    """Always as many in flight as there may be."""
    in_flight = 0

    def send() -> None:
        nonlocal in_flight
        while in_flight < limiter.limit:
            in_flight += 1
            server.ask(partial(answered, server.now, in_flight))

    def answered(began: float, sent_with: int) -> None:
        nonlocal in_flight
        in_flight -= 1
        seen.ours += 1
        limiter.observed(server.now - began, in_flight=sent_with, dropped=False)
        since = seen.spans[-1][1] if seen.spans else 0.0
        seen.spans.append((since, server.now, limiter.limit))
        send()

    send()
