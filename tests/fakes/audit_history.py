"""An audit with everything in it that there can be, and the means to do something to a copy of it."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from reconcile.audit.chain.digests import Seal
from reconcile.audit.chain.findings import Verification
from reconcile.audit.chain.verify import verify
from reconcile.audit.forget import forget
from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.audit.prune import prune
from reconcile.audit.schema import read_secret
from reconcile.domain.model import MalformedEnrollment, Reason
from reconcile.run.ports import End, Intent, Record
from reconcile.run.summary import RunStatus
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import (
    ELSEWHERE,
    ENROLLED,
    HERE,
    NOON,
    REFUSED,
    SKIPPED,
    WAITING,
    enrollment,
    intent,
    record,
    summary,
)

DAY = timedelta(days=1)
LONG_AGO = NOON - 400 * DAY


def verified(log: SqlAuditLog, *, expected: Seal | None = None, limit: int = 100) -> Verification:
    """What a verification finds."""
    return verify(log.store, secret=read_secret(log.store), expected=expected, limit=limit)


def close(log: SqlAuditLog, run_id: str, *, at: object = NOON) -> str:
    """Close a run as completed; the newest seal."""
    over = summary(run_id)
    over.add(ENROLLED)
    over.close(RunStatus.COMPLETED, at=at)  # type: ignore[arg-type]
    seal = log.close_run(over)
    assert seal is not None
    return seal


def write(log: SqlAuditLog, run_id: str, order: str, *, person: str = "learner@example.com") -> int:
    """Begin an attempt."""
    order_of = enrollment(order, member=person, email=person)
    return begin(log, Intent(run_id=run_id, enrollment=order_of, number=1, started_at=NOON))


def everything(log: SqlAuditLog) -> None:
    """A pruned run, one that crashed, one that recovered it, one that is under way; people forgotten."""
    log.open_run(summary("old", started_at=LONG_AGO), ELSEWHERE)
    log.record([record(id="order-0", run_id="old")])
    close(log, "old", at=LONG_AGO)
    prune(log.store, before=LONG_AGO + DAY, by="the test", at=NOON)

    log.open_run(summary("crashed"), ELSEWHERE)
    log.record([record(WAITING, id="order-1", run_id="crashed"), record(id="order-2", run_id="crashed")])
    left = write(log, "crashed", "order-3")
    finish(log, write(log, "crashed", "order-4"), REFUSED, run_id="crashed", at=NOON, http_status=417)
    log.close_dead_runs(origin=HERE, stale_before=NOON + DAY, at=NOON)

    log.open_run(summary("recovered"), HERE)
    finish(log, left, ENROLLED, run_id="recovered", at=NOON, http_status=200)
    gone = write(log, "recovered", "order-5", person="gone@example.com")
    said = replace(REFUSED, error="no such user: ,gone @example.com")
    finish(log, gone, said, run_id="recovered", at=NOON)
    broken = MalformedEnrollment(
        id="gone@example.com", problems=("no course",), reason=Reason.MALFORMED, email="Gone@example.com"
    )
    give_up = Record(run_id="recovered", enrollment=broken, action="give_up", verdict=WAITING, at=NOON)
    log.record([give_up])
    close(log, "recovered")

    log.open_run(summary("empty"), HERE)
    close(log, "empty")
    log.open_run(summary("running"), HERE)
    finish(log, write(log, "running", "order-6"), ENROLLED, run_id="running", at=NOON)
    write(log, "running", "order-7")
    leased = [
        replace(intent(f"order-{number}", run_id="running"), lease_token="t-1") for number in (8, 9, 10)
    ]
    ended, unsent, _ = log.begin_all(leased, held_since=NOON)
    assert ended is not None
    assert unsent is not None
    ends = [
        End(attempt_id=ended, verdict=ENROLLED, at=NOON, http_status=200),
        End(attempt_id=unsent, verdict=SKIPPED, at=NOON, never_sent=True),
    ]
    log.finish_all(ends, run_id="running")
    forget(log.store, secret=read_secret(log.store), email="GONE@example.com", by="the test", at=NOON)


@functools.cache
def original() -> bytes:
    """An audit file with all of it."""
    with tempfile.TemporaryDirectory() as folder:
        with new_audit(Path(folder)) as log:
            everything(log)
        # The last connection has emptied the write-ahead log into the file.
        return (Path(folder) / "audit.db").read_bytes()


@contextmanager
def tampered(original: bytes, folder: Path, *statements: str) -> Iterator[SqlAuditLog]:
    """A copy of an audit file after somebody has been at it with SQL of their own."""
    path = folder / "copy.db"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.write_bytes(original)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    log = open_audit(f"sqlite:///{path}", create=False)
    assert log is not None
    with log:
        yield log
