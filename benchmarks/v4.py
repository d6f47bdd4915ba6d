"""V4: a run's peak memory, over a backlog of 10,000 orders and over one of a million.

    python -m benchmarks.v4 [--quick]

The LMS has all learners already, so that each order is looked at and written back. That takes the embedded
MongoDB most of an hour: after fifteen minutes (five seconds in the quick one) a run is asked to end, and the
line says how far it came.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.commands import Measured, reconcile
from benchmarks.running import Bench, bench
from benchmarks.shop import COURSES, plain_orders
from benchmarks.table import Line, program

_GROWS, _MOST = 10, 150


def measure(quick: bool) -> Iterator[Line]:  # noqa: FBT001  # as every program of the table
    """One line."""
    small, large = (10_000, 50_000) if quick else (10_000, 1_000_000)
    seconds = 5.0 if quick else 15 * 60.0
    with bench() as servers:
        before, first = _run(servers, small, seconds)
        after, second = _run(servers, large, seconds)
    grown = after.peak - before.peak
    yield Line(
        number="V4",
        what=f"peak memory of `run`, {small:,} → {large:,} unsynced orders",
        goal=f"grows < {_GROWS} MB, < {_MOST} MB",
        measured=f"{before.peak:.0f} → {after.peak:.0f} MB ({first:,} → {second:,} orders settled)",
        ratio=f"{grown:+.1f} MB",
        holds=grown < _GROWS and after.peak < _MOST,
    )


def _run(servers: Bench, count: int, seconds: float) -> tuple[Measured, int]:
    """What the run took, and how many orders it has settled."""
    there = ((order["email"], order["courseId"]) for order in plain_orders(count))
    servers.lms.load(courses=COURSES, enrollments=there)
    with (
        servers.shop.database(plain_orders(count)) as database,
        tempfile.TemporaryDirectory() as folder,
    ):
        environment = servers.environment(database)
        done = reconcile(environment, "run", "--json", cwd=Path(folder), stop_after=seconds)
    settled = json.loads(done.output)["outcomes"] if done.output else {}
    return done, sum(settled.values())


if __name__ == "__main__":
    sys.exit(program(measure, __doc__))
