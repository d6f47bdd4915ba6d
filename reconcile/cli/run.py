"""`reconcile run`: one reconciliation, applied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconcile.base.redaction import mask_emails_in
from reconcile.cli.context import application, draining
from reconcile.cli.errors import say
from reconcile.cli.params import NO_MATCH, json_option, selection_options
from reconcile.cli.show import summary_in_json
from reconcile.cli.summary import print_result
from reconcile.cli.terminal import watching
from reconcile.run.options import APPLY, DRY_RUN
from reconcile.run.source import Selection
from reconcile.story.words import plural

if TYPE_CHECKING:
    from reconcile.mail.message import Mail
    from reconcile.mail.preview import Preview
    from reconcile.metrics.metrics import Metrics

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
    selection: Selection,
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
    if dry_run and metrics_file is not None:
        raise click.UsageError("--metrics-file counts runs, and a dry run is none; leave one of them out")
    # A rehearsal must not leave lines that say "enrollment successful" for operators to find.
    hushed = quiet or dry_run
    with (
        _metering(metrics_file) as metrics,
        summary_in_json(as_json, mode=DRY_RUN if dry_run else APPLY),
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

    def also() -> None:
        if not result.summary.scanned and not selection.is_everything and result.failure is None:
            say(f"reconcile: {NO_MATCH}")
        if mail is not None:
            _print_mail(mail)

    return print_result(result, as_json=as_json, quiet=quiet, also=also)


@contextmanager
def _metering(path: Path | None) -> Iterator[Metrics | None]:
    """Metrics for the block to count in; added to the file at `path` however the block ends.

    None without a path. A file that cannot be written is told on stderr and changes nothing else:
    learners do not wait for monitoring.
    """
    if path is None:
        yield None
        return
    from reconcile.metrics.metrics import Metrics

    metrics = Metrics()
    try:
        yield metrics
    except Exception:
        # A run that has begun says so by itself, however it ends: this one could not, or had a bug.
        metrics.run_broke()
        raise
    finally:
        _add_to_file(path, metrics)


def _add_to_file(path: Path, metrics: Metrics) -> None:
    from reconcile.metrics.textfile import add_to_file

    try:
        add_to_file(path, metrics, now=datetime.now(UTC))
    except OSError as error:
        say(
            f"reconcile: the metrics were not written to {path}: {error.strerror or error}\n"
            "  → The run is not affected. The folder must exist and be writable for this user."
        )


def _print_mail(preview: Preview) -> None:
    """Print how many mails there would be, and the first of them in full, its addresses masked."""
    also = f"; {preview.waiting} more mails wait in the outbox" if preview.waiting else ""
    click.echo(f"\nMail: {preview.new} {plural(preview.new, 'learner')} would be mailed{also}.")
    if preview.problem is not None:
        click.echo(f"The first mail cannot be written: {preview.problem}")
    if preview.first is not None:
        click.echo("The first one:\n")
        click.echo(mask_emails_in(_in_full(preview.first)))


def _in_full(mail: Mail) -> str:
    parts = [f"To: {mail.to}\nSubject: {mail.subject}", mail.text.strip()]
    if mail.html is not None:
        parts += ["--- HTML ---", mail.html.strip()]
    return "\n\n".join(parts)
