"""The storefront's own retry queue, as far as it concerns us: one order's job, the queue as a whole. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: A worker that has left a due job alone for so long is not running: the storefront's comes at least hourly.
IDLE_AFTER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class ShopJob:
    """What the queue knows of one order, all of its jobs together."""

    active: bool = False  #: the storefront's worker is at it right now, and not stuck
    addresses: tuple[str, ...] = ()  #: what the shop itself sent to the LMS as the user; the newest first


NO_JOB = ShopJob()


@dataclass(frozen=True, kw_only=True)
class ShopQueue:
    """How the queue stands."""

    collection: str | None = None  #: where it is; None where there is none
    open: int = 0  #: pending or processing
    in_work: int = 0  #: of these, the ones that a worker is at and not stuck
    overdue: int = 0  #: pending, and their time has come
    oldest_due_at: datetime | None = None  #: of the overdue ones
    last_completed_at: datetime | None = None  #: by the storefront's worker, as far as can be told
    worker_seen_at: datetime | None = None  #: its last sign of life

    def idle_since(self, now: datetime) -> datetime | None:
        """Since when the storefront's worker has left due jobs alone; None where it has not.

        The instant is its last sign of life or, where there is none, when the oldest job was due.
        """
        due = self.oldest_due_at
        if due is None or now - due < IDLE_AFTER or self.in_work:
            return None
        seen = self.worker_seen_at
        if seen is not None and now - seen < IDLE_AFTER:
            return None
        return due if seen is None else seen
