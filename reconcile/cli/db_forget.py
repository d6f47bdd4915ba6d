"""`reconcile db forget`: no address of a person is left in the audit."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from reconcile.base.redaction import mask_email
from reconcile.cli.context import opened_audit
from reconcile.cli.params import json_option, yes_option
from reconcile.cli.terminal import confirmed
from reconcile.run.summary import ExitCode

if TYPE_CHECKING:
    from reconcile.audit.forget import Forgotten, Person
    from reconcile.audit.store import Store

#: How long somebody who reads an old state of the file is waited for, in seconds.
_PATIENCE = 30.0
_EPILOG = """\b
Examples:
  reconcile db forget sam@example.com
  reconcile db forget sam@example.com --yes      without a question, also on a terminal
  echo sam@example.com | reconcile db forget -   keeps the address out of the shell's history

Any spelling will do. A person who bought with one address and learns with another has two. What stays
is a keyed hash, so that counts, sums and the chain stay valid. MongoDB, the LMS, logs, exports and
backups are not touched. There is no way back.
"""


@click.command("forget", epilog=_EPILOG)
@click.argument("email", metavar="EMAIL")
@yes_option
@json_option
def command(*, email: str, yes: bool, as_json: bool) -> int:
    """Take a person's address out of the audit, as buyer and as LMS account, and record that.

    May be repeated: a second time finds nothing more to take. EMAIL may be - to read it from stdin.
    """
    address = sys.stdin.readline().strip() if email == "-" else email.strip()
    local, at, domain = address.rpartition("@")
    if not (local and at and domain):
        raise click.UsageError("EMAIL must be a whole address, with an @ in it")
    with opened_audit(writing=True) as (store, secret):
        from reconcile.audit.forget import Forgotten, look_up
        from reconcile.audit.space import rewrite

        person = look_up(store, secret=secret, email=address)
        if not as_json:
            click.echo(_plan(person, address))
        if person.is_known and not confirmed("Take the address out of the audit for good?", yes=yes):
            return ExitCode.CONVERGED
        done = _forget(store, secret, address)
        if person.is_known or done.texts:
            rewrite(store, patience=_PATIENCE)
        server = store.place.name if store.file is None else None
    if as_json:
        click.echo(json.dumps(_as_json(person, done)))
    elif person.is_known or done != Forgotten(person=False, masked=0, texts=0, seal=None):
        _print(person, done, server=server)
    return ExitCode.CONVERGED


def _forget(store: Store, secret: bytes, address: str) -> Forgotten:
    from reconcile.audit.forget import forget
    from reconcile.audit.process import operator

    return forget(store, secret=secret, email=address, by=operator(), at=datetime.now(UTC))


def _plan(person: Person, address: str) -> str:
    masked = mask_email(address)
    if not person.is_known:
        return f"the audit has nothing of {masked} by name; looking through its texts"
    before = f"; forgotten before, {person.forgotten_at:%Y-%m-%d %H:%M} UTC" if person.forgotten_at else ""
    named = "by address" if person.named else "without an address"
    return f"the audit has {masked} {named}, in {person.attempts} attempts{before}"


def _print(person: Person, done: Forgotten, *, server: str | None) -> None:
    if done.seal is None:
        click.echo("nothing was left to take")
    else:
        click.echo(
            f"forgotten: {'the address' if done.person else 'no address by itself'},"
            f" {done.masked} masked ones, {done.texts} texts"
        )
    click.echo(
        f"what stays: {person.attempts} attempts under a keyed hash ({person.key[:8]}…)."
        " Not touched: MongoDB, the LMS, logs, exports, backups;"
        " an order of theirs that is still unsynced is recorded anew by the next run."
    )
    if server is not None:
        click.echo(
            f"PostgreSQL ({server}) keeps deleted bytes until it cleans up:"
            " VACUUM FULL people, attempts; and in its write-ahead log and backups until they expire."
        )
    if done.seal is not None:
        click.echo(f"newest seal {done.seal}")


def _as_json(person: Person, done: Forgotten) -> dict[str, object]:
    return {
        "known": person.is_known or done.seal is not None,
        "attempts": person.attempts,
        "forgotten": {"address": done.person, "masked": done.masked, "texts": done.texts},
        "seal": str(done.seal) if done.seal is not None else None,
    }
