"""Forgetting a person: no address of theirs is left in the audit, and all of it still adds up.

What goes: the row in `people`, the masked address of their attempts, and the address wherever else it
has slipped into a text. What stays: the keyed hash, so that sums and chain stay; see
docs/adr/0016-forgetting.md. A text that had to be changed gets a new link in the chain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from sqlalchemy import Connection, String, Table, delete, func, or_, select, update

from reconcile.audit.chain import digests as chain
from reconcile.audit.chain.digests import Event, Seal, SealKind
from reconcile.audit.chain.links import chained, lock_seals, seal
from reconcile.audit.rows import person_key
from reconcile.audit.store import Store
from reconcile.audit.tables import PlainText, attempts, links, meta, metadata, people, runs, seals
from reconcile.base.batched import batched
from reconcile.base.redaction import mask_email
from reconcile.domain.identity import normalise_email

#: What stands where an address was.
FORGOTTEN = "(forgotten)"
_ROWS_AT_ONCE = 500
#: Attempts' texts that foreign systems have written, each of which may hold anything.
_TEXTS = tuple(
    column.name
    for column in attempts.c
    if isinstance(column.type, PlainText) and column.name not in ("run_id", "email_masked")
)


@dataclass(frozen=True, kw_only=True)
class Person:
    """What the audit holds of somebody."""

    key: str
    named: bool  #: their address stands in `people`
    attempts: int  #: attempts that are theirs, as buyer or as LMS account
    masked: int  #: of these, the ones with their masked address
    forgotten_at: datetime | None  #: when they were last forgotten

    @property
    def is_known(self) -> bool:
        """True where there is, or was, anything."""
        return self.named or self.attempts > 0 or self.forgotten_at is not None


@dataclass(frozen=True, kw_only=True)
class Forgotten:
    """What was taken away."""

    person: bool
    masked: int
    texts: int  #: rows with the address in some text
    seal: Seal | None  #: None where there was nothing to take away


def look_up(store: Store, *, secret: bytes, email: str) -> Person:
    """What the audit holds of the person with that address, in any spelling. Reads only."""
    key = person_key(secret, email)
    with store.reading() as connection:
        theirs = or_(attempts.c.email_key == key, attempts.c.member_key == key)
        masked = (attempts.c.email_key == key, attempts.c.email_masked.is_not(None))
        found = (seals.c.subject == key, seals.c.kind == SealKind.FORGOTTEN.value)
        named = select(func.count(people.c.person_key)).where(people.c.person_key == key)
        number = func.count(attempts.c.attempt_id)
        return Person(
            key=key,
            named=bool(connection.execute(named).scalar_one()),
            attempts=connection.execute(select(number).where(theirs)).scalar_one(),
            masked=connection.execute(select(number).where(*masked)).scalar_one(),
            forgotten_at=connection.execute(select(func.max(seals.c.sealed_at)).where(*found)).scalar(),
        )


def forget(store: Store, *, secret: bytes, email: str, by: str, at: datetime) -> Forgotten:
    """Take the person's address out of every table, in one transaction, and record that `by` did so.

    The bytes may still be in the file: `space.rewrite` takes them away. May be repeated; a
    second time takes nothing and records nothing. Raises AuditUnavailable.
    """
    key = person_key(secret, email)
    with store.reading() as connection:
        # Looked for outside the transaction: reading all texts takes longer than runs like to wait.
        hits = list(_attempts_naming(connection, key, email))
    with store.writing() as connection:
        _lock(connection, sorted({run_id for run_id, _ in hits}))
        person = connection.execute(delete(people).where(people.c.person_key == key)).rowcount > 0
        texts = sum(_redact_attempt(connection, key, email, number, at) for _, number in hits)
        texts += sum(_redact_table(connection, table, _pattern(email)) for table in _other_tables())
        masked = connection.execute(
            update(attempts)
            .where(attempts.c.email_key == key, attempts.c.email_masked.is_not(None))
            .values(email_masked=None)
        ).rowcount
        if not (person or masked or texts):
            return Forgotten(person=False, masked=0, texts=0, seal=None)
        made = seal(
            connection,
            SealKind.FORGOTTEN,
            subject=key,
            digest=chain.digest(("subject",), {"subject": key}),
            detail={"by": by, "attempts": masked, "texts": texts},
            at=at,
        )
    return Forgotten(person=person, masked=masked, texts=texts, seal=made)


def _lock(connection: Connection, run_ids: Sequence[str]) -> None:
    """Runs first, then seals, then the rest: as everybody who writes here."""
    for chunk in batched(run_ids, _ROWS_AT_ONCE):
        rows = select(runs.c.run_id).where(runs.c.run_id.in_(chunk)).order_by(runs.c.run_id)
        connection.execute(rows.with_for_update()).all()
    lock_seals(connection)


def _pattern(email: str, *, masked: bool = False) -> re.Pattern[str]:
    """The address in every form that a text may hold it in; with `masked`, also masked."""
    address = normalise_email(email)
    written = [address, mask_email(address)] if masked else [address]
    forms = {
        form
        for text in written
        for form in (text, quote(text, safe=""), text.replace("@", "%40"), json.dumps(text)[1:-1])
    }
    return re.compile(
        "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)), re.IGNORECASE
    )


def _attempts_naming(connection: Connection, key: str, email: str) -> Iterator[tuple[str, int]]:
    """Run and number of the attempts with the address in a text; their own also with it masked."""
    anywhere, own = _pattern(email), _pattern(email, masked=True)
    names = ("run_id", "attempt_id", "email_key", "member_key", *_TEXTS)
    query = select(*(attempts.c[name] for name in names)).execution_options(yield_per=_ROWS_AT_ONCE)
    for row in connection.execute(query):
        pattern = own if key in (row.email_key, row.member_key) else anywhere
        if any(pattern.search(text) for text in row[len(names) - len(_TEXTS) :] if text):
            yield row.run_id, row.attempt_id


def _redact_attempt(connection: Connection, key: str, email: str, attempt_id: int, at: datetime) -> bool:
    """Take the address out of an attempt's texts and say so in its run's chain; False where it is gone."""
    this = attempts.c.attempt_id == attempt_id
    run_id = connection.execute(select(attempts.c.run_id).where(this)).scalar()
    if run_id is None:
        return False
    with chained(connection, run_id, at=at) as run:
        row = connection.execute(select(attempts).where(this).with_for_update()).one()._mapping
        pattern = _pattern(email, masked=key in (row["email_key"], row["member_key"]))
        texts = {name: pattern.sub(FORGOTTEN, row[name]) for name in _TEXTS if row[name]}
        connection.execute(update(attempts).where(this).values(texts))
        kind = Event.REDACTED_OPEN if row["finished_at"] is None else Event.REDACTED
        run.append(kind, [{**row, **texts}])
    return True


def _other_tables() -> Iterator[Table]:
    """The tables that are neither the audit proper nor its proof."""
    proper = (attempts, people, runs, meta, links, seals)
    return (table for table in metadata.sorted_tables if table not in proper)


def _redact_table(connection: Connection, table: Table, pattern: re.Pattern[str]) -> int:
    """Take the address out of every text of a table; how many rows had it."""
    # By the type itself: a decorated one does not tell what Python type it holds.
    names = [column.name for column in table.c if isinstance(column.type, (PlainText, String))]
    changed = 0
    for row in connection.execute(select(table)).all():
        texts = {name: row._mapping[name] for name in names if row._mapping[name]}
        cleaned = {name: pattern.sub(FORGOTTEN, text) for name, text in texts.items()}
        if cleaned != texts:
            this = [column == row._mapping[column.name] for column in table.primary_key.columns]
            connection.execute(update(table).where(*this).values(cleaned))
            changed += 1
    return changed
