"""The seals held against themselves, against the runs, and against what was kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, and_, case, func, literal, select

from reconcile.audit.chain import digests as chain
from reconcile.audit.chain.digests import Seal, SealKind
from reconcile.audit.chain.evidence import Row, columns, stream
from reconcile.audit.chain.findings import REVISIONS, Finding, Verification, What
from reconcile.audit.chain.links import newest_seal
from reconcile.audit.tables import NEWEST_SEAL_KEY, links, meta, runs, seals
from reconcile.run.summary import RunStatus

_SEALED_RUNS = (SealKind.OPENED.value, SealKind.CLOSED.value)


def check_seals(
    connection: Connection, secret: bytes, result: Verification, *, expected: Seal | None
) -> Iterator[Finding]:
    """Each seal follows from the one before, none is missing, and the newest is the one that was noted."""
    last = Seal(0, chain.NO_SEAL)
    met = expected is None
    noted = newest_seal(connection)
    for row in stream(connection, _seals_in_order(connection)):
        result.seals += 1
        number, kind = row["seal_number"], row["kind"]
        revision = "resealed" if row["first"] is not None and number != row["first"] else kind
        result.forgotten += kind == SealKind.FORGOTTEN.value
        result.resealed += revision == "resealed"
        if expected is not None and number > expected.number and revision in REVISIONS:
            result.since[revision] += 1
        if noted is not None and number > noted.number:
            text = f"seal {number} was not made by reconcile, whose newest is {noted.number}"
            yield Finding(what=What.INSERTED, table="seals", seal_number=number, text=text)
            continue
        if number != last.number + 1:
            yield _missing(last.number + 1, number - 1)
        elif chain.seal(last.value, row) != row["seal"]:
            yield Finding(
                what=What.BROKEN,
                table="seals",
                seal_number=number,
                run_id=row["subject"] if kind in _SEALED_RUNS else None,
                text=f"seal {number} ({_about(row)}) does not follow from the one before",
            )
        if kind == SealKind.FOUNDED.value and row["digest"] != chain.digest_of_secret(secret):
            yield Finding(what=What.CHANGED, table="meta", text="the secret of the keys is another one")
        last = Seal(number, row["seal"])
        if expected is not None and number == expected.number:
            met = True
            if last != expected:
                yield _changed(last.number, f"seal {number} is not the one that was kept elsewhere")
    result.newest_seal = last
    if not met and expected is not None:
        yield _changed(expected.number, f"seal {expected.number}, which was kept elsewhere, is not there")
    yield from _against_the_note(connection, last, noted)


def _seals_in_order(connection: Connection) -> Any:
    """All seals; the end of a run with the number of its first one."""
    names = [column.name for column in seals.c]
    earlier = seals.alias("earlier")
    of_run = (earlier.c.subject == seals.c.subject, earlier.c.kind == SealKind.CLOSED.value)
    first = select(func.min(earlier.c.seal_number)).where(*of_run).correlate(seals).scalar_subquery()
    ended = case((seals.c.kind == SealKind.CLOSED.value, first))
    return select(*columns(connection, seals, names), ended.label("first")).order_by(seals.c.seal_number)


def check_runs(connection: Connection, result: Verification) -> Iterator[Finding]:
    """Each run stands as it was sealed when it began and when it ended."""
    first = _seal_of_run(func.min(seals.c.seal_number), SealKind.OPENED)
    newest = _seal_of_run(func.max(seals.c.seal_number), SealKind.CLOSED)
    opened, closed = seals.alias("opened"), seals.alias("closed")
    query = (
        select(*columns(connection, runs, chain.CLOSING))
        .add_columns(opened.c.digest.label("opened"), opened.c.pruned_by, closed.c.digest.label("closed"))
        .select_from(runs)
        .outerjoin(opened, opened.c.seal_number == first)
        .outerjoin(closed, closed.c.seal_number == newest)
    )
    for run in stream(connection, query):
        result.runs += 1
        result.running += run["status"] == RunStatus.RUNNING.value
        yield from _check_run(run)


def _check_run(run: Row) -> Iterator[Finding]:
    run_id = run["run_id"]

    def found(what: What, text: str) -> Finding:
        return Finding(what=what, table="runs", run_id=run_id, text=f"run {run_id} {text}")

    if run["opened"] is None:
        yield found(What.INSERTED, "was never begun by reconcile")
    elif run["pruned_by"] is not None:
        yield found(What.INSERTED, f"was pruned (seal {run['pruned_by']}) and is there again")
    elif run["closed"] is not None:
        if chain.digest(chain.CLOSING, run) != run["closed"]:
            yield found(What.CHANGED, "is not as it was sealed when it ended")
    elif chain.digest(chain.OPENING, run) != run["opened"]:
        yield found(What.CHANGED, "is not as it was sealed when it began")
    elif run["status"] != RunStatus.RUNNING.value:
        yield found(What.CHANGED, f"is said to be {run['status']}, and no seal says so")


def check_sealed_runs(connection: Connection) -> Iterator[Finding]:
    """What was sealed is there: each run, with as many links as its seals say, and the last of them."""
    query = (
        select(seals.c.seal_number, seals.c.kind, seals.c.subject, seals.c.links, seals.c.last_link)
        .add_columns(links.c.link, runs.c.run_id)
        .select_from(seals)
        .outerjoin(links, and_(links.c.run_id == seals.c.subject, links.c.seq == seals.c.links))
        .outerjoin(runs, runs.c.run_id == seals.c.subject)
        .where(seals.c.kind.in_(_SEALED_RUNS), seals.c.pruned_by.is_(None))
        .order_by(seals.c.seal_number)
    )
    for row in stream(connection, query):
        run_id = row["subject"]
        if row["run_id"] is None:
            yield Finding(
                what=What.REMOVED,
                table="runs",
                run_id=run_id,
                seal_number=row["seal_number"],
                text=f"run {run_id} was sealed ({row['kind']}, seal {row['seal_number']}) and is gone",
            )
        elif row["kind"] == SealKind.CLOSED.value:
            there = row["link"] if row["links"] else chain.first_link(str(run_id))
            if there != row["last_link"]:
                yield _links_differ(row, "the links that its seal counts are not there, or are others")
    yield from _check_surplus(connection)


def _check_surplus(connection: Connection) -> Iterator[Finding]:
    """Links after the last that the newest seal of a run counts."""
    newest = (
        select(seals.c.subject, func.max(seals.c.seal_number).label("seal_number"))
        .where(seals.c.kind == SealKind.CLOSED.value, seals.c.pruned_by.is_(None))
        .group_by(seals.c.subject)
        .subquery()
    )
    query = (
        select(seals.c.seal_number, seals.c.subject, seals.c.links, func.max(links.c.seq).label("seq"))
        .select_from(seals)
        .join(newest, newest.c.seal_number == seals.c.seal_number)
        .join(links, links.c.run_id == seals.c.subject)
        .where(links.c.seq > seals.c.links)
        .group_by(seals.c.seal_number, seals.c.subject, seals.c.links)
    )
    for row in stream(connection, query):
        yield _links_differ(row, f"has links that its seal does not count ({row['links']})")


def check_pruned(connection: Connection, result: Verification) -> Iterator[Finding]:
    """What is marked as pruned is exactly what a pruning has sealed."""
    marked = select(seals.c.pruned_by, seals.c.seal_number, seals.c.kind)
    marked = marked.where(seals.c.pruned_by.is_not(None)).order_by(seals.c.pruned_by, seals.c.seal_number)
    rows = stream(connection, marked)
    pruning = select(seals.c.digest).where(seals.c.kind == SealKind.PRUNED.value)
    sealed = 0
    for number, group in groupby(rows, key=itemgetter("pruned_by")):
        said = connection.execute(pruning.where(seals.c.seal_number == number)).scalar()
        if said is None:
            for row in group:
                yield _changed(
                    row["seal_number"], f"seal {row['seal_number']} is marked as pruned, and was not"
                )
            continue
        sealed += 1
        if chain.digest_of_numbers(_counted(group, result)) != said:
            yield _changed(number, f"what is marked as pruned by seal {number} was not pruned by it")
    prunings = connection.execute(select(func.count(literal(1))).where(seals.c.kind == SealKind.PRUNED.value))
    if (missing := prunings.scalar_one() - sealed) > 0:
        yield _changed(None, f"the marks of {missing} prunings are gone")


def _counted(marked: Iterator[Row], result: Verification) -> Iterator[int]:
    for row in marked:
        result.pruned_runs += row["kind"] == SealKind.OPENED.value
        yield row["seal_number"]


def _seal_of_run(number: Any, kind: SealKind) -> Any:
    of_run = (seals.c.subject == runs.c.run_id, seals.c.kind == kind.value)
    return select(number).where(*of_run).correlate(runs).scalar_subquery()


def _against_the_note(connection: Connection, last: Seal, noted: Seal | None) -> Iterator[Finding]:
    if noted is not None and noted.number > last.number:
        yield _missing(last.number + 1, noted.number)
    elif noted != last:
        raw = connection.execute(select(meta.c.value).where(meta.c.key == NEWEST_SEAL_KEY)).scalar()
        what = What.REMOVED if raw is None else What.CHANGED
        yield Finding(
            what=what, table="meta", text=f"the note of the newest seal is not seal {last.number}'s"
        )


def _missing(first: int, last: int) -> Finding:
    which = f"seal {first} is" if first == last else f"seals {first} to {last} are"
    return Finding(what=What.REMOVED, table="seals", seal_number=first, text=f"{which} missing")


def _changed(number: int | None, text: str) -> Finding:
    return Finding(what=What.CHANGED, table="seals", seal_number=number, text=text)


def _links_differ(row: Row, text: str) -> Finding:
    number, run_id = row["seal_number"], row["subject"]
    return Finding(
        what=What.CHANGED,
        table="links",
        run_id=run_id,
        seal_number=number,
        text=f"run {run_id}: {text} (seal {number})",
    )


def _about(row: Row) -> str:
    return f"{row['kind']} run {row['subject']}" if row["kind"] in _SEALED_RUNS else str(row["kind"])
