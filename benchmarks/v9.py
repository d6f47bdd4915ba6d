"""V9: what another client of the LMS notices of a run with default settings.

    python -m benchmarks.v9 [--quick]

The LMS has 16 workers and works 40 ms on each request. Four clients ask it one thing after the other while it
is left alone, and again from the first to the last write of a run; at least 1,000 requests each time.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.commands import reconcile
from benchmarks.running import Bench, bench
from benchmarks.shop import COURSES, Backlog, backlog
from benchmarks.table import Line, program

_WORKERS, _SERVICE = 16, 0.04
_CLIENTS = 4
_MORE = 0.10


def measure(quick: bool) -> Iterator[Line]:  # noqa: FBT001  # as every program of the table
    """One line."""
    rounds, requests, orders = (1, 100, 100) if quick else (3, 1000, 3000)
    waiting = backlog(orders, missing=1.0)
    idle: list[float] = []
    busy: list[float] = []
    counted = most = 0
    with bench() as servers:
        for _ in range(rounds):
            _load(servers, waiting)
            idle.append(_p95(_visits(servers, requests)))
            waits, most = _during_run(servers, waiting)
            counted += len(waits)
            busy.append(_p95(waits))
    alone, beside = statistics.median(idle), statistics.median(busy)
    more = beside / alone - 1
    yield Line(
        number="V9",
        what=f"another client's p95 during a run, {_WORKERS} workers, {1000 * _SERVICE:.0f} ms each",
        goal=f"< +{_MORE:.0%}",
        measured=f"{beside:.1f} ms over {counted // rounds:,} requests; most in the LMS at once {most}",
        ratio=f"{more:+.1%} on {alone:.1f} ms",
        holds=more < _MORE,
    )


def _load(servers: Bench, orders: Backlog) -> None:
    servers.lms.load(courses=COURSES, enrollments=orders.there, service=_SERVICE, workers=_WORKERS)


def _visits(servers: Bench, requests: int) -> list[float]:
    return [wait for _, wait in _told(_visitor(servers, requests))]


def _during_run(servers: Bench, orders: Backlog) -> tuple[list[float], int]:
    """The waits during a run, and the most requests that the LMS had at once."""
    _load(servers, orders)
    with servers.shop.database(orders.orders) as database, tempfile.TemporaryDirectory() as folder:
        environment = servers.environment(database)
        visitor = _visitor(servers, 0)
        try:
            reconcile(environment, "run", "--json", cwd=Path(folder))
        finally:
            waits = _told(visitor)
    asked = servers.lms.asked()
    first, last = asked.writing
    return [wait for at, wait in waits if first <= at <= last], asked.most_in_flight


def _visitor(servers: Bench, requests: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.visitor", servers.lms.address, str(requests), str(_CLIENTS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _told(visitor: subprocess.Popen[str]) -> list[tuple[float, float]]:
    said, _ = visitor.communicate()
    waits: list[tuple[float, float]] = json.loads(said)
    return waits


def _p95(waits: list[float]) -> float:
    return statistics.quantiles(waits, n=20)[-1]


if __name__ == "__main__":
    sys.exit(program(measure, __doc__))
