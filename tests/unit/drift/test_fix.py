"""What of the drift is repaired, by which runs, and what is written down of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from reconcile.base.errors import ReconcileError
from reconcile.domain.model import EffectKey, Enrollment, Outcome, SyncState
from reconcile.drift.findings import DriftKind, Finding
from reconcile.drift.fix import Repair
from reconcile.run.options import APPLY, RunResult
from reconcile.run.summary import RunSummary
from tests.fakes.audit import InMemoryAuditLog


class World:
    """Orders of which one has changed meanwhile, and runs that are only counted."""

    def __init__(self) -> None:
        self.audit = InMemoryAuditLog()
        self.runs: list[tuple[list[str], int]] = []
        self.failure: ReconcileError | None = None
        self.repair = Repair(self, self.audit, self.run)

    def reopen(self, order: Enrollment) -> bool:
        return order.id != "changed"

    def run(self, ids: Sequence[str], most: int) -> RunResult:
        self.runs.append((list(ids), most))
        summary = RunSummary(run_id="r1", mode=APPLY, started_at=datetime(2026, 11, 24, tzinfo=UTC))
        summary.outcomes[Outcome.ENROLLED] = most
        return RunResult(summary=summary, failure=self.failure)

    def found(self, kind: DriftKind, name: str | None, *, by_us: bool = False) -> None:
        key = EffectKey("sam@example.com", "python-basics")
        order = None
        if name is not None:
            order = Enrollment(
                id=name,
                payment_id=None,
                member=key.member,
                email=key.member,
                course=key.course,
                amount=None,
                currency="usd",
                paid=True,
                paid_at=None,
                sync=SyncState(status="pending"),
            )
        self.repair.note(Finding(kind=kind, key=key, enrollment=order, by_us=by_us))


def test_only_the_stale_and_ghosts_that_were_never_ours_are_repaired() -> None:
    world = World()
    world.found(DriftKind.STALE, "stale")
    world.found(DriftKind.GHOST, "ghost")
    world.found(DriftKind.GHOST, "ours", by_us=True)
    world.found(DriftKind.UNPAID, "unpaid")
    world.found(DriftKind.STRAY, None)

    assert world.repair.stale == ["stale"]
    assert [order.id for order in world.repair.ghosts] == ["ghost"]


def test_the_stale_are_confirmed_and_nobody_is_enrolled() -> None:
    world = World()
    world.found(DriftKind.STALE, "stale")

    assert world.repair.confirm_stale() == "Run r1: nothing to do"
    assert world.runs == [(["stale"], 0)]


def test_ghosts_are_enrolled_but_for_those_that_have_changed_meanwhile() -> None:
    world = World()
    world.found(DriftKind.GHOST, "ghost")
    world.found(DriftKind.GHOST, "changed")

    assert world.repair.enroll_ghosts() == "Run r1: 1 enrolled"
    assert world.runs == [(["ghost"], 1)]


def test_nothing_is_run_where_every_ghost_has_changed() -> None:
    world = World()
    world.found(DriftKind.GHOST, "changed")

    assert world.repair.enroll_ghosts() == "Nothing was left to repair."
    assert world.runs == []


def test_what_ends_the_run_is_raised() -> None:
    world = World()
    world.found(DriftKind.STALE, "stale")
    world.failure = ReconcileError("the LMS is down")

    with pytest.raises(ReconcileError, match="the LMS is down"):
        world.repair.confirm_stale()
