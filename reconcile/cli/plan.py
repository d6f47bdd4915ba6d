"""`reconcile plan`: what a run would do and why. Writes nothing anywhere but stdout."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import click

from reconcile.base.redaction import mask_email
from reconcile.cli.context import application
from reconcile.cli.errors import word_for
from reconcile.cli.params import NO_MATCH, emails_option, json_option, selection_options
from reconcile.domain.model import ACTIONS, Decision, action_of
from reconcile.run.source import Selection
from reconcile.run.summary import ExitCode
from reconcile.run.survey import Surveyed
from reconcile.run.verdicts import would_write

_EPILOG = """\b
Examples:
  reconcile plan                      what would be done, and why
  reconcile plan --json | jq .counts  for a script
  reconcile plan --course python-basics

\b
Exit codes: 0 nothing to do, 3 changes pending, 2 usage or key, 75 LMS or MongoDB unavailable
"""

_COLUMNS = ("action", "reason", "enrollment_id", "payment_id", "email", "course")


@click.command("plan", epilog=_EPILOG)
@selection_options
@json_option
@emails_option
def command(
    *,
    limit: int | None,
    enrollments: tuple[str, ...],
    email: str | None,
    course: str | None,
    since: datetime | None,
    include_failed: bool,
    as_json: bool,
    with_emails: bool,
) -> int:
    """Show what `run` would do and why. Writes nothing anywhere but stdout."""
    selection = Selection(enrollment_ids=enrollments, email=email, course=course, since=since, limit=limit)
    counts: Counter[str] = Counter()
    pending = 0

    def rows() -> Generator[dict[str, Any]]:
        nonlocal pending
        with application(create_audit=False, quiet=True) as app:
            options = app.options(selection=selection, include_failed=include_failed)
            for page in app.reconciler(dry_run=True).plan(options):
                for entry in page.entries:
                    pending += would_write(entry)
                    counts[action_of(entry.decision)] += 1
                    yield _row(entry, with_emails=with_emails)

    with closing(rows()) as found:
        if as_json:
            _print_json(found, counts)
        else:
            nothing = "every paid order is synced" if selection.is_everything else NO_MATCH
            _print_table(found, counts, nothing=nothing)
    return int(ExitCode.CHANGES_PENDING if pending else ExitCode.CONVERGED)


def _row(entry: Surveyed, *, with_emails: bool) -> dict[str, Any]:
    item = entry.enrollment
    email = item.email or None
    return {
        "enrollment_id": item.id,
        "payment_id": item.payment_id,
        "email": email if with_emails or email is None else mask_email(email),
        "course": item.course,
        "action": action_of(entry.decision),
        "reason": _reason(entry.decision),
    }


def _reason(decision: Decision) -> str | None:
    reason = getattr(decision, "reason", None)
    return reason.value if reason is not None else None


def _print_json(rows: Iterator[dict[str, Any]], counts: Counter[str]) -> None:
    """One object, written as it comes: a backlog of any size needs no more memory than a page.

    It is whole also when the look breaks off, or cannot begin; then it has an `error`, and the exit
    code says more.
    """
    tail: dict[str, Any] = {}
    click.echo('{"actions": [', nl=False)
    try:
        for number, row in enumerate(rows):
            click.echo((", " if number else "") + json.dumps(row), nl=False)
    except BaseException as error:
        tail["error"] = word_for(error)
        raise
    finally:
        tail = {"counts": {name: counts[name] for name in ACTIONS.values()}} | tail
        click.echo(f"], {json.dumps(tail)[1:]}")


def _print_table(rows: Iterator[dict[str, Any]], counts: Counter[str], *, nothing: str) -> None:
    for number, row in enumerate(rows):
        if not number:
            click.echo(_line(dict(zip(_COLUMNS, _COLUMNS, strict=True))))
        click.echo(_line(row))
    total = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    click.echo(f"\n{total}" if total else f"Nothing to do: {nothing}.")
    if counts["enroll"] or counts["confirm"]:
        click.echo("Next: reconcile run")


def _line(row: dict[str, Any]) -> str:
    widths = {"action": 8, "reason": 18, "enrollment_id": 24, "payment_id": 22, "email": 26}
    return "  ".join(f"{row[name] or '-':<{widths.get(name, 0)}}" for name in _COLUMNS).rstrip()
