"""How old a check is when its write leaves: from reading an order again to sending its request.

python -m benchmarks.window [--quick]

In this window the storefront may still change the order, or enroll its learner itself. A check counts for two
seconds; what waits longer is read again.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.running import Course, bench
from benchmarks.shop import backlog
from benchmarks.v1 import LATENCY, MISSING
from reconcile.app.build import build
from reconcile.domain.model import Enrollment
from reconcile.run.answers import EnrollAnswer
from reconcile.run.options import Ports
from reconcile.run.reconciler import Reconciler
from reconcile.run.source import Fresh


class Window:
    """Ports that note when an order was read again, and when its write was sent."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._read: dict[str, float] = {}
        self.ages: list[float] = []

    def __getattr__(self, name: str) -> Any:
        inner = self._ports.source if hasattr(self._ports.source, name) else self._ports.platform
        return getattr(inner, name)

    def last_look(self, orders: Sequence[Enrollment], **known: Any) -> Mapping[str, Fresh]:
        """As the source, and the time from before it was asked."""
        asked = time.monotonic()
        self._read.update((order.id, asked) for order in orders)
        return self._ports.source.last_look(orders, **known)

    def enroll(self, enrollment: Enrollment) -> EnrollAnswer:
        """As the LMS, and the time."""
        self.ages.append(time.monotonic() - self._read[enrollment.id])
        return self._ports.platform.enroll(enrollment)


def main(*, quick: bool) -> int:
    """One line for each number in flight."""
    orders = backlog(300 if quick else 5000, missing=MISSING)
    with bench() as servers:
        for in_flight in (4, 16, 64):
            course = Course(backlog=orders, latency=LATENCY, in_flight=in_flight)
            with servers.shop.database(orders.orders) as database:
                course.prepare(servers.lms)
                told = {"RECONCILE_CONCURRENCY": str(in_flight)}
                with build(servers.settings(database, **told)) as app:
                    window = Window(app.ports)
                    ports: Any = replace(app.ports, source=window, platform=window)
                    Reconciler(ports).run(app.options())
            ages = sorted(window.ages)
            middle, high = statistics.median(ages), ages[int(len(ages) * 0.95)]
            sys.stdout.write(
                f"{in_flight} in flight, {len(ages)} writes: median {middle:.2f} s, p95 {high:.2f} s,"
                f" {ages[-1]:.2f} s at most\n"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(quick="--quick" in sys.argv))
