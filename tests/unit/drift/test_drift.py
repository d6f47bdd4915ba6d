"""Drift: what differs is found, whatever the sizes of the pages, and nothing else is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reconcile.drift.find
from reconcile.base.errors import AuthenticationFailed, ConfigurationError
from reconcile.domain.model import EffectKey, Enrolled, Enrollment, SyncState
from reconcile.drift.find import Looked, find_drift
from reconcile.drift.findings import DriftKind, Finding
from reconcile.run.ports import RecentRun, Sight

SYNCED = SyncState(synced=True, status="success", lms_id="E1")


def order(name: str, member: str = "sam@example.com") -> Enrollment:
    return Enrollment(
        id=name,
        payment_id=f"pi_{name}",
        member=member,
        email=member,
        course="python-basics",
        amount=None,
        currency="usd",
        paid=True,
        paid_at=None,
        sync=SyncState(status="pending"),
    )


class Both:
    """Orders, LMS and memory in one."""

    def __init__(self, orders: Sequence[Enrollment], there: Mapping[EffectKey, list[str]]) -> None:
        self.all_orders, self.there = orders, there
        self.verified, self.requests, self.by_us = True, 0, frozenset[str]()
        self.recent: list[RecentRun] = []
        self.sent: dict[str, tuple[str, ...]] = {}

    def synced(self) -> Iterator[Enrollment]:
        return (each for each in self.all_orders if each.paid and each.sync.is_synced)

    def orders_for(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Sequence[Enrollment]]:
        found: dict[EffectKey, list[Enrollment]] = {}
        for each in self.all_orders:
            if each.key in keys:
                found.setdefault(each.key, []).append(each)
        return found

    def sent_as(self, order_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {name: self.sent[name] for name in order_ids if name in self.sent}

    def ping(self) -> None:
        pass

    def prove_sight(self) -> Sight:
        return Sight(proven=True, total=sum(map(len, self.there.values())))

    def enrolled(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Enrolled]:
        self.requests += 1
        return {key: Enrolled(self.there[key][0], len(self.there[key])) for key in keys if key in self.there}

    def roster(self, *, after: str, at_least: int) -> tuple[Mapping[EffectKey, Sequence[str]], str | None]:
        self.requests += 1
        members = sorted({key.member for key in self.there if key.member > after})
        rows: dict[EffectKey, Sequence[str]] = {}
        for number, member in enumerate(members):
            rows |= {key: names for key, names in self.there.items() if key.member == member}
            if sum(map(len, rows.values())) >= at_least and number + 1 < len(members):
                return rows, member
        return rows, None

    def recent_runs(self) -> Sequence[RecentRun]:
        return self.recent

    def given_access(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        return self.by_us & set(enrollment_ids)


def found(both: Both) -> list[Finding]:
    return list(find_drift(both, both, both, looked=Looked()))


def kinds(both: Both) -> Counter[str]:
    return Counter(finding.kind.value for finding in found(both))


PAID = order("e1")


@pytest.mark.parametrize(
    ("orders", "copies", "expected"),
    [
        ([replace(PAID, sync=SYNCED)], 1, {}),
        ([replace(PAID, sync=SYNCED)], 0, {"ghost": 1}),
        ([replace(PAID, sync=SYNCED)], 2, {"duplicate": 1}),
        ([PAID], 1, {"stale": 1}),
        ([PAID], 0, {}),
        ([PAID], 2, {"stale": 1, "duplicate": 1}),
        ([], 1, {"stray": 1}),
        ([], 3, {"stray": 1, "duplicate": 1}),
        ([replace(PAID, paid=False)], 1, {"unpaid": 1}),
        ([replace(PAID, paid=False)], 0, {}),
        ([replace(PAID, paid=False, sync=SYNCED)], 0, {}),
        # Paid twice, one order refunded: the learner is rightly in.
        ([replace(PAID, sync=SYNCED), replace(PAID, id="e2", paid=False)], 1, {}),
        ([replace(PAID, sync=SYNCED), replace(PAID, id="e2")], 1, {"stale": 1}),
        ([replace(PAID, sync=SYNCED), replace(PAID, id="e2", sync=SYNCED)], 0, {"ghost": 2}),
    ],
)
def test_each_difference_has_its_kind(
    orders: list[Enrollment], copies: int, expected: Mapping[str, int]
) -> None:
    there = {PAID.key: [f"E{number}" for number in range(1, copies + 1)]} if copies else {}

    assert kinds(Both(orders, there)) == expected


def test_a_ghost_that_we_gave_access_is_told_apart() -> None:
    both = Both([replace(order(name), sync=SYNCED) for name in ("e1", "e2")], {})
    both.by_us = frozenset({"e2"})

    assert {finding.enrollment.id: finding.by_us for finding in found(both) if finding.enrollment} == {
        "e1": False,
        "e2": True,
    }


def test_without_a_key_there_is_nothing_to_compare() -> None:
    both = Both([], {})
    both.verified = False

    with pytest.raises(ConfigurationError, match="FRAPPE_LMS_API_KEY"):
        found(both)


def test_an_lms_that_is_suddenly_empty_makes_no_ghosts() -> None:
    both = Both([replace(PAID, sync=SYNCED)], {})
    both.recent = [RecentRun(enrolled=0, lms_total=5000)]

    with pytest.raises(AuthenticationFailed) as caught:
        found(both)

    assert caught.value.reason == "blind"


STATES = st.sampled_from(["synced", "unsynced", "unpaid"])


@given(
    st.lists(st.tuples(st.integers(0, 12), STATES), max_size=12),
    st.dictionaries(st.integers(0, 12), st.integers(1, 3), max_size=12),
    st.integers(1, 5),
)
def test_any_two_sides_are_compared_whole_in_portions(
    states: list[tuple[int, str]], copies: dict[int, int], portion: int
) -> None:
    orders = [
        replace(
            order(f"e{place}", f"m{number:02}@example.com"),
            paid=state != "unpaid",
            sync=SYNCED if state == "synced" else SyncState(status="pending"),
        )
        for place, (number, state) in enumerate(states)
    ]
    there = {
        EffectKey(f"m{number:02}@example.com", PAID.course): [f"E{copy}" for copy in range(count)]
        for number, count in copies.items()
    }
    both = Both(orders, there)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconcile.drift.find, "PORTION", portion)
        seen = kinds(both)

    synced = sum(each.paid and each.sync.is_synced for each in orders)
    listed = sum(copies.values())
    assert both.requests <= -(-synced // portion) + listed // portion + 1
    mine: dict[EffectKey, list[Enrollment]] = {}
    for each in orders:
        mine.setdefault(each.key, []).append(each)
    expected = {
        DriftKind.GHOST: sum(each.paid and each.sync.is_synced and each.key not in there for each in orders),
        DriftKind.STALE: sum(each.paid and not each.sync.is_synced and each.key in there for each in orders),
        DriftKind.STRAY: sum(key not in mine for key in there),
        DriftKind.UNPAID: sum(key in mine and not any(each.paid for each in mine[key]) for key in there),
        DriftKind.DUPLICATE: sum(len(names) > 1 for names in there.values()),
    }
    assert {kind: seen[kind.value] for kind in DriftKind} == expected
