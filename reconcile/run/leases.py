"""The leases as the use case needs them: the right to write for one learner and course. A port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from reconcile.domain.model import EffectKey


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to write for one effect key, until it expires or is taken over."""

    key: EffectKey
    token: str
    hold_until: datetime | None = None  #: an earlier write was not answered: look, but do not write before


class Leases(Protocol):
    """Who may write for which learner and course, over all processes and hosts. Raises StoreUnavailable.

    Times are the server's. A key that is not returned is held by somebody else.
    """

    def take(self, keys: Sequence[EffectKey], run_id: str) -> Mapping[EffectKey, Lease]:
        """Take what is free or expired."""
        ...

    def peek(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Lease]:
        """What `take` would give, taking nothing. Read only."""
        ...

    def fence(self, lease: Lease) -> bool:
        """Right before a write: still ours? Marks that a write may be in flight from now on."""
        ...

    def hold(self, lease: Lease) -> datetime:
        """After an unanswered write: nobody writes for this key before the returned instant."""
        ...

    def release(self, leases: Sequence[Lease]) -> None:
        """Give back; those on hold stay on hold."""
        ...

    def renew(self) -> None:
        """Prolong all that this process has taken and not given back."""
        ...

    def take_over(self, run_ids: Sequence[str]) -> None:
        """Expire the leases of runs known to be dead; what they had in flight stays on hold."""
        ...
