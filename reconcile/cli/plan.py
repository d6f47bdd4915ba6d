"""`reconcile plan`: what a run would do and why. Writes nothing anywhere but stdout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import closing
from typing import Any

import click

from reconcile.cli.context import application
from reconcile.cli.params import NO_MATCH, emails_option, json_option, selection_options
from reconcile.cli.show import address, print_json_stream, print_rows
from reconcile.domain.model import ACTIONS, action_of
from reconcile.run.page import Surveyed
from reconcile.run.source import Selection
from reconcile.run.summary import ExitCode
from reconcile.run.verdicts import would_write
from reconcile.story.words import counted

_EPILOG = """\b
Examples:
  reconcile plan                      what would be done, and why
  reconcile plan --json | jq .counts  for a script
  reconcile plan --course python-basics

\b
Exit codes: 0 nothing to do, 3 changes pending, 2 usage or key, 75 LMS or MongoDB unavailable
"""

#: The columns of the table and their widths.
_COLUMNS = {"action": 8, "reason": 18, "enrollment_id": 24, "payment_id": 22, "email": 26, "course": 0}


@click.command("plan", epilog=_EPILOG)
@selection_options
@json_option
@emails_option
def command(*, selection: Selection, include_failed: bool, as_json: bool, with_emails: bool) -> int:
    """Show what `run` would do and why. Writes nothing anywhere but stdout."""
    counts: Counter[str] = Counter()
    pending = 0

    def look() -> Generator[dict[str, Any]]:
        nonlocal pending
        with application(create_audit=False, quiet=True) as app:
            options = app.options(selection=selection, include_failed=include_failed)
            for page in app.reconciler(dry_run=True).plan(options):
                for entry in page.entries:
                    pending += would_write(entry)
                    counts[action_of(entry.decision)] += 1
                    yield _row(entry, with_emails=with_emails)

    with closing(look()) as rows:
        if as_json:
            print_json_stream(
                "actions", rows, lambda: {"counts": {name: counts[name] for name in ACTIONS.values()}}
            )
        else:
            print_rows(([row[name] or "-" for name in _COLUMNS] for row in rows), _COLUMNS)
            _print_end(counts, nothing="every paid order is synced" if selection.is_everything else NO_MATCH)
    return int(ExitCode.CHANGES_PENDING if pending else ExitCode.CONVERGED)


def _row(entry: Surveyed, *, with_emails: bool) -> dict[str, Any]:
    item, reason = entry.enrollment, getattr(entry.decision, "reason", None)
    return {
        "enrollment_id": item.id,
        "payment_id": item.payment_id,
        "email": address(item.email or None, with_emails=with_emails),
        "course": item.course,
        "action": action_of(entry.decision),
        "reason": reason.value if reason is not None else None,
    }


def _print_end(counts: Counter[str], *, nothing: str) -> None:
    total = counted(dict(counts.most_common()))
    click.echo(f"\n{total}" if total else f"Nothing to do: {nothing}.")
    if counts["enroll"] or counts["confirm"]:
        click.echo("Next: reconcile run")
