"""A month of a shop: 288 runs a day, storms of every kind, silent writes, poison, people who sign up late.

Everybody who can be enrolled is, once; attempts, audit rows, log lines and requests are counted and bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from reconcile.base.errors import AmbiguousWrite
from reconcile.domain.model import EffectKey
from reconcile.run.answers import Created
from reconcile.run.breaker import THRESHOLD
from reconcile.run.options import RunOptions
from reconcile.run.retry import RetryPolicy
from reconcile.run.summary import RunStatus
from tests.fakes.lines import warnings_counted
from tests.fakes.world import NOON, refuse
from tests.simulation.shop import RUNS_A_DAY, WEATHERS, Shop, Storm, key

A_DAY = timedelta(days=1)
#: The first visit and all that may follow it, each with its second try.
POISON_WRITES = 2 * (RetryPolicy().max_attempts + 1)
TRIED = THRESHOLD + RunOptions().concurrency - 1


class Month:
    """What happens, day by day; who is to be enrolled in the end, and who is not."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.sound: list[str] = []
        self.silent: list[str] = []
        self.waiting: list[str] = []
        self.twins: list[tuple[str, str]] = []
        self.poison: list[str] = []
        self.absent: set[str] = set()
        shop.lms.everybody = False

    def day(self, number: int) -> None:
        """Seventeen orders. A storm, of another kind each day, hits when ten of them have just come in."""
        day = A_DAY * number
        rush, quiet = day + timedelta(hours=5), day + timedelta(hours=10)
        kind = WEATHERS[number % len(WEATHERS)]
        lasts = timedelta(hours=2) if number % 10 == 9 else timedelta(minutes=10)
        self.shop.lms.storms.append(Storm(kind=kind, begins=NOON + rush + timedelta(minutes=5), lasts=lasts))
        for place in range(10):
            self.sound.append(self._order(rush, f"sound{number:02}{place}"))
        for name, answer in (
            (f"late{number:02}", self.shop.lms.finish_late(100)),
            (f"done{number:02}", self._done_and_silent),
            (f"never{number:02}", self._never_done_at_first()),
        ):
            self.shop.lms.answers[key(name)] = answer
            self.silent.append(self._order(quiet, name))
        self.twins.append(
            (
                self._order(quiet, f"twin{number:02}"),
                self._order(quiet, f"other{number:02}", twin_of=f"twin{number:02}"),
            )
        )
        self._waits_for_a_day(quiet, f"waits{number:02}")
        if number % 7 == 0:
            name = f"poison{number:02}"
            self.shop.lms.answers[key(name)] = refuse("Payment missing")
            self.poison.append(self._order(quiet, name))

    def _order(self, when: timedelta, name: str, *, twin_of: str | None = None) -> str:
        member = key(twin_of or name).member
        self.shop.lms.members.add(member)
        self.shop.later(when, lambda: self.shop.order(name, email=member))
        return name

    def _waits_for_a_day(self, when: timedelta, name: str) -> None:
        member = key(name).member
        self.shop.later(when, lambda: self.shop.order(name))
        self.shop.later(when + A_DAY / 2, lambda: self.shop.lms.members.add(member))
        self.waiting.append(name)

    def _done_and_silent(self, which: EffectKey) -> Any:
        self.shop.lms.add(which)
        raise AmbiguousWrite("no answer within 10 s")

    def _never_done_at_first(self) -> Callable[[EffectKey], Any]:
        silences = [AmbiguousWrite("connection cut")]

        def answer(which: EffectKey) -> Any:
            if silences:
                raise silences.pop()
            return Created(lms_id=self.shop.lms.add(which), http_status=200)

        return answer


@pytest.mark.parametrize(
    "days", [pytest.param(2, id="2-days"), pytest.param(30, id="30-days", marks=pytest.mark.slow)]
)
def test_a_month(shop: Shop, days: int) -> None:
    month = Month(shop)
    for number in range(days):
        month.day(number)

    with warnings_counted() as lines:
        # Half a day more: the last who waits has signed up by then, the last poison is out of attempts.
        shop.work(days * RUNS_A_DAY + RUNS_A_DAY // 2)

    # Everybody who can be enrolled is, and once; nobody but the poison has failed.
    pairs = [name for pair in month.twins for name in pair]
    everybody = [*month.sound, *month.silent, *month.waiting, *pairs]
    assert {shop.sync(name)["syncStatus"] for name in everybody} == {"success"}
    assert {shop.sync(name)["syncStatus"] for name in month.poison} == {"failed"}
    assert shop.copies() == {1}
    assert shop.left_open() == 0

    # Visits: one each; two where the first was not answered and not done; six for the poison.
    assert {shop.sync(name)["retryCount"] for name in (*month.sound, *month.waiting)} == {1}
    assert {shop.sync(f"late{number:02}")["retryCount"] for number in range(days)} == {1}
    assert {shop.sync(f"never{number:02}")["retryCount"] for number in range(days)} == {2}
    assert {shop.writes(name) for name in month.poison} == {POISON_WRITES}

    # Runs: those in a storm ended early, and each said so in one line.
    aborted = [run for run in shop.runs if run.status is RunStatus.ABORTED]
    assert {run.exit_code for run in aborted} == {75}
    in_storms = sum(storm.lasts // timedelta(minutes=5) for storm in shop.lms.storms)
    assert 0 < len(aborted) <= in_storms
    assert sum("Run aborted" in line for line in lines) == len(aborted)
    # Beside these there is one line for each failure of an enrollment's own.
    own = shop.query("SELECT sum(counted) FROM attempts WHERE outcome IN ('retrying', 'failed')")
    assert len(lines) == len(aborted) + own

    # Audit rows: what was written, what waited, what was found; and what the breaker let through.
    learners = len(everybody)
    assert shop.rows() <= 2 * learners + len(month.poison) * (POISON_WRITES + 1) + len(aborted) * TRIED
    # Requests: ping, sight and a look for each run, one for each write, one for each second look.
    writes = len(shop.lms.enroll_calls)
    assert writes <= learners + len(month.silent) + len(month.poison) * POISON_WRITES + len(aborted) * TRIED
    assert shop.lms.requests <= 3 * len(shop.runs) + 2 * writes
    print(
        f"{len(shop.runs)} runs, {len(aborted)} aborted; {learners} learners, {writes} writes,"
        f" {shop.rows()} rows, {shop.lms.requests} requests, {len(lines)} warnings"
    )
