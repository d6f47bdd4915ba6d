"""Is the audit as reconcile wrote it? Finds what was changed, removed, inserted or reordered by hand.

Reads one moment of the database while runs go on, streams, and changes nothing. What it proves and what
not stands in docs/adr/0015-chain-and-seals.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, text

from reconcile.audit.chain.digests import Seal
from reconcile.audit.chain.evidence import lenient
from reconcile.audit.chain.findings import Finding, Verification
from reconcile.audit.chain.verify_rows import check_attempts, check_links, check_people
from reconcile.audit.chain.verify_seals import check_pruned, check_runs, check_sealed_runs, check_seals
from reconcile.audit.store import Store
from reconcile.base.errors import AuditUnavailable

#: Findings that are told one by one; more are counted.
LIMIT = 100

#: Told the name of each part as it begins.
Watcher = Callable[[str], None]


def verify(
    store: Store,
    *,
    secret: bytes,
    expected: Seal | None = None,
    limit: int = LIMIT,
    watch: Watcher = lambda part: None,  # noqa: ARG005
) -> Verification:
    """Verify the whole audit, against `expected`, a seal that was kept elsewhere, too.

    May be repeated at any time, also while runs go on. Raises AuditUnavailable where the database
    cannot be read or is damaged.
    """
    result = Verification(limit=limit)
    with store.reading() as connection, lenient(connection):
        _require_sound(connection, store)
        parts: list[tuple[str, Iterator[Finding]]] = [
            ("seals", check_seals(connection, secret, result, expected=expected)),
            ("runs", check_runs(connection, result)),
            ("sealed runs", check_sealed_runs(connection)),
            ("prunings", check_pruned(connection, result)),
            ("links", check_links(connection, result)),
            ("attempts", check_attempts(connection, result)),
            ("people", check_people(connection, secret)),
        ]
        for part, findings in parts:
            watch(part)
            for finding in findings:
                result.add(finding)
    return result


def _require_sound(connection: Connection, store: Store) -> None:
    """SQLite: tables and indexes say the same, so that what the checks see is what everybody sees."""
    if connection.dialect.name != "sqlite":
        return
    said = connection.execute(text("PRAGMA integrity_check(3)")).scalars().all()
    if said != ["ok"]:
        raise AuditUnavailable(
            f"the audit database {store.place.name} is damaged ({'; '.join(map(str, said))})",
            hint="put the latest backup in its place and verify that one",
        )
