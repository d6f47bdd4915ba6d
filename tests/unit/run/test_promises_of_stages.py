"""What one stage hands to the next, where they meet at the worst point."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from reconcile.domain.model import WAITS, EffectKey
from reconcile.run import pipeline
from reconcile.run.answers import Refused
from reconcile.run.source import WriteBack
from tests.fakes.harness import World
from tests.fakes.world import order, refuse


@pytest.mark.parametrize("portion", [1, 2, 500])
def test_an_end_is_committed_before_its_order_is_told_however_they_are_portioned(
    monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    monkeypatch.setattr(pipeline, "PORTION", portion)
    world = World([order(f"e{number}") for number in range(4)])
    world.lms.answers[EffectKey("e1@example.com", "python-basics")] = refuse()
    write_back = world.source.write_back
    early: list[str] = []

    def watched(items: Sequence[WriteBack]) -> frozenset[str]:
        told = {item.enrollment_id for item in items}
        rows = world.audit.attempts.values()
        early.extend(
            row.enrollment.id for row in rows if row.finished_at is None and row.enrollment.id in told
        )
        return write_back(items)

    world.source.write_back = watched  # type: ignore[method-assign]  # watched

    assert world.outcomes() == {"enrolled": 3, "retrying": 1}
    assert early == []


def test_an_order_on_a_later_page_shares_the_fate_that_its_twin_has_had() -> None:
    world = World([order("e1", email="a@example.com"), order("e2", email="a@example.com")])
    world.lms.add(EffectKey("old@example.com", "python-basics"))
    which = EffectKey("a@example.com", "python-basics")
    waits = Refused(reason=next(iter(WAITS.values())), error="no such user", http_status=417)
    world.lms.answers[which] = lambda _: waits

    assert world.outcomes(page_size=1) == {"waiting": 2}
    assert world.lms.enroll_calls == [which]
