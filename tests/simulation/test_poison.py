"""P7: what can never succeed costs six visits ever, and no run; who waits costs a row a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from reconcile.base.errors import AmbiguousWrite, ProtocolViolation, ServiceUnavailable
from reconcile.run.breaker import MAX_DISPROVED, MAX_EXCUSED
from reconcile.run.retry import RetryPolicy
from reconcile.run.summary import RunStatus
from tests.fakes.world import fail, refuse
from tests.simulation.shop import RUNS_A_DAY, Shop, key

#: The first visit, and all that may follow it.
VISITS = RetryPolicy().max_attempts + 1
#: What the LMS says to a poison record, every time.
POISONS: dict[str, Callable[[Any], Any]] = {
    "refused": refuse("Payment missing"),
    "broken": fail(ServiceUnavailable("500", certain=False, http_status=500)),
    "unanswered": fail(AmbiguousWrite("no answer within 10 s")),
    "odd": fail(ProtocolViolation("HTML", http_status=200)),
}
#: Writes in one visit: an answer permits the second try, silence does not.
TRIES = {"refused": 2, "broken": 2, "unanswered": 1, "odd": 1}
DAYS = [pytest.param(1, id="1-day"), pytest.param(30, id="30-days", marks=pytest.mark.slow)]
A_DAY = timedelta(days=1)


@dataclass
class Customers:
    """Sound orders, so many a day, spread over it."""

    shop: Shop
    a_day: int = 10

    def come(self, days: int) -> list[str]:
        names = [f"sound{number:04}" for number in range(days * self.a_day)]
        for number, name in enumerate(names):
            self.shop.later(A_DAY / self.a_day * number, lambda name=name: self.shop.order(name))
        # The last of them comes early enough for its access.
        return names


@pytest.mark.parametrize("days", DAYS)
def test_a_poison_record_costs_six_visits_ever_and_no_run(shop: Shop, days: int) -> None:
    sound = Customers(shop).come(days)
    for name, answer in POISONS.items():
        shop.lms.answers[key(name)] = answer
        shop.order(name)

    shop.work(days * RUNS_A_DAY)

    for name in POISONS:
        assert shop.writes(name) == VISITS * TRIES[name], name
        assert shop.sync(name)["syncStatus"] == "failed"
        assert shop.sync(name)["retryCount"] == VISITS
        # One row a write, and one that says that its visits are used up.
        assert shop.rows(name) == VISITS * TRIES[name] + 1
    assert {run.status for run in shop.runs} == {RunStatus.COMPLETED}
    assert {shop.sync(name)["syncStatus"] for name in sound} == {"success"}
    assert shop.rows() == len(sound) + VISITS * sum(TRIES.values()) + len(POISONS)
    # A ping, the sight and one look for each run; for each write one look before it, and one after.
    looks = 2 * VISITS * sum(TRIES.values()) + len(sound)
    assert shop.lms.requests <= 3 * len(shop.runs) + len(shop.lms.enroll_calls) + looks
    assert shop.left_open() == 0


def test_a_new_audit_begins_at_none(shop: Shop) -> None:
    """Only our own visits count, and they are those in our audit."""
    for name, answer in POISONS.items():
        shop.lms.answers[key(name)] = answer
        shop.order(name)

    for _ in range(2):
        shop.work(RUNS_A_DAY // 4)
        shop.begin_new_audit()

    assert {name: shop.writes(name) for name in POISONS} == {
        name: 2 * VISITS * tries for name, tries in TRIES.items()
    }
    assert shop.sync("refused")["retryCount"] == 2 * VISITS


@pytest.mark.parametrize("days", DAYS)
def test_a_crowd_of_poison_keeps_nobody_out_and_is_not_written_for_ever(shop: Shop, days: int) -> None:
    """Six in a row look like an outage: they are excused until it is known that others get through."""
    sound = Customers(shop).come(days)
    crowd = [f"broken{number}" for number in range(6)]
    for name in crowd:
        shop.lms.answers[key(name)] = POISONS["broken"]
        shop.order(name)

    shop.work(days * RUNS_A_DAY)

    assert {shop.sync(name)["syncStatus"] for name in sound} == {"success"}
    assert {shop.sync(name)["syncStatus"] for name in crowd} == {"failed"}
    # Some more than disproved ones: until the next sound order comes.
    until_disproved = RUNS_A_DAY // 10 + 1
    assert all(shop.writes(name) <= MAX_DISPROVED + until_disproved + 2 * VISITS for name in crowd)
    assert shop.copies() == {1}


@pytest.mark.slow
def test_a_crowd_of_poison_alone_is_not_written_for_ever_either(shop: Shop) -> None:
    crowd = [f"broken{number}" for number in range(6)]
    for name in crowd:
        shop.lms.answers[key(name)] = POISONS["broken"]
        shop.order(name)

    shop.work(30 * RUNS_A_DAY)

    assert all(MAX_EXCUSED <= shop.writes(name) <= MAX_EXCUSED + 2 * VISITS for name in crowd)
    assert {shop.sync(name)["syncStatus"] for name in crowd} == {"failed"}


@pytest.mark.parametrize("days", DAYS)
def test_who_waits_costs_one_row_for_each_change_of_the_verdict(shop: Shop, days: int) -> None:
    waiting = [f"w{number}" for number in range(10)]
    shop.lms.everybody = False
    for name in waiting:
        shop.order(name)
    signs_up, is_enabled = (timedelta(hours=hours) for hours in (6, 12))
    member = key(waiting[0]).member
    shop.later(signs_up, lambda: (shop.lms.members.add(member), shop.lms.disabled.add(member)))
    shop.later(is_enabled, lambda: shop.lms.disabled.remove(member))

    shop.work(days * RUNS_A_DAY)

    # No account, disabled, enrolled; the others have been looked at every five minutes, in vain.
    assert shop.rows(waiting[0]) == 3
    assert [shop.rows(name) for name in waiting[1:]] == [1] * 9
    assert {shop.sync(name)["retryCount"] for name in waiting[1:]} == {0}
    assert shop.lms.enroll_calls == [key(waiting[0])]
    assert len(shop.world.source.writes) == 12, "one write-back for each change, too"
    assert shop.lms.requests <= 3 * len(shop.runs) + 1
