"""V3: how many requests a run sends beside those that enroll.

python -m benchmarks.v3 [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.running import Course, bench
from benchmarks.shop import backlog
from benchmarks.table import Line, program


def measure(quick: bool) -> Iterator[Line]:  # noqa: FBT001  # as every program of the table
    """One line: a request more or less does not depend on the machine."""
    count = 1000 if quick else 10_000
    course = Course(backlog=backlog(count, missing=0.1), latency=0.005, in_flight=16)
    with bench() as servers:
        asked = servers.in_memory(course).asked
    missing = course.backlog.missing
    most = count // 100 + missing // 50
    kinds = ", ".join(f"{name} {times}" for name, times in sorted(asked.requests.items()))
    yield Line(
        number="V3",
        what=f"requests beside writes, {count:,} orders, {missing:,} to enroll",
        goal=f"≤ {most}: 1 per 100 orders and 1 per 50 to enroll",
        measured=f"{asked.beside} ({kinds})",
        ratio=f"{asked.beside / most:.2f} × what is allowed",
        holds=asked.beside <= most,
    )


if __name__ == "__main__":
    sys.exit(program(measure, __doc__))
