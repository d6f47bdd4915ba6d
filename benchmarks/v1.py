"""V1: a run's wall time as a multiple of the floor, over the embedded MongoDB.

    python -m benchmarks.v1 [--quick]

10,000 orders, of which the LMS (50 ms away) lacks 10 %, at 4, 16 and 64 in flight. Floor and run take turns;
the medians of three count. An empty run's time, measured between them, is taken off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from benchmarks.running import Bench, Course, Ran, bench
from benchmarks.shop import Backlog, backlog
from benchmarks.table import Line, in_turns, program

LATENCY = 0.05
MISSING = 0.1
GOALS = {4: 1.20, 16: 1.40, 64: 1.45}
_EMPTY = Backlog(orders=[], there=[])


def measure(quick: bool) -> Iterator[Line]:  # noqa: FBT001  # as every program of the table
    """One line for each number in flight."""
    orders = backlog(300 if quick else 10_000, missing=MISSING)
    with bench() as servers:
        for in_flight, goal in GOALS.items():
            course = Course(backlog=orders, latency=LATENCY, in_flight=in_flight)
            yield against_floor(
                servers, course, servers.embedded, number="V1", goal=goal, quick=quick, written_back=True
            )


def against_floor(
    servers: Bench,
    course: Course,
    run: Callable[[Course], Ran],
    *,
    number: str,
    goal: float,
    quick: bool,
    written_back: bool,
) -> Line:
    """The run against its floor."""
    ran: list[Ran] = []
    empty = Course(backlog=_EMPTY, latency=course.latency, in_flight=course.in_flight)

    def once() -> float:
        ran.append(run(course))
        return ran[-1].seconds

    floor, took, nothing = in_turns(
        1 if quick else 3,
        lambda: servers.floor(course, written_back=written_back),
        once,
        lambda: run(empty).seconds,
    )
    ratio = (took - nothing) / floor
    asked = ran[-1].asked
    place = "" if written_back else ", orders and leases in memory"
    return Line(
        number=number,
        what=f"{len(course.backlog.orders):,} orders, {course.backlog.missing:,} missing, "
        f"{course.in_flight} in flight{place}",
        goal=f"≤ {goal:.2f} × floor",
        measured=f"{took:.2f} s, {nothing:.2f} s of it empty; LMS idle {asked.idle_share:.0%}",
        ratio=f"{ratio:.2f} × floor {floor:.2f} s",
        holds=ratio <= goal,
    )


if __name__ == "__main__":
    sys.exit(program(measure, __doc__))
