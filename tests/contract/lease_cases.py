"""Leases to try: the in-memory fake, and MongoDB seen from two processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo.database import Database

from reconcile.run.leases import Lease, Leases
from reconcile.run.ports import Origin
from reconcile.storefront.leases import MongoLeases
from tests.fakes.world import FakeClock, FakeLeases

ORIGIN = Origin(host="h", pid=1, process_started="1")


@dataclass
class Case:
    """The same leases twice, as two processes have them."""

    mine: Leases
    theirs: Leases
    wait: Callable[[float], None]


def fenced(leases: Leases, lease: Lease, attempt: int = 1) -> bool:
    """Whether it is still theirs, right before a write."""
    return leases.fence_all([(lease, attempt)]) == {lease.key}


def cases(request: pytest.FixtureRequest, *, ttl: float, hold: float) -> Iterator[Case]:
    """The case that `request.param` names: `fake` or `mongodb`. `ttl` and `hold` in seconds."""
    if request.param == "fake":
        clock = FakeClock()
        leases = FakeLeases(clock, ttl=ttl, hold_seconds=hold)
        yield Case(leases, leases, clock.advance)
        return
    database: Database[dict[str, Any]] = request.getfixturevalue("database")
    mine = MongoLeases(database, origin=ORIGIN, ttl=ttl, hold=hold)
    theirs = MongoLeases(database, origin=Origin(host="x", pid=2, process_started="1"), ttl=ttl, hold=hold)
    yield Case(mine, theirs, time.sleep)
