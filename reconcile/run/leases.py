"""The leases as the use case needs them: the right to write for one learner and course. A port."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from reconcile.domain.model import EffectKey

#: What may be in flight outlives its lease: a write leaves so long after its fence at most, in seconds.
#: Longer than a check may be old: whoever takes over must not write while an old check still counts.
IN_FLIGHT = 10.0


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Somebody who had the lease before and did not give it back.

    The one proof that a write was never sent: an owner with that write's token that does not list its
    attempt. No owner with that token proves nothing.
    """

    token: str
    attempts: frozenset[int]  #: the attempts that were fenced under it: their writes may have been sent


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to write for one effect key, until it expires or is taken over."""

    key: EffectKey
    token: str
    hold_until: datetime | None = None  #: an earlier write was not answered: look, but do not write before
    owners: tuple[Owner, ...] = ()  #: the oldest first


class Leases(Protocol):
    """Who may write for which learner and course, over all processes and hosts. Raises StoreUnavailable.

    Times are the server's. A key that is not returned is held by somebody else.
    """

    def take(self, keys: Sequence[EffectKey], run_id: str) -> Mapping[EffectKey, Lease]:
        """Take what is free or expired; each lease tells who had it before and did not give it back."""
        ...

    def peek(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Lease]:
        """What `take` would give, taking nothing. Read only."""
        ...

    def fence_all(self, attempts: Sequence[tuple[Lease, int]]) -> frozenset[EffectKey]:
        """Right before writes: the keys that are still ours.

        Marks each of these with its attempt's id, and that a write of it may be in flight (the hold and
        `IN_FLIGHT` from now). The marks are durable when this returns. Where it raises, some may have been
        made and some not: nothing may be sent. May be repeated with the same ids; no id is ever lost
        before the lease is given back.
        """
        ...

    def hold_all(self, leases: Sequence[Lease]) -> datetime:
        """After unanswered writes: nobody writes for these keys before the returned instant."""
        ...

    def release(self, leases: Sequence[Lease], *, keep_owners: Collection[EffectKey] = ()) -> None:
        """Give back; those on hold stay on hold.

        Who had the lease before is forgotten, but for `keep_owners`: keys with an attempt of a dead run
        that could not be closed yet. Whoever gives back is no owner: nothing may be open under it.
        """
        ...

    def leave(self, leases: Sequence[Lease]) -> None:
        """Prolong these no more: what was done under them cannot be told. They lapse, on hold."""
        ...

    def renew(self) -> None:
        """Prolong all that this process has taken and not given back."""
        ...

    def take_over(self, run_ids: Sequence[str]) -> None:
        """Expire the leases of runs known to be dead; what they had in flight stays on hold."""
        ...
