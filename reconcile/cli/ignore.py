"""`reconcile ignore`: leave an order alone for a while."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from reconcile.audit.process import operator
from reconcile.base.redaction import redact
from reconcile.cli.context import application
from reconcile.cli.errors import say
from reconcile.cli.params import DEADLINE, json_option
from reconcile.cli.show import iso
from reconcile.domain.interventions import Intervention, InterventionKind
from reconcile.run.ports import AuditLog

_EPILOG = """\b
Examples:
  reconcile ignore 6b00463638b4e652f2134faa --until 30d --because "refund in progress"
  reconcile ignore 6b00463638b4e652f2134faa --remove
  reconcile ignore --list

An ignored order is `skipped` with the reason `ignored`; `reconcile retry` does not try it either.
Another order for the same learner and course is not affected.
"""


@click.command("ignore", epilog=_EPILOG)
@click.argument("enrollment_id", metavar="ID", required=False)
@click.option("--until", type=DEADLINE, metavar="T", help="Until then (30d, 2027-01-31).")
@click.option("--because", metavar="TEXT", help="Why; kept in the audit.")
@click.option("--remove", is_flag=True, help="Do not ignore it any longer.")
@click.option("--list", "listing", is_flag=True, help="What is ignored now, by whom and why.")
@json_option
def command(
    *,
    enrollment_id: str | None,
    until: datetime | None,
    because: str | None,
    remove: bool,
    listing: bool,
    as_json: bool,
) -> int:
    """Leave an order alone: the learner left on purpose, or a refund is in progress.

    Recorded in the audit with your name. Asking again replaces the time and the text.
    """
    because = redact(" ".join((because or "").split()))[:500]
    if not listing:
        _check(enrollment_id, until=until, because=because, remove=remove)
    now = datetime.now(UTC)
    with application(create_audit=not listing, quiet=True) as app:
        audit = app.ports.audit
        if enrollment_id is not None and not listing:
            audit.intervene(
                Intervention(
                    kind=InterventionKind.UNIGNORE if remove else InterventionKind.IGNORE,
                    who=operator(),
                    at=now,
                    enrollment_id=enrollment_id,
                    until=None if remove else until,
                    because=because or None,
                )
            )
            if until is not None:
                say(f"{enrollment_id} is left alone until {until:%Y-%m-%d %H:%M} UTC")
            else:
                say(f"{enrollment_id} is not ignored any longer; the next run looks at it")
        if listing or as_json:
            _show(audit, now=now, as_json=as_json)
    return 0


def _check(enrollment_id: str | None, *, until: datetime | None, because: str, remove: bool) -> None:
    if enrollment_id is None:
        raise click.UsageError("which order? Name its enrollment id, or --list to see what is ignored.")
    if remove and (until is not None or because):
        raise click.UsageError("--remove goes without --until and --because.")
    if not remove and (until is None or not because):
        raise click.UsageError("--until T and --because TEXT are needed: nothing is ignored for ever.")


def _show(audit: AuditLog, *, now: datetime, as_json: bool) -> None:
    found = audit.ignored(now=now)
    if as_json:
        rows = [
            {
                "enrollment_id": said.enrollment_id,
                "until": iso(said.until),
                "because": said.because,
                "who": said.who,
                "at": said.at.isoformat(),
            }
            for said in found
        ]
        click.echo(json.dumps({"ignored": rows}))
        return
    for said in found:
        until = f"{said.until:%Y-%m-%d %H:%M}" if said.until else "-"
        click.echo(
            f"{said.enrollment_id}  until {until} UTC  {said.because}  ({said.who}, {said.at:%Y-%m-%d})"
        )
    if not found:
        click.echo("Nothing is ignored.")
