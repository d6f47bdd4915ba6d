"""`reconcile report`: the audit export."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from reconcile.cli.context import load_settings, no_audit_yet
from reconcile.cli.errors import say
from reconcile.cli.output import exporting
from reconcile.cli.params import INSTANT, emails_option
from reconcile.domain.model import Outcome, Reason

VIEWS = ("summary", "attempts", "enrollments", "runs")
FORMATS = ("table", "csv", "json", "jsonl", "html", "xlsx")

_EPILOG = """\b
Examples:
  reconcile report                                            what happened, in short
  reconcile report --view enrollments --outcome failed        who needs a person, and why
  reconcile report --view attempts --since 24h --format csv --output attempts.csv
  reconcile report --view attempts --format jsonl | jq .
  reconcile report --format html --output report.html         for the owner: money, causes, leaks, charts
  reconcile report --view enrollments --format xlsx --output enrollments.xlsx

--since and --until mean when an attempt (in `runs`: a run) began; --until is exclusive.
html and xlsx need the extra `report`. Beside a FILE stands FILE.sha256 (sha256sum -c FILE.sha256);
beside a table, csv or jsonl also FILE.provenance.json: period, filters, version, time, row count.
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
    from reconcile.audit.log import open_audit
    from reconcile.reports.formats import Format, require, write_report
    from reconcile.reports.formats.provenance import as_plain
    from reconcile.reports.model import ReportFilter, View
    from reconcile.reports.views import build_report

    written = Format(form)
    require(written)
    chosen = ReportFilter(
        since=since, until=until, course=course, outcome=outcome, reason=reason, run=run, email=email
    )
    audit = open_audit(settings.audit_url.get_secret_value(), create=False)
    if audit is None:
        raise no_audit_yet()
    with audit, audit.reading() as connection, exporting(output, binary=written.is_binary) as export:
        report = build_report(
            connection, View(view), generated_at=datetime.now(UTC), chosen=chosen, with_emails=with_emails
        )
        rows = write_report(report, written, export.out)
        if not written.tells_provenance:
            export.about = as_plain(report, rows)
    if output is not None:
        beside = "".join(f", {path.name}" for path in export.side_files)
        say(f"{rows} rows written to {output}{beside}")
    return 0
