"""`reconcile run`: one reconciliation, applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from reconcile.base.errors import ReconcileError
from reconcile.cli.context import application, draining
from reconcile.cli.errors import explain, say
from reconcile.cli.mail_preview import print_mail
from reconcile.cli.metering import metering
from reconcile.cli.params import NO_MATCH, json_option, selection_options
from reconcile.cli.progress import watching
from reconcile.cli.summary import print_summary
from reconcile.run.abort import never_begun
from reconcile.run.options import APPLY, DRY_RUN
from reconcile.run.source import Selection

_EPILOG = """\b
Examples:
  reconcile run                               all of the backlog
  reconcile run --dry-run                     the same, writing nothing
  reconcile run --email sam@example.com       one learner
  reconcile run --course python-basics --since 7d --max-enrolls 50
  reconcile run --json --quiet                for a script
  reconcile run --metrics-file /var/lib/node_exporter/reconcile.prom

\b
Exit codes:
  0 nothing is left that a run can do    1 some failed, need a person or another try
  2 wrong usage, configuration or key    4 the audit database cannot be written
  75 LMS or MongoDB unavailable, later   130 interrupted
"""


@click.command("run", epilog=_EPILOG)
@click.option("--dry-run", is_flag=True, help="Look and decide, write nothing anywhere.")
@selection_options
@click.option("--max-enrolls", type=click.IntRange(min=0), metavar="N", help="Enroll N learners at most.")
@click.option(
    "--metrics-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Add this run to the metrics in FILE, for node_exporter's textfile collector.",
)
@json_option
@click.option("--quiet", is_flag=True, help="Warnings and errors only; no table.")
def command(
    *,
    dry_run: bool,
    limit: int | None,
    enrollments: tuple[str, ...],
    email: str | None,
    course: str | None,
    since: datetime | None,
    include_failed: bool,
    max_enrolls: int | None,
    metrics_file: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Find every order that is paid and not synced, look at what the LMS says, enroll the missing.

    Safe to repeat, to run twice at once, and to interrupt: Ctrl-C finishes the enrollments in flight
    and records them.
    """
    selection = Selection(enrollment_ids=enrollments, email=email, course=course, since=since, limit=limit)
    if dry_run and metrics_file is not None:
        raise click.UsageError("--metrics-file counts runs, and a dry run is none; leave one of them out")
    # A rehearsal must not leave lines that say "enrollment successful" for operators to find.
    hushed = quiet or dry_run
    with (
        metering(metrics_file) as metrics,
        told_in_json(as_json, mode=DRY_RUN if dry_run else APPLY),
        draining() as stop,
        application(
            create_audit=not dry_run, quiet=hushed, stop=stop, metrics=metrics, watched=not dry_run
        ) as app,
    ):
        options = app.options(
            selection=selection, include_failed=include_failed, max_enrolls=max_enrolls, dry_run=dry_run
        )
        with watching(enabled=not quiet and not as_json) as progress:
            result = app.reconcile(options, progress=progress, stop=stop)
        mail = app.mail.preview.look() if dry_run and not as_json and app.mail is not None else None
    if as_json:
        click.echo(json.dumps(result.summary.as_json()))
    elif not quiet:
        print_summary(result.summary)
        if not result.summary.scanned and not selection.is_everything and result.failure is None:
            say(f"reconcile: {NO_MATCH}")
        if mail is not None:
            print_mail(mail)
    if result.failure is not None:
        say(explain(result.failure))
    return int(result.summary.exit_code)


@contextmanager
def told_in_json(as_json: bool, *, mode: str) -> Iterator[None]:  # noqa: FBT001  a command's own flag
    """Print the one object of `--json` also where the run in the block could not even begin."""
    try:
        yield
    except Exception as error:
        if as_json:
            known = error if isinstance(error, ReconcileError) else ReconcileError("a bug")
            never = never_begun(known, mode=mode, at=datetime.now(UTC))
            click.echo(json.dumps(never.summary.as_json()))
        raise
