"""P6: an outage of ten minutes, of every kind, in the middle of a shop's day: it costs nobody anything."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from reconcile.run.breaker import THRESHOLD
from reconcile.run.options import RunOptions
from reconcile.run.summary import RunSummary
from tests.fakes.lines import warnings_counted
from tests.fakes.world import NOON
from tests.simulation.shop import DOWN, WEATHERS, Shop, Storm

LEARNERS = 40
NAMES = [f"e{number:02}" for number in range(LEARNERS)]
#: Of these, so many may be tried in one run before the breaker ends it: what is in flight is finished.
TRIED = THRESHOLD + RunOptions().concurrency - 1
TEMPORARY = 75


def storm(shop: Shop, kind: str, *, minutes: float) -> list[RunSummary]:
    """Forty orders five minutes before a storm; runs until two after it. The runs in the storm."""
    for name in NAMES:
        shop.order(name)
    shop.lms.storms = [Storm(kind=kind, begins=NOON + timedelta(minutes=5), lasts=timedelta(minutes=minutes))]
    in_storm = int(minutes // 5)
    shop.work(1 + in_storm + 2)
    return shop.runs[1 : 1 + in_storm]


@pytest.mark.parametrize("kind", WEATHERS)
def test_ten_minutes_of_outage_burn_nothing(shop: Shop, kind: str) -> None:
    with warnings_counted() as lines:
        in_storm = storm(shop, kind, minutes=10)

    # One line a run, not one a learner.
    assert len(lines) == len(in_storm) == 2
    assert all("Run aborted" in line for line in lines)
    assert [run.exit_code for run in in_storm] == [TEMPORARY] * 2
    # Nobody failed, no attempt was used up but the one that went through, nobody is left behind.
    assert shop.statuses() == {"success": LEARNERS}
    assert {shop.sync(name)["retryCount"] for name in NAMES} == {1}
    assert shop.query("SELECT count(*) FROM attempts WHERE outcome = 'failed'") == 0
    assert shop.query("SELECT sum(counted) FROM attempts") == LEARNERS
    assert shop.copies() == {1}
    assert shop.left_open() == 0
    # Counted and bounded.
    extra = 0 if kind == DOWN else 2 * TRIED
    assert LEARNERS <= shop.rows() <= LEARNERS + extra
    assert LEARNERS <= len(shop.lms.enroll_calls) <= LEARNERS + extra
    if kind == DOWN:
        sent = [run.lms_requests for run in shop.runs]
        assert [after - before for before, after in pairwise(sent)][:2] == [1, 1], "a ping each"


@pytest.mark.parametrize("kind", WEATHERS)
def test_a_night_of_outage_burns_nothing_either(shop: Shop, kind: str) -> None:
    """Eight hours, and with so few learners that the same ones are tried again and again."""
    few = NAMES[: THRESHOLD + 1]
    for name in few:
        shop.order(name)
    shop.lms.storms = [Storm(kind=kind, begins=NOON + timedelta(minutes=5), lasts=timedelta(hours=8))]

    shop.work(1 + 96 + 2)

    assert shop.statuses() == {"success": len(few)}
    assert {shop.sync(name)["retryCount"] for name in few} == {1}
    assert shop.copies() == {1}
    assert shop.rows() <= len(few) + 96 * len(few)
