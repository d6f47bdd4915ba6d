"""What committing together gains: attempts begun and ended in groups, against the same one by one.

    python benchmarks/audit_group.py [ROUNDS] [--group N] [--folder DIR] [--url POSTGRESQL]

Both write the same attempts, chained and durable, to audits of their own, taking turns so that a busy disk is
busy for both. One by one, an attempt takes two commits; in groups, a group does. The ratio is that of the
medians. `--folder` chooses the disk, the default is the temporary one; `--url` an empty database instead.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median

from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.audit.process import current_origin
from reconcile.domain.model import Enrollment, Outcome, Verdict
from reconcile.run.ports import End, Intent
from reconcile.run.summary import RunSummary
from tests.fakes.attempts import begin, finish

GOAL = 5.0
ENROLLED = Verdict(outcome=Outcome.ENROLLED, lms_id="lms-enrollment-1", attempts=1)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def intent(run_id: str, number: int) -> Intent:
    """An attempt for an order of its own."""
    address = f"learner{number}@example.com"
    order = Enrollment(
        id=f"{number:024x}",
        payment_id=f"pi_{number}",
        member=address,
        email=address,
        course="python-basics",
        amount=Decimal(49),
        currency="usd",
        paid=True,
        paid_at=NOW,
    )
    return Intent(run_id=run_id, enrollment=order, number=1, started_at=NOW, lease_token=f"{number:032x}")


def one_by_one(log: SqlAuditLog, intents: Sequence[Intent]) -> None:
    """Two commits for each."""
    for each in intents:
        finish(log, begin(log, each), ENROLLED, run_id=each.run_id, at=NOW, http_status=200)


def together(log: SqlAuditLog, intents: Sequence[Intent]) -> None:
    """Two commits for all."""
    numbers = log.begin_all(intents, held_since=NOW)
    ends = [End(attempt_id=n, verdict=ENROLLED, at=NOW, http_status=200) for n in numbers if n is not None]
    assert len(ends) == len(intents)
    log.finish_all(ends, run_id=intents[0].run_id)


def main() -> int:
    """Measure and print; 1 where groups are not five times faster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rounds", type=int, nargs="?", default=40)
    parser.add_argument("--group", type=int, default=25)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--url")
    options = parser.parse_args()
    ways: dict[str, Callable[[SqlAuditLog, Sequence[Intent]], None]] = {
        "one by one": one_by_one,
        "together": together,
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        logs = {name: open_audit(options.url or f"sqlite:///{folder}/{name}.db") for name in ways}
        for name, log in logs.items():
            log.open_run(RunSummary(run_id=name, mode="apply", started_at=NOW), current_origin())
        for turn in range(options.rounds + 1):
            for at, (name, write) in enumerate(ways.items()):
                first = (2 * turn + at) * options.group
                intents = [intent(name, number) for number in range(first, first + options.group)]
                began = time.perf_counter()
                write(logs[name], intents)
                if turn:  # the first one finds everything cold
                    took[name].append((time.perf_counter() - began) / options.group)
        for log in logs.values():
            log.close()
    each = {name: median(times) for name, times in took.items()}
    for name, seconds in each.items():
        print(f"{name:<10} {1 / seconds:7.0f} attempts/s  {1000 * seconds:7.3f} ms each")
    ratio = each["one by one"] / each["together"]
    print(f"ratio {ratio:.1f} (goal: {GOAL:.0f})")
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
