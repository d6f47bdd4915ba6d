"""V2: how many times faster a run is than the storefront's loop: one order at a time, each with its update.

    python -m benchmarks.v2 [--quick]

The loop is timed over some of the orders and multiplied: it does the same for each. It connects to the LMS
for each call, as the published one does. In memory: the loop without its updates.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice

from benchmarks.lms import KEY
from benchmarks.running import Bench, Course, Ran, bench
from benchmarks.shop import backlog
from benchmarks.table import Line, in_turns, program, timed
from benchmarks.v1 import LATENCY, MISSING
from reconcile.sandbox.shop.documents import payload
from reconcile.sandbox.shop.storefront_lms import LmsClient
from reconcile.sandbox.shop.storefront_orders import Orders, real_time


def measure(quick: bool) -> Iterator[Line]:  # noqa: FBT001  # as every program of the table
    """One line for each way."""
    rounds, sample = (1, 20) if quick else (3, 200)
    mixed = backlog(300 if quick else 10_000, missing=MISSING)
    absent = backlog(100 if quick else 2000, missing=1.0)
    four, sixteen = (Course(backlog=mixed, latency=LATENCY, in_flight=number) for number in (4, 16))
    rest = Course(backlog=absent, latency=LATENCY, in_flight=4, via="rest")
    with bench() as servers:
        embedded, memory = (servers.embedded, True), (servers.in_memory, False)
        for course, (run, updating), goal in (
            (four, embedded, 30),
            (sixteen, embedded, 34),
            (sixteen, memory, 100),
            (rest, embedded, 18),
            (rest, memory, 35),
        ):
            yield _against_loop(
                servers, course, run, goal=goal, rounds=rounds, sample=sample, updating=updating
            )


def _against_loop(
    servers: Bench,
    course: Course,
    run: Callable[[Course], Ran],
    *,
    goal: int,
    rounds: int,
    sample: int,
    updating: bool,
) -> Line:
    count = len(course.backlog.orders)
    loop, took = in_turns(
        rounds,
        lambda: _storefront(servers, course, sample, updating=updating) * count / sample,
        lambda: run(course).seconds,
    )
    return Line(
        number="V2",
        what=f"{count:,} orders, {course.backlog.missing:,} missing, {course.in_flight} in flight, "
        f"{course.via}, {'embedded' if updating else 'in memory'}",
        goal=f"≥ {goal} times the storefront's loop",
        measured=f"{took:.2f} s",
        ratio=f"{loop / took:.1f} times, loop {loop:.0f} s",
        holds=loop / took >= goal,
    )


def _storefront(servers: Bench, course: Course, sample: int, *, updating: bool) -> float:
    """So many orders of the backlog in the storefront's way, in seconds."""
    documents = list(islice(course.backlog.documents(), sample))
    client = LmsClient(servers.lms.url, api_key=KEY)
    with servers.shop.database(course.backlog.orders[:sample] if updating else ()) as database:
        orders = Orders(database, real_time)
        course.prepare(servers.lms)

        def loop() -> None:
            for document in documents:
                told = client.confirm(payload(document))
                if not updating:
                    continue
                if told.enrollment_id is not None:
                    orders.synced(document["_id"], told.enrollment_id, retry_count=0)
                else:
                    orders.failed(document["_id"], told.error, status="retrying", retry_count=1)

        return timed(loop)


if __name__ == "__main__":
    sys.exit(program(measure, __doc__))
