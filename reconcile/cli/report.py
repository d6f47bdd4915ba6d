"""`reconcile report`: the audit export."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

import click

from reconcile.cli.context import load_settings
from reconcile.cli.errors import say
from reconcile.cli.params import INSTANT, emails_option
from reconcile.domain.model import Outcome, Reason
from reconcile.errors import AuditUnavailable, ReconcileError

VIEWS = ("summary", "attempts", "enrollments", "runs")
FORMATS = ("table", "csv", "json", "jsonl")

_EPILOG = """\b
Examples:
  reconcile report                                            what happened, in short
  reconcile report --view enrollments --outcome failed        who needs a person, and why
  reconcile report --view attempts --since 24h --format csv --output attempts.csv
  reconcile report --view attempts --format jsonl | jq .

--since and --until mean when an attempt (in `runs`: a run) began; --until is exclusive.
"""


@click.command("report", epilog=_EPILOG)
@click.option("--view", type=click.Choice(VIEWS), default="summary", show_default=True)
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write here, not to stdout.",
)
@click.option("--since", type=INSTANT, metavar="T", help="From then on (24h, 2026-11-24).")
@click.option("--until", type=INSTANT, metavar="T", help="Before then.")
@click.option("--course", metavar="SLUG", help="Only this course.")
@click.option("--outcome", type=click.Choice([item.value for item in Outcome]), help="Only this outcome.")
@click.option(
    "--reason",
    type=click.Choice([reason.value for reason in Reason]),
    metavar="CODE",
    help="Only this reason.",
)
@click.option("--run", metavar="ID", help="Only this run.")
@click.option("--email", metavar="E", help="Only this learner.")
@emails_option
def command(
    *,
    view: str,
    form: str,
    output: Path | None,
    since: datetime | None,
    until: datetime | None,
    course: str | None,
    outcome: str | None,
    reason: str | None,
    run: str | None,
    email: str | None,
    with_emails: bool,
) -> int:
    """Export what the audit says. Needs the audit database only; streams, however much there is.

    E-mail addresses are masked unless --with-emails is given.
    """
    settings = load_settings(require=("audit",), quiet=True)
    from reconcile.adapters.audit import open_audit
    from reconcile.reports import Format, ReportFilter, View, build_report, write_report

    chosen = ReportFilter(
        since=since, until=until, course=course, outcome=outcome, reason=reason, run=run, email=email
    )
    audit = open_audit(settings.audit_url.get_secret_value(), create=False)
    if audit is None:
        raise AuditUnavailable(
            "there is no audit database yet",
            hint="`reconcile init` or the first `reconcile run` makes it; RECONCILE_AUDIT_URL says where.",
        )
    with audit, audit.reading() as connection, _opened(output) as out:
        report = build_report(
            connection, View(view), generated_at=datetime.now(UTC), chosen=chosen, with_emails=with_emails
        )
        rows = write_report(report, Format(form), out)
    if output is not None:
        say(f"{rows} rows written to {output}")
    return 0


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """stdout, or a file that appears whole or not at all; a pipe or a device is written to as it is."""
    if output is None:
        if isinstance(sys.stdout, TextIOWrapper):
            _prepare(sys.stdout)
        yield sys.stdout
        sys.stdout.flush()
        return
    replaces = not output.exists() or output.is_file()
    try:
        if replaces:
            # An export holds people's orders: for its owner's eyes only, as mkstemp makes it.
            descriptor, name = tempfile.mkstemp(dir=output.absolute().parent, prefix=f".{output.name}.")
        else:
            descriptor, name = os.open(output, os.O_WRONLY), ""
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out:
            yield out
        if replaces:
            Path(name).replace(output)
    except BaseException as error:
        if replaces:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise ReconcileError(
                f"{output} cannot be written: {error.strerror}",
                hint="free some space or name another file; what stood there before is unchanged",
            ) from error
        raise


def _prepare(stdout: TextIOWrapper) -> None:
    """An export is UTF-8 whatever the locale, as it is in a file; a terminal is shown what it can show."""
    # CSV brings its own line ends.
    if stdout.isatty():
        stdout.reconfigure(newline="", errors="backslashreplace")
    else:
        stdout.reconfigure(newline="", encoding="utf-8")
