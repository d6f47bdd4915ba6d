"""`reconcile run`: one reconciliation, applied."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from reconcile.cli.context import application, draining
from reconcile.cli.errors import explain, say
from reconcile.cli.params import json_option, selection_options
from reconcile.cli.progress import watching
from reconcile.cli.summary import print_summary
from reconcile.errors import ReconcileError
from reconcile.ports import Selection
from reconcile.reconciler import APPLY, DRY_RUN
from reconcile.reconciler.abort import never_begun

_EPILOG = """\b
Examples:
  reconcile run                               all of the backlog
  reconcile run --dry-run                     the same, writing nothing
  reconcile run --email sam@example.com       one learner
  reconcile run --course python-basics --since 7d --max-enrolls 50
  reconcile run --json --quiet                for a script

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
    as_json: bool,
    quiet: bool,
) -> int:
    """Find every order that is paid and not synced, look at what the LMS says, enroll the missing.

    Safe to repeat, to run twice at once, and to interrupt: Ctrl-C finishes the enrollments in flight
    and records them.
    """
    selection = Selection(enrollment_ids=enrollments, email=email, course=course, since=since, limit=limit)
    try:
        with (
            draining() as stop,
            application(create_audit=not dry_run, quiet=quiet, stop=stop, watched=not dry_run) as app,
        ):
            options = app.options(
                selection=selection, include_failed=include_failed, max_enrolls=max_enrolls, dry_run=dry_run
            )
            with watching(enabled=not quiet and not as_json) as progress:
                result = app.reconcile(options, progress=progress, stop=stop)
    except ReconcileError as error:
        if as_json:
            mode = DRY_RUN if dry_run else APPLY
            never = never_begun(error, mode=mode, at=datetime.now(UTC))
            click.echo(json.dumps(never.summary.as_json()))
        raise
    if as_json:
        click.echo(json.dumps(result.summary.as_json()))
    elif not quiet:
        print_summary(result.summary)
    if result.failure is not None:
        say(explain(result.failure))
    return int(result.summary.exit_code)
