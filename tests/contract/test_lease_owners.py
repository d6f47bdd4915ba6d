"""Who had a lease before, and which attempts were fenced under it: the fake and MongoDB through one suite.

"Never sent" is concluded from an owner that does not list an attempt. So an id that was fenced may never
be missing from an owner, whatever the processes and the documents go through.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from reconcile.base.errors import StoreUnavailable
from reconcile.domain.model import EffectKey
from reconcile.run.leases import IN_FLIGHT, Lease, Owner
from reconcile.storefront.leases import MongoLeases
from tests.contract.lease_cases import ORIGIN, Case, cases

TTL, HOLD = 60.0, 30.0
KEYS = [EffectKey(f"m{number}@example.com", "python-basics") for number in range(4)]
KEY = KEYS[0]
numbers = itertools.count(1)


@pytest.fixture(params=["fake", "mongodb"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    yield from cases(request, ttl=TTL, hold=HOLD)


def taken(case: Case, run_id: str) -> Lease:
    return case.mine.take([KEY], run_id)[KEY]


def died(case: Case, run_id: str) -> None:
    """Its process is gone, and that is known."""
    case.theirs.take_over([run_id])


def test_many_are_fenced_at_once_and_only_those_that_are_ours(case: Case) -> None:
    mine = case.mine.take(KEYS[:3], "r1")
    also = case.mine.take(KEYS[3:], "r1")
    died(case, "r1")
    theirs = case.theirs.take(KEYS[:1], "r2")
    again = case.mine.take(KEYS[1:], "r3")

    assert case.mine.fence_all([(mine[KEY], 1), *((again[key], 2) for key in KEYS[1:])]) == set(KEYS[1:])
    assert case.mine.fence_all([(lease, 3) for lease in (*mine.values(), *also.values())]) == set()
    assert case.theirs.fence_all([(theirs[KEY], 4), (again[KEYS[1]], 5)]) == {KEY, KEYS[1]}
    assert case.theirs.fence_all([]) == set()


def test_what_was_fenced_may_be_in_flight_for_longer_than_the_hold(case: Case) -> None:
    lease = taken(case, "r1")
    case.mine.fence_all([(lease, 1)])
    died(case, "r1")

    until = case.theirs.take([KEY], "r2")[KEY].hold_until
    assert until is not None
    left = (until - (case.mine.hold_all([lease]) - timedelta(seconds=HOLD))).total_seconds()
    assert HOLD + IN_FLIGHT - 5 < left <= HOLD + IN_FLIGHT + 1


def test_a_lease_that_nobody_had_has_no_owners(case: Case) -> None:
    assert taken(case, "r1").owners == ()


def test_what_was_given_back_has_no_owner(case: Case) -> None:
    lease = taken(case, "r1")
    case.mine.fence_all([(lease, 1)])
    case.mine.release([lease])

    assert case.theirs.take([KEY], "r2")[KEY].owners == ()


def test_what_was_given_back_on_hold_has_no_owner(case: Case) -> None:
    lease = taken(case, "r1")
    case.mine.fence_all([(lease, 1)])
    case.mine.hold_all([lease])
    case.mine.release([lease])

    seen = case.theirs.take([KEY], "r2")[KEY]
    assert (seen.owners, seen.hold_until is not None) == ((), True)


def test_the_dead_one_is_an_owner_with_what_it_had_fenced(case: Case) -> None:
    first = taken(case, "r1")
    case.mine.fence_all([(first, 7)])
    case.mine.fence_all([(first, 9)])  # a second try
    case.mine.fence_all([(first, 7)])  # the first fence was too old
    died(case, "r1")

    owner = Owner(token=first.token, attempts=frozenset({7, 9}))
    assert case.theirs.peek([KEY])[KEY].owners == (owner,)
    assert case.theirs.take([KEY], "r2")[KEY].owners == (owner,)


def test_one_fence_may_name_several_attempts_of_a_lease(case: Case) -> None:
    first = taken(case, "r1")
    assert case.mine.fence_all([(first, 1), (first, 2)]) == {KEY}
    died(case, "r1")

    assert case.theirs.take([KEY], "r2")[KEY].owners[0].attempts == {1, 2}


def test_a_lease_that_lapsed_has_an_owner_too(request: pytest.FixtureRequest, case: Case) -> None:
    first = taken(case, "r1")
    case.mine.fence_all([(first, 1)])
    if "mongodb" in request.node.name:
        leases = request.getfixturevalue("database").reconcile_leases
        leases.update_one({}, {"$set": {"expires_at": datetime.now(UTC) - timedelta(seconds=1)}})
    else:
        case.wait(TTL + 1)

    assert case.theirs.take([KEY], "r2")[KEY].owners == (Owner(token=first.token, attempts=frozenset({1})),)


def test_a_mark_survives_two_take_overs(case: Case) -> None:
    first = taken(case, "r1")
    case.mine.fence_all([(first, 1)])
    died(case, "r1")
    second = taken(case, "r2")
    died(case, "r2")
    third = case.theirs.take([KEY], "r3")[KEY]

    assert third.owners == (
        Owner(token=first.token, attempts=frozenset({1})),
        Owner(token=second.token, attempts=frozenset()),
    )
    assert case.mine.fence_all([(first, 2), (second, 3)]) == set(), "who was taken over marks nothing more"


def test_giving_back_forgets_the_owners_but_for_those_to_be_kept(case: Case) -> None:
    first = case.mine.take(KEYS, "r1")
    case.mine.fence_all([(first[key], 1) for key in KEYS])
    died(case, "r1")
    second = case.mine.take(KEYS, "r2")
    case.mine.fence_all([(second[key], 2) for key in KEYS])
    case.mine.hold_all([second[KEYS[1]], second[KEYS[2]]])
    case.mine.release(list(second.values()), keep_owners={KEYS[0], KEYS[2]})

    third = case.theirs.take(KEYS, "r3")

    kept = [(Owner(token=first[key].token, attempts=frozenset({1})),) for key in KEYS]
    assert [third[key].owners for key in KEYS] == [kept[0], (), kept[2], ()]
    assert all(lease.hold_until is not None for lease in third.values()), "what the dead one had in flight"


def test_a_kept_owner_is_forgotten_when_its_row_is_closed(case: Case) -> None:
    first = taken(case, "r1")
    died(case, "r1")
    second = taken(case, "r2")
    case.mine.release([second], keep_owners=[KEY])
    third = taken(case, "r3")
    assert third.owners == (Owner(token=first.token, attempts=frozenset()),)
    case.mine.release([third])

    assert taken(case, "r4").owners == ()


def test_keeping_the_owners_of_a_lease_without_any_keeps_nothing(case: Case) -> None:
    case.mine.release([taken(case, "r1")], keep_owners=[KEY])

    assert taken(case, "r2").owners == ()


def test_of_two_that_take_over_one_wins_and_sees_the_owner(case: Case) -> None:
    for number in range(10):
        key = EffectKey(f"both{number}@example.com", "c")
        first = case.mine.take([key], f"dead{number}")[key]
        case.mine.fence_all([(first, number)])
        died(case, f"dead{number}")
        together = threading.Barrier(2)

        def take(process: int, key: EffectKey = key, together: threading.Barrier = together) -> list[Lease]:
            leases = case.mine if process else case.theirs
            together.wait()
            return list(leases.take([key], f"living{process}").values())

        with ThreadPoolExecutor(2) as pool:
            (winner,) = itertools.chain.from_iterable(pool.map(take, range(2)))
        assert winner.owners == (Owner(token=first.token, attempts=frozenset({number})),)


# --- whatever processes do ----------------------------------------------------------------------

_STEP = st.one_of(
    st.tuples(st.sampled_from(["take", "die", "release", "keep", "hold"]), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("fence"), st.integers(0, 2), st.integers(1, 6)),
)


class World:
    """What must be true of one key: who has it, what was fenced under which token, who is owed a proof."""

    def __init__(self, case: Case, key: EffectKey) -> None:
        self.case, self.key = case, key
        self.leases: dict[int, Lease] = {}  #: the last one of each process, also when it is over
        self.fenced: dict[str, set[int]] = {}
        self.current: str | None = None
        self.owners: list[str] = []

    def run_id(self, process: int) -> str:
        return f"{self.key.member}-{process}"

    def step(self, what: str, process: int, attempt: int) -> None:
        lease = self.leases.get(process)
        if what == "take":
            self._take(process)
        elif what == "die":
            self.case.theirs.take_over([self.run_id(process)])
            if lease is not None and lease.token == self.current:
                self.owners.append(lease.token)
                self.current = None
        elif lease is not None and what == "fence":
            ours = self.case.mine.fence_all([(lease, attempt)])
            assert ours == ({self.key} if lease.token == self.current else set())
            if ours:
                self.fenced[lease.token].add(attempt)
        elif lease is not None and what == "hold":
            self.case.mine.hold_all([lease])
        elif lease is not None:
            self._release(lease, keep=what == "keep")

    def _take(self, process: int) -> None:
        got = self.case.mine.take([self.key], self.run_id(process)).get(self.key)
        assert (got is not None) == (self.current is None)
        if got is None:
            return
        seen = [(owner.token, set(owner.attempts)) for owner in got.owners]
        assert seen == [(token, self.fenced[token]) for token in self.owners]
        self.leases[process], self.current, self.fenced[got.token] = got, got.token, set()

    def _release(self, lease: Lease, *, keep: bool) -> None:
        self.case.mine.release([lease], keep_owners=[self.key] if keep else [])
        is_dead_but_not_taken_over = self.current is None and self.owners[-1:] == [lease.token]
        if lease.token == self.current or is_dead_but_not_taken_over:
            self.owners = [token for token in self.owners if keep and token != lease.token]
            self.current = None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEP, max_size=25))
def test_no_id_ever_vanishes(case: Case, steps: list[tuple[str, int, int]]) -> None:
    world = World(case, EffectKey(f"world{next(numbers)}@example.com", "c"))
    for step in steps:
        world.step(*step)


# --- MongoDB's own: what its documents go through ------------------------------------------------


@pytest.fixture
def leases(database: Database[dict[str, Any]]) -> MongoLeases:
    return MongoLeases(database, origin=ORIGIN, ttl=TTL, hold=HOLD)


def after(leases: MongoLeases, change: Any) -> tuple[Owner, ...]:
    """The owners that are seen after an attempt was fenced, its process died and its document was changed."""
    first = leases.take([KEY], "r1")[KEY]
    leases.fence_all([(first, 1)])
    leases.take_over(["r1"])
    change()
    return leases.take([KEY], "r2")[KEY].owners


def test_a_document_that_was_dropped_proves_nothing(
    database: Database[dict[str, Any]], leases: MongoLeases
) -> None:
    assert after(leases, database.reconcile_leases.drop) == ()


@pytest.mark.parametrize("attempts", [None, "1", ["1"], [True], [1, None]])
def test_a_document_of_another_version_or_hand_proves_nothing(
    attempts: object, database: Database[dict[str, Any]], leases: MongoLeases
) -> None:
    change = {"$unset": {"attempts": ""}} if attempts is None else {"$set": {"attempts": attempts}}

    assert after(leases, lambda: database.reconcile_leases.update_one({}, change)) == ()


def test_owners_that_are_no_list_are_left_out(
    database: Database[dict[str, Any]], leases: MongoLeases
) -> None:
    for owners in ("x", {}, [1, {"token": 3, "attempts": []}]):
        change = {"$set": {"owners": owners}}
        seen = after(leases, lambda change=change: database.reconcile_leases.update_one({}, change))
        assert [owner.attempts for owner in seen] == [frozenset({1})]
        leases.release(list(leases.take([KEY], "r3").values()))
        database.reconcile_leases.drop()


def test_a_document_from_a_backup_is_another_owners(
    database: Database[dict[str, Any]], leases: MongoLeases
) -> None:
    """What is restored names the owner of that time, and the later one's token proves nothing."""
    old = leases.take([KEY], "r0")[KEY]
    (backup,) = database.reconcile_leases.find()
    leases.release([old])

    def restore() -> None:
        database.reconcile_leases.replace_one({}, backup | {"expires_at": datetime.now(UTC)})

    assert after(leases, restore) == (Owner(token=old.token, attempts=frozenset()),)


def test_an_address_that_begins_with_a_dollar_is_fenced_like_any_other(leases: MongoLeases) -> None:
    key = EffectKey("$member@example.com", "c")
    lease = leases.take([key], "r1")[key]

    assert leases.fence_all([(lease, 1)]) == {key}
    leases.take_over(["r1"])
    assert leases.take([key], "r2")[key].owners == (Owner(token=lease.token, attempts=frozenset({1})),)


def test_a_fence_without_an_answer_raises_and_its_mark_may_be_there(
    database: Database[dict[str, Any]], leases: MongoLeases
) -> None:
    first = leases.take([KEY], "r1")[KEY]
    fail = {"failCommands": ["update"], "writeConcernError": {"code": 64, "errmsg": "timed out"}}
    database.client.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=fail)

    with pytest.raises(StoreUnavailable):
        leases.fence_all([(first, 1)])
    leases.take_over(["r1"])
    assert leases.take([KEY], "r2")[KEY].owners == (Owner(token=first.token, attempts=frozenset({1})),)
