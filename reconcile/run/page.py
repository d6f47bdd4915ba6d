"""What goes from one step of a run to the next: a page of orders, each with what should be done. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconcile.domain.model import NO_HISTORY, AnyEnrollment, Decision, EffectKey, History
from reconcile.run.leases import Lease


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """One order with everything known about it and what should be done."""

    enrollment: AnyEnrollment
    decision: Decision
    history: History = NO_HISTORY
    lease: Lease | None = None
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of decisions, the leases taken for it, and what another page must look at later."""

    entries: Sequence[Surveyed]
    leases: Mapping[EffectKey, Lease] = field(default_factory=dict)
    postponed: Sequence[AnyEnrollment] = ()

    @property
    def keys(self) -> frozenset[EffectKey]:
        """The effect keys this page works on."""
        return frozenset(self.leases)
