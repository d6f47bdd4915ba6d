"""Writing the chain: each event of a run gets a link, each run a seal when it begins and when it ends.

Everything here happens inside the caller's transaction, with what it proves: an event and its link
are committed together or not at all. Rows are locked in one order (the run's, then the seals'), so
that writers of a server wait for each other and never in a circle.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from reconcile.audit.chain import digests as chain
from reconcile.audit.chain.digests import Event, Seal, SealKind
from reconcile.audit.tables import NEWEST_SEAL_KEY, links, meta, runs, seals
from reconcile.base.errors import AuditUnavailable
from reconcile.run.summary import RunStatus

Row = Mapping[Any, Any]

#: PostgreSQL's advisory lock on the end of the seals: "seals" in ASCII.
_SEALS_LOCK = 0x7365616C73


class RunChain:
    """The chain of one run, held by this transaction: nobody else appends to it meanwhile."""

    def __init__(self, connection: Connection, run_id: str) -> None:
        """Raises AuditUnavailable where there is no such run."""
        self._connection = connection
        self._run_id = run_id
        # Weaker than FOR UPDATE, which would wait for rows that merely refer to this run.
        locked = select(runs.c.status).where(runs.c.run_id == run_id).with_for_update(key_share=True)
        status = connection.execute(locked).scalar()
        if status is None:
            raise AuditUnavailable(f"run {run_id} is not in the audit database any more")
        self.is_over = status != RunStatus.RUNNING.value
        self.seq, self.last = head(connection, run_id)

    def append(self, kind: Event, rows: Iterable[Row]) -> None:
        """One link for each row, in order."""
        self.extend((kind, row) for row in rows)

    def extend(self, events: Iterable[tuple[Event, Row]]) -> None:
        """One link for each event, in order."""
        values = [self._next(kind, row) for kind, row in events]
        if values:
            self._connection.execute(insert(links), values)

    def _next(self, kind: Event, row: Row) -> dict[str, Any]:
        opens = kind in chain.OPENING_EVENTS
        value = {
            "seq": self.seq + 1,
            "kind": kind.value,
            "attempt_id": row["attempt_id"],
            "flags": row["flags"] if opens else None,
            "digest": chain.digest(chain.COVERED[kind], row),
        }
        self.last = chain.link(self.last, **value)
        self.seq += 1
        return {"run_id": self._run_id, **value, "link": self.last}


@contextmanager
def chained(connection: Connection, run_id: str, *, at: datetime) -> Iterator[RunChain]:
    """The run's chain, to append to; a run that is over is sealed again after the block.

    That is a run whose process was given up for dead and goes on.
    """
    found = RunChain(connection, run_id)
    before = found.seq
    yield found
    if found.is_over and found.seq > before:
        seal_runs(connection, [run_id], at=at)


def head(connection: Connection, run_id: str) -> tuple[int, str]:
    """How many links the run has, and the last one."""
    newest = (
        select(links.c.seq, links.c.link)
        .where(links.c.run_id == run_id)
        .order_by(links.c.seq.desc())
        .limit(1)
    )
    found = connection.execute(newest).one_or_none()
    return (found.seq, found.link) if found is not None else (0, chain.first_link(run_id))


def seal_opening(connection: Connection, row: Row, *, at: datetime) -> None:
    """Seal that a run has begun: from now on it cannot disappear."""
    _append(
        connection,
        [{"kind": SealKind.OPENED, "subject": row["run_id"], "digest": chain.digest(chain.OPENING, row)}],
        at=at,
    )


def seal_runs(connection: Connection, run_ids: Sequence[str], *, at: datetime) -> Seal | None:
    """Seal runs as they stand now; one whose last seal says the same gets none. The newest seal."""
    lock_seals(connection)
    values = [value for run_id in run_ids if (value := _closing(connection, run_id)) is not None]
    return _append(connection, values, at=at)


def seal(
    connection: Connection,
    kind: SealKind,
    *,
    subject: str | None = None,
    count: int | None = None,
    digest: str,
    detail: Row,
    at: datetime,
) -> Seal:
    """Seal that something was done to the audit itself. `detail` is shown by `db verify`."""
    value = {
        "kind": kind,
        "subject": subject,
        "links": count,
        "digest": digest,
        "detail": json.dumps(detail, sort_keys=True),
    }
    found = _append(connection, [value], at=at)
    assert found is not None  # noqa: S101  # one was appended; this is for mypy
    return found


def lock_seals(connection: Connection) -> None:
    """Wait for the right to append seals; kept until the transaction ends. May be repeated."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _SEALS_LOCK})


def newest_seal(connection: Connection) -> Seal | None:
    """The newest seal, as it was noted when it was made; None where the note is gone or unreadable."""
    noted = connection.execute(select(meta.c.value).where(meta.c.key == NEWEST_SEAL_KEY)).scalar()
    try:
        return Seal.parse(str(noted))
    except ValueError:
        return None


def _closing(connection: Connection, run_id: str) -> dict[str, Any] | None:
    """What the seal of a run that is over says; None where it says so already."""
    row = connection.execute(select(runs).where(runs.c.run_id == run_id)).one()._mapping
    count, last = head(connection, run_id)
    value = {
        "kind": SealKind.CLOSED,
        "subject": run_id,
        "links": count,
        "last_link": last,
        "digest": chain.digest(chain.CLOSING, row),
    }
    before = connection.execute(
        select(seals.c.links, seals.c.last_link, seals.c.digest)
        .where(seals.c.subject == run_id, seals.c.kind == SealKind.CLOSED.value)
        .order_by(seals.c.seal_number.desc())
        .limit(1)
    ).one_or_none()
    said = before is not None and all(value[name] == known for name, known in before._mapping.items())
    return None if said else value


def _append(connection: Connection, values: Sequence[Row], *, at: datetime) -> Seal | None:
    """Append seals; the newest one, also where nothing was to append."""
    lock_seals(connection)
    newest = newest_seal(connection)
    noted, last = newest if newest is not None else (0, chain.NO_SEAL)
    there = connection.execute(select(func.max(seals.c.seal_number))).scalar() or 0
    # From the note, not from the table: seals that were cut off leave a gap, and no later one hides it.
    number = max(noted, there)
    rows = []
    for value in values:
        number += 1
        row = {
            "seal_number": number,
            "kind": value["kind"].value,
            "subject": value.get("subject"),
            "links": value.get("links"),
            "last_link": value.get("last_link"),
            "digest": value["digest"],
            "detail": value.get("detail"),
            "sealed_at": at,
        }
        last = chain.seal(last, row)
        rows.append({**row, "seal": last})
    if not rows:
        return newest
    connection.execute(insert(seals), rows)
    appended = Seal(number, last)
    this = meta.c.key == NEWEST_SEAL_KEY
    if connection.execute(update(meta).where(this).values(value=str(appended))).rowcount == 0:
        connection.execute(insert(meta).values(key=NEWEST_SEAL_KEY, value=str(appended)))
    return appended
