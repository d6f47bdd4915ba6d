"""V1b: as V1 with orders and leases in memory (audit on SQLite): what the run itself can do.

python -m benchmarks.v1b [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.running import Course, bench
from benchmarks.shop import backlog
from benchmarks.table import Line, program
from benchmarks.v1 import LATENCY, MISSING, against_floor

GOALS = {4: 1.05, 16: 1.20, 64: 2.2}


def measure(quick: bool) -> Iterator[Line]:  # noqa: FBT001  # as every program of the table
    """One line for each number in flight."""
    orders = backlog(300 if quick else 10_000, missing=MISSING)
    with bench() as servers:
        for in_flight, goal in GOALS.items():
            course = Course(backlog=orders, latency=LATENCY, in_flight=in_flight)
            yield against_floor(
                servers, course, servers.in_memory, number="V1b", goal=goal, quick=quick, written_back=False
            )


if __name__ == "__main__":
    sys.exit(program(measure, __doc__))
