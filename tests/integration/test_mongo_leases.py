"""What leases cost: round trips to MongoDB."""

from __future__ import annotations

from typing import Any

from pymongo.database import Database

from reconcile.domain.model import EffectKey
from reconcile.run.ports import Origin
from reconcile.storefront.leases import MongoLeases
from tests.fakes.mongo_commands import noting

ORIGIN = Origin(host="h", pid=1, process_started="1")
KEYS = [EffectKey(f"m{number}@example.com", "python-basics") for number in range(200)]


def test_two_hundred_leases_cost_a_handful_of_round_trips(database: Database[dict[str, Any]]) -> None:
    with noting(database) as (same, sent):
        leases = MongoLeases(same, origin=ORIGIN, ttl=60.0, hold=60.0)
        first = leases.take(KEYS, "dead")
        assert len(sent) <= 2, "the server's clock and one insert"
        sent.clear()
        leases.fence_all([(lease, number) for number, lease in enumerate(first.values())])
        assert sent == ["update reconcile_leases"]
        leases.take_over(["dead"])
        sent.clear()
        second = leases.take(KEYS, "living")
        assert len(sent) <= 4
        sent.clear()
        ours = leases.fence_all([(first[KEYS[0]], 1), *((second[key], 2) for key in KEYS[1:])])
        assert sent == ["update reconcile_leases", "find reconcile_leases"]
        sent.clear()
        leases.hold_all(list(second.values()))
        assert sent == ["update reconcile_leases"]
        sent.clear()
        leases.release(list(second.values()), keep_owners=KEYS[:5])
        assert len(sent) <= 3

    assert set(first) == set(second) == set(KEYS)
    assert ours == set(KEYS[1:])
