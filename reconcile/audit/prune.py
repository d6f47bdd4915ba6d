"""Taking old runs out of the audit, whole: attempts, links, and the run's own row. Seals stay.

A pruning is itself sealed, with the numbers of the seals whose runs it took: what somebody deletes by
hand is no pruning. Bounded transactions, so that a run that goes on meanwhile hardly waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, or_, select, text, update

from reconcile.audit.chain import digests as chain
from reconcile.audit.chain.digests import Seal, SealKind
from reconcile.audit.chain.links import lock_seals, seal
from reconcile.audit.store import Store
from reconcile.audit.tables import attempts, links, outbox, people, runs, seals
from reconcile.domain.mail_status import MailStatus
from reconcile.run.summary import RunStatus

#: One transaction takes so many runs at most, and stops after so many attempts.
RUNS_AT_ONCE = 200
ATTEMPTS_AT_ONCE = 10_000
#: Mails for which an address is still needed: also those that a person may have sent again.
_MAY_STILL_BE_SENT = (MailStatus.PENDING, MailStatus.SENDING, MailStatus.FAILED, MailStatus.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Prunable:
    """What a pruning would take."""

    runs: int
    attempts: int
    oldest: datetime | None  #: when the oldest of these runs ended
    kept: int  #: runs that are old enough and stay: an attempt of theirs has no end yet


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What a pruning took."""

    runs: int = 0
    attempts: int = 0
    people: int = 0  #: addresses that no attempt needs any more
    seal: Seal | None = None  #: the newest seal of this pruning


def prunable(store: Store, *, before: datetime) -> Prunable:
    """What there is to prune: runs that ended before `before`. Reads only."""
    with store.reading() as connection:
        chosen = select(runs.c.run_id, runs.c.finished_at).where(*_prunable(before)).subquery()
        found = connection.execute(select(func.count(chosen.c.run_id), func.min(chosen.c.finished_at))).one()
        count = select(func.count(attempts.c.attempt_id)).join(chosen, chosen.c.run_id == attempts.c.run_id)
        old = select(func.count(runs.c.run_id)).where(*_old(before))
        return Prunable(
            runs=found[0],
            attempts=connection.execute(count).scalar_one(),
            oldest=found[1],
            kept=connection.execute(old).scalar_one() - found[0],
        )


def prune(
    store: Store,
    *,
    before: datetime,
    by: str,
    at: datetime,
    watch: Callable[[Pruned], None] = lambda _: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Pruned:
    """Take the runs that ended before `before`, the oldest first, and record that `by` did so.

    Stops between two transactions where `stopped` says so; `watch` hears what is done so far. May be
    repeated and interrupted at any point. Raises AuditUnavailable.
    """
    done = Pruned()
    while not stopped():
        with store.writing() as connection:
            batch = _prune_batch(connection, before=before, by=by, at=at)
        if not batch.runs:
            break
        done = Pruned(runs=done.runs + batch.runs, attempts=done.attempts + batch.attempts, seal=batch.seal)
        watch(done)
    with store.writing() as connection:
        return replace(done, people=_drop_unneeded_people(connection))


def _prune_batch(connection: Connection, *, before: datetime, by: str, at: datetime) -> Pruned:
    run_ids = _next_runs(connection, before)
    if not run_ids:
        return Pruned()
    lock_seals(connection)
    connection.execute(delete(links).where(links.c.run_id.in_(run_ids)))
    gone = connection.execute(delete(attempts).where(attempts.c.run_id.in_(run_ids))).rowcount
    connection.execute(delete(runs).where(runs.c.run_id.in_(run_ids)))
    of_runs = (
        seals.c.subject.in_(run_ids),
        seals.c.kind.in_([SealKind.OPENED.value, SealKind.CLOSED.value]),
    )
    found = select(seals.c.seal_number).where(*of_runs).order_by(seals.c.seal_number)
    numbers = connection.execute(found).scalars().all()
    made = seal(
        connection,
        SealKind.PRUNED,
        count=len(numbers),
        digest=chain.digest_of_numbers(numbers),
        detail={"by": by, "before": before.isoformat(), "runs": len(run_ids), "attempts": gone},
        at=at,
    )
    connection.execute(update(seals).where(*of_runs).values(pruned_by=made.number))
    return Pruned(runs=len(run_ids), attempts=gone, seal=made)


def _next_runs(connection: Connection, before: datetime) -> Sequence[str]:
    count = (
        select(func.count(attempts.c.attempt_id))
        .where(attempts.c.run_id == runs.c.run_id)
        .correlate(runs)
        .scalar_subquery()
    )
    query = (
        select(runs.c.run_id, count.label("attempts"))
        .where(*_prunable(before))
        .order_by(runs.c.finished_at, runs.c.run_id)
        .limit(RUNS_AT_ONCE)
        .with_for_update()
    )
    chosen: list[str] = []
    total = 0
    for row in connection.execute(query).all():
        if chosen and total + row.attempts > ATTEMPTS_AT_ONCE:
            break
        chosen.append(row.run_id)
        total += row.attempts
    return _closed_over(chosen, _owners(connection, chosen))


def _owners(connection: Connection, run_ids: Sequence[str]) -> Mapping[str, set[str]]:
    """For each run, the other runs some of whose attempts it has ended."""
    query = select(links.c.run_id, attempts.c.run_id).join(
        attempts, attempts.c.attempt_id == links.c.attempt_id
    )
    found: dict[str, set[str]] = {}
    for run_id, owner in connection.execute(query.where(links.c.run_id.in_(run_ids), _of_another())):
        found.setdefault(run_id, set()).add(owner)
    return found


def _closed_over(chosen: Sequence[str], owners: Mapping[str, set[str]]) -> Sequence[str]:
    """Without the runs that have ended an attempt which stays: its end must stay proven."""
    kept = list(chosen)
    while True:
        those = set(kept)
        staying = [run_id for run_id in kept if owners.get(run_id, set()) <= those]
        if len(staying) == len(kept):
            return kept
        kept = staying


def _old(before: datetime) -> tuple[Any, ...]:
    return (runs.c.status != RunStatus.RUNNING.value, runs.c.finished_at < before)


def _prunable(before: datetime) -> tuple[Any, ...]:
    """Old, nothing of it open, and no end of an attempt that stays recorded by it."""
    unfinished = attempts.alias("unfinished")
    owner = runs.alias("owner")
    has_open = exists().where(unfinished.c.run_id == runs.c.run_id, unfinished.c.finished_at.is_(None))
    owner_open = exists().where(unfinished.c.run_id == owner.c.run_id, unfinished.c.finished_at.is_(None))
    owner_stays = or_(
        owner.c.status == RunStatus.RUNNING.value, owner.c.finished_at >= before, owner_open.correlate(owner)
    )
    has_ended_others = (
        select(links.c.seq)
        .join(attempts, attempts.c.attempt_id == links.c.attempt_id)
        .join(owner, owner.c.run_id == attempts.c.run_id)
        .where(links.c.run_id == runs.c.run_id, _of_another(), owner_stays)
        .correlate(runs)
        .exists()
    )
    return (*_old(before), ~has_open.correlate(runs), ~has_ended_others)


def _of_another() -> Any:
    return and_(links.c.kind.in_(chain.ENDS), attempts.c.run_id != links.c.run_id)


def _drop_unneeded_people(connection: Connection) -> int:
    """Forget the addresses that no row refers to any more; how many."""
    if connection.dialect.name == "postgresql":
        # A run that records one of them at this moment: it is waited for, and then seen.
        connection.execute(text("LOCK TABLE people IN SHARE ROW EXCLUSIVE MODE"))
    owed = outbox.c.status.in_([status.value for status in _MAY_STILL_BE_SENT])
    uses = [
        select(attempts.c.email_key),
        select(attempts.c.member_key),
        select(outbox.c.person_key).where(owed),
        select(outbox.c.member_key).where(owed),
    ]
    unneeded = [people.c.person_key.not_in(use.where(use.selected_columns[0].is_not(None))) for use in uses]
    return connection.execute(delete(people).where(*unneeded)).rowcount
