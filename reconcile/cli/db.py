"""`reconcile db`: the audit database."""

from __future__ import annotations

import click

from reconcile.cli import db_forget, db_prune, db_verify
from reconcile.cli.context import load_settings


@click.group("db")
def command() -> None:
    """Look after the audit database (RECONCILE_AUDIT_URL)."""


command.add_command(db_verify.command)
command.add_command(db_prune.command)
command.add_command(db_forget.command)


@command.command("upgrade")
def upgrade_command() -> int:
    """Create the audit database, or bring it to this version's schema. May be repeated.

    `reconcile run` does this by itself; deployments may prefer to do it first.
    """
    from reconcile.audit import schema

    before, after = schema.upgrade(_url())
    if before == after:
        click.echo(f"already at {after}")
    else:
        click.echo(f"upgraded from {before or 'nothing'} to {after}")
    return 0


@command.command("current")
def current_command() -> int:
    """Print the schema's revision; exit code 1 where it is not this version's."""
    from reconcile.audit import schema
    from reconcile.audit.tables import HEAD_REVISION

    revision = schema.current(_url())
    if revision == HEAD_REVISION:
        click.echo(f"{revision} (up to date)")
        return 0
    click.echo(
        f"{revision or 'none'} (this version's is {HEAD_REVISION}; `reconcile db upgrade` brings it there)"
    )
    return 1


def _url() -> str:
    return load_settings(require=("audit",)).audit_url.get_secret_value()
