"""How much of a run is under way at once: what is looked at, leased and checked ahead of the writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from reconcile.run.checking import FRESH
from reconcile.run.leases import Lease
from reconcile.run.options import Halt
from reconcile.run.pool import Pool

#: Pages that are looked at at the same time, and that wait for it.
LOOKS = 2
#: How many may be told of at once ...
PORTION = 500
#: ... and wait for it, before those who find more of them pause.
PLENTY = 4 * PORTION
#: Round trips of the writers for which checks are made ahead, at most.
_ROUNDS = 3
#: Everything that waits.
ALL = 1_000_000


class Ahead:
    """The bounds of one run; where it is ending everything may go on, to be drained. Thread-safe."""

    def __init__(self, pool: Pool, halt: Halt, *, batches: bool, parked: Callable[[], int]) -> None:
        """`parked`: how many leased learners wait for nothing but whose fault their failure was."""
        self._pool = pool
        self._halt = halt
        self._batches = batches
        self._parked = parked
        self._leased: dict[str, Lease] = {}  #: those that are not given back yet
        self._lock = threading.Lock()

    def unless(self, is_full: Callable[[], bool], most: int) -> Callable[[], int]:
        """How many a stage takes, unless those behind it have enough."""
        return lambda: most if self._halt.is_set or not is_full() else 0

    def leased(self, leases: Iterable[Lease]) -> None:
        """These are taken."""
        with self._lock:
            self._leased.update((_name(lease), lease) for lease in leases)

    def returned(self, leases: Iterable[Lease]) -> None:
        """These are given back, or left to lapse."""
        with self._lock:
            for lease in leases:
                self._leased.pop(_name(lease), None)

    @property
    def kept(self) -> list[Lease]:
        """What is neither given back nor left: at the end of a run nothing, but after a bug."""
        with self._lock:
            return list(self._leased.values())

    @property
    def leases(self) -> int:
        """Some round trips of the writers ahead, and so many that a look under the lease is worth while."""
        return max(100, 8 * self._in_flight)

    @property
    def to_claim(self) -> int:
        """Half of them at a time: each portion costs a look."""
        if self._halt.is_set:
            return ALL
        half = self.leases // 2
        return half if len(self._leased) - self._parked() <= half else 0

    def to_check(self, waiting: int, busy: int) -> int:
        """A few round trips ahead of the writers, and no more than they will send while the check is fresh.

        `waiting`: requests that are checked and not sent yet; `busy`: writers at work. Where an answer takes
        long, only for writers that are free.
        """
        if self._halt.is_set:
            return ALL
        limit, batch = self._pool.limit, self._pool.batch if self._batches else 1
        rounds = min(_ROUNDS, FRESH / (2 * self._pool.seconds)) if self._pool.seconds else 1
        ahead = int(limit * rounds)
        if waiting > ahead // 2:
            return 0
        return max(0, limit - busy + ahead - waiting) * batch

    @property
    def _in_flight(self) -> int:
        """Learners that may be in flight at once."""
        return self._pool.limit * (self._pool.batch if self._batches else 1)


def _name(lease: Lease) -> str:
    return f"{lease.token} {lease.key}"
