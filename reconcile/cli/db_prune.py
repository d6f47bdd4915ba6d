"""`reconcile db prune`: take old runs out of the audit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from reconcile.cli.context import draining, opened_audit
from reconcile.cli.errors import say
from reconcile.cli.params import DURATION, json_option, yes_option
from reconcile.cli.terminal import confirmed, counting
from reconcile.run.summary import ExitCode

if TYPE_CHECKING:
    from reconcile.audit.prune import Prunable, Pruned
    from reconcile.audit.space import Space

_DAY = 86400.0
_EPILOG = """\b
Examples:
  reconcile db prune --older-than 365d --dry-run    what would go
  reconcile db prune --older-than 365d
  reconcile db prune --older-than 730d --yes        without a question, also on a terminal

Runs go whole: their attempts, and addresses that nothing else needs. A run with an attempt that has
no end yet stays. Seals stay, so that `reconcile db verify` still works. There is no way back.
"""


@click.command("prune", epilog=_EPILOG)
@click.option(
    "--older-than",
    type=DURATION,
    required=True,
    metavar="AGE",
    help="Runs that ended so long ago (365d), at least 1d.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@yes_option
@json_option
def command(*, older_than: float, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Take the runs that ended long ago out of the audit, and record that.

    `reconcile schedule` does this by itself every week, by RECONCILE_RETENTION.
    """
    if older_than < _DAY:
        raise click.UsageError("--older-than must be at least 1d: runs are compared with the ones before")
    now = datetime.now(UTC)
    before = now - timedelta(seconds=older_than)
    with opened_audit(writing=not dry_run) as (store, _), draining() as stop:
        from reconcile.audit.process import operator
        from reconcile.audit.prune import Pruned, prunable, prune
        from reconcile.audit.space import Space, give_back

        found = prunable(store, before=before)
        if not as_json:
            click.echo(_plan(found, before, dry_run=dry_run))
        question = f"Take {found.runs} runs out of the audit for good?"
        done, space = Pruned(), Space()
        agreed = not found.runs or dry_run or confirmed(question, yes=yes)
        if agreed and not dry_run:
            with counting("pruning", total=found.runs) as watch:
                done = prune(
                    store,
                    before=before,
                    by=operator(),
                    at=now,
                    watch=lambda so_far: watch(f"{so_far.attempts} attempts", so_far.runs),
                    stopped=stop.is_set,
                )
            space = give_back(store)
    if as_json:
        click.echo(json.dumps(_as_json(found, done, space, before, dry_run=dry_run)))
    elif not dry_run and agreed:
        _print(done, space)
    if stop.is_set():
        say("reconcile: interrupted; what was pruned is recorded, the rest is untouched")
        return ExitCode.INTERRUPTED
    return ExitCode.CONVERGED


def _plan(found: Prunable, before: datetime, *, dry_run: bool) -> str:
    if not found.runs:
        text = f"no run that ended before {before:%Y-%m-%d %H:%M} UTC can be pruned"
    else:
        what = "would be pruned" if dry_run else "to prune"
        text = (
            f"{what}: {found.runs} runs that ended before {before:%Y-%m-%d %H:%M} UTC"
            f" (the oldest {found.oldest:%Y-%m-%d}), with {found.attempts} attempts"
        )
    if found.kept:
        text += f"\n{found.kept} older runs stay: they have, or have ended, an attempt that must stay"
    return text


def _print(done: Pruned, space: Space) -> None:
    click.echo(f"pruned {done.runs} runs, {done.attempts} attempts, {done.people} addresses")
    if space.given_back:
        click.echo(f"{_size(space.given_back)} given back to the file system")
    if space.reusable:
        click.echo(
            f"{_size(space.reusable)} are free inside the file and used again; to shrink it, while nothing"
            " runs: sqlite3 FILE 'PRAGMA auto_vacuum = INCREMENTAL; VACUUM'"
        )
    if done.seal is not None:
        click.echo(f"newest seal {done.seal}")


def _as_json(
    found: Prunable, done: Pruned, space: Space, before: datetime, *, dry_run: bool
) -> dict[str, object]:
    return {
        "before": before.isoformat(),
        "dry_run": dry_run,
        "prunable": {"runs": found.runs, "attempts": found.attempts, "kept_runs": found.kept},
        "pruned": {"runs": done.runs, "attempts": done.attempts, "addresses": done.people},
        "bytes_given_back": space.given_back,
        "bytes_reusable": space.reusable,
        "seal": str(done.seal) if done.seal is not None else None,
    }


def _size(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{size / 1000:.0f} kB"
