"""V6: what a run costs when there are many orders that nothing can be done about, beyond an empty run.

    python -m benchmarks.v6 [--quick]

5,000 orders are `failed` (half of them malformed, half refused until they were out of attempts) and 5,000
wait for an account. Earlier runs have brought them there. Alerts are switched on, the LMS is 5 ms away. Timed
is what the command does once it has started: the run and what follows it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pymongo import monitoring
from pymongo.database import Database

from benchmarks.running import Bench, bench
from benchmarks.shop import COURSES, plain_orders
from benchmarks.table import Line, in_turns, program, timed
from reconcile.app.build import build
from reconcile.settings import Settings
from reconcile.storefront.leases import COLLECTION

_MOST_SECONDS, _MOST_REQUESTS = 1.0, 60
_LATENCY = 0.005
#: So many runs at most until the orders stand where they stay.
_RUNS = 6


class _Leases(monitoring.CommandListener):
    """Counts what is written into the leases, but for the heartbeat's prolonging of them all."""

    def __init__(self) -> None:
        self.written = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """A command leaves for the server."""
        if event.command.get(event.command_name) == COLLECTION:
            updates = [each for each in event.command.get("updates", ()) if not each.get("multi")]
            inserted = len(event.command.get("documents", ()))
            self.written += len(updates) + inserted + (event.command_name == "findAndModify")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Of no interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Of no interest."""


def measure(quick: bool) -> Iterator[Line]:  # noqa: FBT001  # as every program of the table
    """One line for each goal."""
    part = 125 if quick else 2500
    leases = _Leases()
    monitoring.register(leases)
    with bench() as servers:
        alerts = servers.lms.url.replace("http://", "json://") + "/_bench/message"
        more = {
            "RECONCILE_ALERT_URLS": alerts,
            "RECONCILE_MAX_ATTEMPTS": "1",
            "RECONCILE_BACKOFF_BASE": "0",
            "RECONCILE_RETRY_DELAY": "0",
        }
        orders, refused, missing = _orders(part)
        with servers.shop.database(orders) as database, servers.shop.database() as empty:
            standing = servers.settings(database, **more)
            nothing = servers.settings(empty, **more)
            servers.lms.load(courses=COURSES, missing=missing, refused=refused)
            _settle(servers, standing, database, part)
            servers.lms.load(courses=COURSES, missing=missing, refused=refused, latency=_LATENCY)
            _run(nothing)
            leases.written = 0
            servers.lms.forget()
            _run(standing)
            requests, taken = servers.lms.asked().total, leases.written
            took, without = in_turns(1 if quick else 3, lambda: _run(standing), lambda: _run(nothing))
    what = f"{2 * part:,} failed, {2 * part:,} waiting"
    beyond = took - without
    yield Line(
        number="V6",
        what=f"{what}: time of a run",
        goal=f"< {_MOST_SECONDS} s beyond an empty run",
        measured=f"{beyond:.2f} s beyond",
        ratio=f"{took / without:.1f} × an empty run, {without:.2f} s",
        holds=beyond < _MOST_SECONDS,
    )
    yield Line(
        number="V6",
        what=f"{what}: requests, leases",
        goal=f"≤ {_MOST_REQUESTS} requests, 0 leases",
        measured=f"{requests} requests, {taken} leases",
        holds=requests <= _MOST_REQUESTS and taken == 0,
    )


def _orders(part: int) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """The orders; who of them is refused; who of them has no account."""
    orders: list[dict[str, Any]] = []
    refused: list[str] = []
    missing: list[str] = []
    for number, order in enumerate(plain_orders(4 * part)):
        if number < part:
            orders.append(order | {"amount": "a lot"})
            continue
        orders.append(order)
        (refused if number < 2 * part else missing).append(order["email"])
    return orders, refused, missing


def _settle(servers: Bench, settings: Settings, database: Database[Any], part: int) -> None:
    """Run until nothing is written any more."""
    for _ in range(_RUNS):
        servers.lms.forget()
        _run(settings)
        if not servers.lms.asked().writes:
            break
    by_status = {
        word: database["enrollments"].count_documents({"frappeSync.syncStatus": word})
        for word in ("failed", "pending", "retrying")
    }
    if by_status["failed"] != 2 * part:
        raise AssertionError(f"{2 * part} orders were to be failed: {by_status}")


def _run(settings: Settings) -> float:
    """One run and what follows it, in seconds."""
    with build(settings) as app:
        result = []
        took = timed(lambda: result.append(app.reconcile(app.options())))
    if result[0].failure is not None:
        raise result[0].failure
    return took


if __name__ == "__main__":
    sys.exit(program(measure, __doc__))
