"""The links held against themselves and the attempts, the attempts against their links and people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, case, exists, func, select

from reconcile.audit.chain import digests as chain
from reconcile.audit.chain.digests import Event, SealKind
from reconcile.audit.chain.evidence import Row, columns, stream
from reconcile.audit.chain.findings import Finding, Verification, What
from reconcile.audit.rows import person_key
from reconcile.audit.tables import attempts, links, people, runs, seals
from reconcile.base.redaction import REPLACEMENT

_FIRST = (Event.BEGAN, Event.LEASED, Event.RECORDED)
#: Which later events of the same attempt make an event's digest history: it is only a number now.
_OVERRULED_BY = {
    Event.BEGAN: (Event.REDACTED, Event.REDACTED_OPEN),
    Event.LEASED: (Event.REDACTED, Event.REDACTED_OPEN),
    Event.REDACTED_OPEN: (Event.REDACTED, Event.REDACTED_OPEN),
    Event.RECORDED: (Event.REDACTED,),
    Event.ENDED: (Event.REDACTED,),
    Event.UNSENT: (Event.REDACTED,),
    Event.REDACTED: (Event.REDACTED,),
}
_KINDS = frozenset(event.value for event in Event)
#: All columns that some event fixes, and what those of the attempt beside a link are called there.
_COVERED = tuple(dict.fromkeys(name for names in chain.COVERED.values() for name in names))
_OF_ATTEMPT = tuple((name, f"a_{name}") for name in _COVERED)
_EMPTY_WHILE_OPEN = tuple(name for name in chain.ENDING if name not in ("attempt_id", "flags", "counted"))


def check_links(connection: Connection, result: Verification) -> Iterator[Finding]:
    """Each link follows from the one before, and says what its attempt's row says."""
    run_id, seq, last = None, 0, ""
    for row in stream(connection, _links_and_rows(connection)):
        result.links += 1
        result.redacted += row["kind"] in (Event.REDACTED.value, Event.REDACTED_OPEN.value)
        if row["run_id"] != run_id:
            run_id, seq, last = row["run_id"], 0, chain.first_link(str(row["run_id"]))
            if row["run_there"] is None:
                yield _link_finding(What.INSERTED, row, "belongs to a run that is not there")
        if row["seq"] != seq + 1:
            yield _link_finding(What.REMOVED, row, "does not come next: links before it are missing")
        elif _value_of(row, last) != row["link"]:
            yield _link_finding(What.BROKEN, row, "does not follow from the one before")
        seq, last = row["seq"] if isinstance(row["seq"], int) else seq + 1, row["link"]
        yield from _check_against_row(row)


def check_attempts(connection: Connection, result: Verification) -> Iterator[Finding]:
    """Each attempt was begun by a run, once; it has an end exactly where a run has recorded one."""
    for row in stream(connection, _attempts_and_links()):
        result.attempts += 1
        if row["firsts"] != 1:
            what = What.INSERTED if row["firsts"] == 0 else What.CHANGED
            yield _attempt_finding(what, row, f"was begun by {row['firsts'] or 'no'} links, not by one")
            continue
        ends = 0 if row["recorded"] or not row["finished"] else 1
        if row["ends"] < ends:
            yield _attempt_finding(What.CHANGED, row, "has an end that no run has recorded")
        elif row["ends"] > ends:
            yield _attempt_finding(What.CHANGED, row, "has another end than its run has recorded")
        elif (row["lease_token"] is not None) != (row["leased"] > 0):
            yield _attempt_finding(What.CHANGED, row, "has another lease than its run has recorded")
        elif row["never_sent"] != row["unsent"]:
            yield _attempt_finding(
                What.CHANGED, row, "is said to have been sent or not, and its run has recorded otherwise"
            )
        problem = _mask_problem(row)
        if problem is not None:
            yield _attempt_finding(What.CHANGED, row, problem)


def check_people(connection: Connection, secret: bytes) -> Iterator[Finding]:
    """Each address belongs to its key, and each key has its address unless its person was forgotten."""
    for row in stream(connection, select(people.c.person_key, people.c.email)):
        # An address that no database could hold as it was has the key of what it was.
        replaced = "\ufffd" in str(row["email"])
        if not replaced and person_key(secret, str(row["email"])) != row["person_key"]:
            yield Finding(
                what=What.CHANGED,
                table="people",
                text=f"the address of person {row['person_key']} is not the one of its key",
            )
    for name in ("email_key", "member_key"):
        yield from _check_addresses(connection, name)


def _check_addresses(connection: Connection, name: str) -> Iterator[Finding]:
    key = attempts.c[name]
    query = (
        select(key.label("person"), func.min(attempts.c.attempt_id).label("first"))
        .select_from(attempts)
        .outerjoin(people, people.c.person_key == key)
        .where(key.is_not(None), people.c.person_key.is_(None), ~_was_forgotten(key))
        .group_by(key)
    )
    for row in stream(connection, query):
        text = f"the address of person {row['person']} is gone, and `db forget` has not taken it"
        yield Finding(what=What.REMOVED, table="people", attempt_id=row["first"], text=text)


def _links_and_rows(connection: Connection) -> Any:
    later, other = links.alias("later"), links.alias("other")
    # Once for all: there are few redactions, and as a question of each link they took most of the time.
    only = case((other.c.kind == Event.REDACTED.value, other.c.seq))
    redactions = (
        select(other.c.attempt_id, func.max(only).label("redacted"))
        .add_columns(func.max(other.c.seq).label("any_redacted"))
        .where(other.c.kind.in_((Event.REDACTED, Event.REDACTED_OPEN)))
        .group_by(other.c.attempt_id)
        .subquery("redactions")
    )
    of_attempt = (later.c.attempt_id == links.c.attempt_id, later.c.kind.in_(_FIRST))
    begun = select(func.max(later.c.seq)).where(*of_attempt).correlate(links).scalar_subquery()
    names = ("run_id", "seq", "attempt_id", "kind", "flags", "digest", "link")
    return (
        select(*columns(connection, links, names), *columns(connection, attempts, _COVERED, prefix="a_"))
        .add_columns(runs.c.run_id.label("run_there"), redactions.c.redacted, redactions.c.any_redacted)
        # Asked only where the attempt is gone.
        .add_columns(case((attempts.c.attempt_id.is_(None), begun)).label("begun"))
        .select_from(links)
        .outerjoin(attempts, attempts.c.attempt_id == links.c.attempt_id)
        .outerjoin(runs, runs.c.run_id == links.c.run_id)
        .outerjoin(redactions, redactions.c.attempt_id == links.c.attempt_id)
        .order_by(links.c.run_id, links.c.seq)
    )


def _attempts_and_links() -> Any:
    def count(*kinds: Event) -> Any:
        of_attempt = (links.c.attempt_id == attempts.c.attempt_id, links.c.kind.in_(kinds))
        return select(func.count(links.c.seq)).where(*of_attempt).correlate(attempts).scalar_subquery()

    names = ("attempt_id", "run_id", "email_key", "email_masked", "lease_token", "never_sent")
    # Whether there is an end, not when: an instant that is none must not stop the reading.
    finished = attempts.c.finished_at.is_not(None).label("finished")
    return (
        select(*(attempts.c[name] for name in names), finished)
        .add_columns(count(*_FIRST).label("firsts"), count(Event.RECORDED).label("recorded"))
        .add_columns(count(Event.LEASED).label("leased"), count(*chain.ENDS).label("ends"))
        .add_columns(count(Event.UNSENT).label("unsent"), people.c.email)
        .add_columns(_was_forgotten(attempts.c.email_key).label("forgotten"))
        .select_from(attempts)
        .outerjoin(people, people.c.person_key == attempts.c.email_key)
        .order_by(attempts.c.attempt_id)
    )


def _was_forgotten(key: Any) -> Any:
    forgotten = seals.alias("forgotten")
    return exists().where(forgotten.c.subject == key, forgotten.c.kind == SealKind.FORGOTTEN.value)


def _value_of(row: Row, last: str) -> str:
    names = ("seq", "kind", "attempt_id", "flags", "digest")
    return chain.link(last, **{name: row[name] for name in names})


def _check_against_row(link: Row) -> Iterator[Finding]:
    kind = link["kind"]
    if kind not in _KINDS:
        yield _link_finding(What.CHANGED, link, "is of no known kind")
        return
    row = {name: link[labelled] for name, labelled in _OF_ATTEMPT}
    if row["attempt_id"] is None:
        # A later run's end of an attempt that was pruned: then its beginning is gone as well.
        if kind not in chain.ENDS or link["begun"] is not None:
            yield _attempt_finding(What.REMOVED, link, "is gone")
        return
    newest = link["redacted" if _OVERRULED_BY[kind] == (Event.REDACTED,) else "any_redacted"]
    if newest is not None and (kind not in (Event.REDACTED, Event.REDACTED_OPEN) or newest > link["seq"]):
        return
    opens = kind in chain.OPENING_EVENTS
    covered = {**row, "flags": link["flags"]} if opens else row
    if kind not in chain.ENDS and row["run_id"] != link["run_id"]:
        yield _attempt_finding(What.CHANGED, link, "says another run")
    elif chain.digest(chain.COVERED[kind], covered) != link["digest"]:
        how = "ended" if kind in chain.ENDS else "begun" if opens else "recorded"
        yield _attempt_finding(What.CHANGED, link, f"is not as it was {how}")
    elif opens and row["finished_at"] is None and not _is_open(row, link["flags"]):
        yield _attempt_finding(What.CHANGED, link, "stands open and says what came of it")


def _is_open(row: dict[str, Any], flags: str) -> bool:
    nothing_said = all(row[name] is None for name in _EMPTY_WHILE_OPEN)
    return nothing_said and row["counted"] == 0 and row["flags"] == flags


def _mask_problem(row: Row) -> str | None:
    masked, email = row["email_masked"], row["email"]
    if masked is None:
        was_taken = row["email_key"] is not None and not row["forgotten"]
        return "has lost its masked address, and `db forget` has not taken it" if was_taken else None
    if email is None:
        # With a key whose person is not there, `check_people` has told it.
        return "shows an address of nobody" if row["email_key"] is None or row["forgotten"] else None
    return None if _shown(masked) == _shown(email) else "shows another address than its person's"


def _shown(address: str) -> tuple[str, str]:
    """What a masked address shows of one, whatever its spelling."""
    local, at, domain = str(address).strip().lower().rpartition("@")
    shown, hidden = (local, at + domain) if at else (domain, "")
    return shown.removesuffix(REPLACEMENT)[:1], hidden


def _link_finding(what: What, row: Row, text: str) -> Finding:
    run_id, seq = row["run_id"], row["seq"]
    return Finding(
        what=what,
        table="links",
        run_id=run_id,
        attempt_id=row["attempt_id"],
        text=f"link {seq} of run {run_id} (attempt {row['attempt_id']}) {text}",
    )


def _attempt_finding(what: What, row: Row, text: str) -> Finding:
    return Finding(
        what=what,
        table="attempts",
        run_id=row["run_id"],
        attempt_id=row["attempt_id"],
        text=f"attempt {row['attempt_id']} of run {row['run_id']} {text}",
    )
