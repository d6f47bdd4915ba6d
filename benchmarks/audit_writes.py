"""What the chain costs: attempts begun and finished with links, against the same without, in one run.

    python benchmarks/audit_writes.py [ATTEMPTS] [--folder DIR]

Both write the same attempts with the same durable commits (two for each) to files of their own, taking
turns so that a busy disk is busy for both. `--folder` chooses the disk; the default is the temporary one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import insert, select, update

from reconcile.audit import rows
from reconcile.audit.groups import _remember_people
from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.audit.process import current_origin
from reconcile.audit.tables import attempts
from reconcile.domain.model import Enrollment, Outcome, Verdict
from reconcile.run.ports import Intent
from reconcile.run.summary import RunSummary
from tests.fakes.attempts import begin, finish

TURN = 25
ENROLLED = Verdict(outcome=Outcome.ENROLLED, lms_id="lms-enrollment-1", attempts=1)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RUN = "benchmark"


def intent(number: int) -> Intent:
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
    return Intent(run_id=RUN, enrollment=order, number=1, started_at=NOW)


def chained(log: SqlAuditLog, number: int) -> None:
    """As reconcile writes: each event with its link."""
    finish(log, begin(log, intent(number)), ENROLLED, run_id=RUN, at=NOW, http_status=200)


def unchained(log: SqlAuditLog, number: int) -> None:
    """The same rows and the same commits, and no links."""
    secret, order = log._secret, intent(number)
    row = rows.intent_row(order, secret)
    with log.store.writing() as connection:
        _remember_people(connection, [(order.enrollment, row)])
        made = connection.execute(insert(attempts), row)
        key = made.inserted_primary_key
    assert key is not None
    this = attempts.c.attempt_id == key[0]
    with log.store.writing() as connection:
        flags = connection.execute(select(attempts.c.flags).where(this)).scalar_one()
        values = {**rows.verdict_columns(ENROLLED, at=NOW), "http_status": 200, "flags": flags}
        connection.execute(update(attempts).where(this, attempts.c.finished_at.is_(None)).values(values))


def main() -> int:
    """Measure and print; 1 where the chain costs more than half of the speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("attempts", type=int, nargs="?", default=1000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    ways: dict[str, Callable[[SqlAuditLog, int], None]] = {"unchained": unchained, "chained": chained}
    took = dict.fromkeys(ways, 0.0)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        logs = {name: open_audit(f"sqlite:///{folder}/{name}.db") for name in ways}
        for log in logs.values():
            log.open_run(RunSummary(run_id=RUN, mode="apply", started_at=NOW), current_origin())
        for start in range(0, options.attempts, TURN):
            for name, write in ways.items():
                began = time.perf_counter()
                for number in range(start, min(start + TURN, options.attempts)):
                    write(logs[name], number)
                took[name] += time.perf_counter() - began
        for log in logs.values():
            log.close()
        sizes = {name: Path(folder, f"{name}.db").stat().st_size / options.attempts for name in ways}
    for name, seconds in took.items():
        rate = options.attempts / seconds
        print(f"{name:<9} {rate:7.0f} attempts/s  {seconds:6.2f} s  {sizes[name]:6.0f} bytes each")
    ratio = took["unchained"] / took["chained"]
    print(f"ratio {ratio:.2f}")
    return 0 if ratio > 0.5 else 1


if __name__ == "__main__":
    sys.exit(main())
