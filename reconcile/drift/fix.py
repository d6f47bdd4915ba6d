"""Repairing drift: by ordinary runs over the orders in question, with all their safeguards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from reconcile.audit.process import operator
from reconcile.domain.interventions import Intervention, InterventionKind
from reconcile.domain.model import Enrollment, Outcome
from reconcile.drift.findings import DriftKind, Finding
from reconcile.run.options import RunResult
from reconcile.run.ports import AuditLog
from reconcile.story.words import counted

#: Orders that one repair remembers; with more, `--fix` is simply called again.
_MOST = 10_000


class Orders(Protocol):
    """The storefront's orders. Raises StoreUnavailable."""

    def reopen(self, order: Enrollment) -> bool:
        """Let a synced order be unsynced again; False where it has changed meanwhile."""
        ...


#: Runs over these orders at once, whatever their backoff, enrolling so many learners at most.
Run = Callable[[Sequence[str], int], RunResult]


class Repair:
    """What a look has found that may be repaired."""

    def __init__(self, orders: Orders, audit: AuditLog, run: Run) -> None:
        self._orders = orders
        self._audit = audit
        self._run_over = run
        self.stale: list[str] = []
        self.ghosts: list[Enrollment] = []

    def note(self, finding: Finding) -> None:
        """Remember a finding that may be repaired: not a ghost that we had given access."""
        order = finding.enrollment
        if order is None or len(self.stale) + len(self.ghosts) >= _MOST:
            return
        if finding.kind is DriftKind.STALE:
            self.stale.append(order.id)
        elif finding.kind is DriftKind.GHOST and not finding.by_us:
            self.ghosts.append(order)

    def confirm_stale(self) -> str:
        """Write what the LMS says into the stale orders; enrolls nobody. What came of it, in words."""
        self._record(f"{len(self.stale)} stale orders")
        return self._run(self.stale, max_enrolls=0)

    def enroll_ghosts(self) -> str:
        """Let the ghosts be unsynced again, and give them access. What came of it, in words.

        May be repeated: an order that was let go and not enrolled is an unsynced one like any other,
        which the next run takes up.
        """
        self._record(f"{len(self.ghosts)} ghosts")
        reopened = [order.id for order in self.ghosts if self._orders.reopen(order)]
        return self._run(reopened, max_enrolls=len(reopened))

    def _run(self, ids: Sequence[str], *, max_enrolls: int) -> str:
        if not ids:
            return "Nothing was left to repair."
        result = self._run_over(ids, max_enrolls)
        if result.failure is not None:
            raise result.failure
        done = counted({outcome.value: result.summary.outcomes[outcome] for outcome in Outcome})
        return f"Run {result.summary.run_id}: {done or 'nothing to do'}"

    def _record(self, scope: str) -> None:
        self._audit.intervene(
            Intervention(kind=InterventionKind.FIX_DRIFT, who=operator(), at=datetime.now(UTC), scope=scope)
        )
