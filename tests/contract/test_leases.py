"""Leases: the in-memory fake and MongoDB through one suite."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from reconcile.domain.model import EffectKey
from reconcile.storefront import leases as mongo_leases
from reconcile.storefront.leases import MongoLeases
from tests.contract.lease_cases import ORIGIN, Case, cases, fenced

TTL, HOLD = 0.6, 1.2
KEYS = [EffectKey(f"m{number}@example.com", "python-basics") for number in range(5)]


@pytest.fixture(params=["fake", "mongodb"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    yield from cases(request, ttl=TTL, hold=HOLD)


def test_what_is_taken_is_nobody_elses(case: Case) -> None:
    mine = case.mine.take(KEYS[:3], "r1")
    theirs = case.theirs.take(KEYS, "r2")

    assert set(mine) == set(KEYS[:3])
    assert set(theirs) == set(KEYS[3:])
    assert all(lease.hold_until is None for lease in mine.values())


def test_what_is_given_back_is_free(case: Case) -> None:
    mine = case.mine.take(KEYS, "r1")
    case.mine.release(list(mine.values()))

    assert set(case.theirs.take(KEYS, "r2")) == set(KEYS)


def test_a_lapsed_lease_may_be_taken_over_and_fences_its_old_owner(case: Case) -> None:
    mine = case.mine.take(KEYS[:1], "r1")
    case.wait(TTL + 0.1)
    theirs = case.theirs.take(KEYS[:1], "r2")

    assert set(theirs) == set(KEYS[:1])
    assert not fenced(case.mine, mine[KEYS[0]])
    assert fenced(case.theirs, theirs[KEYS[0]])


def test_a_lapsed_lease_fences_even_when_nobody_took_it(case: Case) -> None:
    mine = case.mine.take(KEYS[:1], "r1")
    case.wait(TTL + 0.1)

    assert not fenced(case.mine, mine[KEYS[0]])


def test_renewing_keeps_a_lease(case: Case) -> None:
    mine = case.mine.take(KEYS[:1], "r1")
    for _ in range(3):
        case.wait(TTL / 2)
        case.mine.renew()

    assert case.theirs.take(KEYS[:1], "r2") == {}
    assert fenced(case.mine, mine[KEYS[0]])


def test_releasing_a_lease_that_was_taken_over_leaves_the_new_owner_alone(case: Case) -> None:
    mine = case.mine.take(KEYS[:1], "r1")
    case.wait(TTL + 0.1)
    theirs = case.theirs.take(KEYS[:1], "r2")
    case.mine.release(list(mine.values()))

    assert fenced(case.theirs, theirs[KEYS[0]])


def test_an_unanswered_write_is_on_hold_for_everybody(case: Case) -> None:
    mine = case.mine.take(KEYS[:1], "r1")
    assert fenced(case.mine, mine[KEYS[0]])
    case.mine.hold_all([mine[KEYS[0]]])
    case.mine.release(list(mine.values()))

    theirs = case.theirs.take(KEYS[:1], "r2")
    assert theirs[KEYS[0]].hold_until is not None
    # looking without writing does not end the hold
    case.theirs.release(list(theirs.values()))
    again = case.theirs.take(KEYS[:1], "r3")
    assert again[KEYS[0]].hold_until is not None
    case.theirs.release(list(again.values()))
    case.wait(HOLD + 0.1)
    assert case.theirs.take(KEYS[:1], "r4")[KEYS[0]].hold_until is None


def test_an_answered_write_leaves_no_hold(case: Case) -> None:
    mine = case.mine.take(KEYS[:1], "r1")
    assert fenced(case.mine, mine[KEYS[0]])
    case.mine.release(list(mine.values()))

    assert case.theirs.take(KEYS[:1], "r2")[KEYS[0]].hold_until is None


def test_what_the_dead_had_in_flight_stays_on_hold_and_the_rest_is_free(case: Case) -> None:
    mine = case.mine.take(KEYS[:2], "r1")
    assert fenced(case.mine, mine[KEYS[0]])
    case.theirs.take_over(["r1"])

    theirs = case.theirs.take(KEYS[:2], "r2")
    assert theirs[KEYS[0]].hold_until is not None
    assert theirs[KEYS[1]].hold_until is None
    assert not fenced(case.mine, mine[KEYS[1]])


def test_peeking_takes_nothing(case: Case) -> None:
    case.mine.take(KEYS[:2], "r1")

    assert set(case.theirs.peek(KEYS)) == set(KEYS[2:])
    assert set(case.theirs.take(KEYS, "r2")) == set(KEYS[2:])


def test_many_unanswered_writes_are_on_hold_together(case: Case) -> None:
    mine = case.mine.take(KEYS[:3], "r1")
    case.mine.hold_all([mine[key] for key in KEYS[:2]])
    case.mine.release(list(mine.values()))

    theirs = case.theirs.take(KEYS[:3], "r2")
    assert [theirs[key].hold_until is not None for key in KEYS[:3]] == [True, True, False]


def test_nobody_holds_what_somebody_else_has(case: Case) -> None:
    mine = case.mine.take(KEYS[:1], "r1")
    case.theirs.take_over(["r1"])
    theirs = case.theirs.take(KEYS[:1], "r2")
    case.mine.hold_all(list(mine.values()))
    case.theirs.release(list(theirs.values()))

    assert case.theirs.take(KEYS[:1], "r3")[KEYS[0]].hold_until is None


def test_many_at_once_take_each_key_once(case: Case) -> None:
    keys = [EffectKey(f"n{number}@example.com", "c") for number in range(40)]

    def take(number: int) -> list[EffectKey]:
        leases = case.mine if number % 2 else case.theirs
        return list(leases.take(keys[number:] + keys[:number], f"r{number}"))

    with ThreadPoolExecutor(8) as pool:
        taken = [key for got in pool.map(take, range(8)) for key in got]

    assert sorted(taken) == sorted(keys)


# --- MongoDB's own: clocks and what the TTL index may take away ------------------------------


def test_leases_taken_after_the_machine_slept_are_not_born_expired(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our monotonic clock stands still in a suspended machine, the server's does not."""
    leases = MongoLeases(database, origin=ORIGIN, ttl=TTL, hold=HOLD)
    leases.take(KEYS[:1], "before")
    monkeypatch.setattr(mongo_leases, "time", _Behind(seconds=3600))

    taken = leases.take(KEYS[1:3], "after")

    assert all(fenced(leases, lease) for lease in taken.values())


def test_a_hold_is_as_long_as_it_is_also_after_the_machine_slept(
    database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = MongoLeases(database, origin=ORIGIN, ttl=TTL, hold=HOLD)
    lease = leases.take(KEYS[:1], "before")[KEYS[0]]
    leases.hold_all([lease])
    leases.release([lease])
    monkeypatch.setattr(mongo_leases, "time", _Behind(seconds=3600))

    for seen in (leases.peek(KEYS[:1]), leases.take(KEYS[:1], "after")):
        until = seen[KEYS[0]].hold_until
        assert until is not None
        assert until - datetime.now(UTC) < timedelta(seconds=HOLD)


class _Behind:
    """The module `time`, whose monotonic clock has stood still for so long."""

    def __init__(self, *, seconds: float) -> None:
        self._seconds = seconds

    def monotonic(self) -> float:
        return time.monotonic() - self._seconds


@pytest.mark.parametrize("long", ["ttl", "hold"])
def test_no_document_goes_before_its_hold_is_over(database: Database[dict[str, Any]], long: str) -> None:
    seconds = {"ttl": TTL, "hold": HOLD} | {long: timedelta(days=3).total_seconds()}
    leases = MongoLeases(database, origin=ORIGIN, **seconds)
    instants = ("expires_at", "writing_until", "hold_until")
    taken = leases.take(KEYS[:1], "r1")[KEYS[0]]

    for step in (
        leases.renew,
        lambda: fenced(leases, taken),
        lambda: leases.fence_all([(taken, 1)]),
        lambda: leases.hold_all([taken]),
    ):
        (document,) = database["reconcile_leases"].find()
        known = [document[name] for name in instants if document.get(name) is not None]
        assert document["purge_at"] > max(known)
        step()
    (document,) = database["reconcile_leases"].find()
    assert document["purge_at"] > document["hold_until"]
    leases.release([taken])
    if long == "hold":
        (document,) = database["reconcile_leases"].find()
        assert document["purge_at"] > document["hold_until"]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_a_host_outside_utc_takes_leases_that_last_as_long(
    zone: str, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """East of UTC a lease would have lapsed before the first write; west of it, been nobody's for hours."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        leases = MongoLeases(database, origin=ORIGIN, ttl=60.0, hold=60.0)
        (taken,) = leases.take(KEYS[:1], "r1").values()

        assert fenced(leases, taken)
        (document,) = database.reconcile_leases.find()
        left = document["expires_at"] - datetime.now(UTC)
        assert timedelta(seconds=50) < left <= timedelta(seconds=61)
    finally:
        monkeypatch.undo()
        time.tzset()
