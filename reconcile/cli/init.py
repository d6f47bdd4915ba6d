"""`reconcile init`: the audit schema and MongoDB's indexes."""

from __future__ import annotations

from contextlib import ExitStack

import click

from reconcile.cli.context import load_settings

_EPILOG = """\b
Examples:
  reconcile init --dry-run    what is missing
  reconcile init              make it
"""


@click.command("init", epilog=_EPILOG)
@click.option("--dry-run", is_flag=True, help="Say what is missing; make nothing.")
def command(*, dry_run: bool) -> int:
    """Prepare the audit database and the indexes that reconcile needs in MongoDB. May be repeated.

    The indexes are partial (paid orders only) and make the search for unsynced orders read those and
    not the whole collection; on a large collection MongoDB builds them in the background.
    """
    settings = load_settings(require=("mongodb", "audit"))
    from reconcile.app.parts import open_database
    from reconcile.audit import schema
    from reconcile.audit.tables import HEAD_REVISION
    from reconcile.storefront import setup

    url = settings.audit_url.get_secret_value()
    with ExitStack() as opened:
        database = open_database(settings, opened)
        collection, queue = settings.mongodb_collection, settings.retry_jobs_collection or None
        wanted = setup.indexes(database, collection=collection, queue=queue)
        if dry_run:
            revision = schema.current(url)
            state = (
                "up to date" if revision == HEAD_REVISION else f"{revision or 'missing'}, would be upgraded"
            )
            click.echo(f"audit schema: {state}")
            for index in wanted:
                click.echo(
                    f"index {index.collection}.{index.name}: {'there' if index.present else 'would be made'}"
                )
            return 0
        before, after = schema.upgrade(url)
        click.echo(f"audit schema: {after}" + ("" if before == after else f" (was {before or 'missing'})"))
        made = setup.create_indexes(database, collection=collection, queue=queue)
        for index in wanted:
            click.echo(f"index {index.collection}.{index.name}: {'made' if index in made else 'there'}")
    return 0
