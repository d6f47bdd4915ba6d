"""`reconcile demo`: a tour of the main job on embedded servers that ends by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from reconcile.cli.sandbox import embedded
from reconcile.run.summary import ExitCode

if TYPE_CHECKING:
    from reconcile.sandbox.servers import Sandbox

#: How the names of our settings begin.
_OURS = ("RECONCILE_", "MONGODB_", "FRAPPE_LMS_")

#: (what it shows, the command, the exit codes that are as they should be)
TOUR: tuple[tuple[str, tuple[str, ...], frozenset[int]], ...] = (
    (
        "A shop on embedded servers: MongoDB with orders, a Frappe LMS. Who paid and has no access?",
        ("status",),
        frozenset({ExitCode.CONVERGED}),
    ),
    (
        "What would be done about one course, and why? Nothing is written.",
        ("plan", "--course", "python-basics"),
        frozenset({ExitCode.CONVERGED, ExitCode.CHANGES_PENDING}),
    ),
    ("Prepare the audit database and MongoDB's indexes.", ("init",), frozenset({ExitCode.CONVERGED})),
    (
        "The main job: give access, also where the shop gave up. (Exit code 1: some orders need a person.)",
        ("run",),
        frozenset({ExitCode.ATTENTION}),
    ),
    (
        "Once more: nobody is enrolled twice, nothing changes.",
        ("run",),
        frozenset({ExitCode.ATTENTION}),
    ),
    (
        "Who needs a person, and why?",
        ("report", "--view", "enrollments", "--outcome", "failed"),
        frozenset({ExitCode.CONVERGED}),
    ),
    ("What was done, in numbers.", ("report",), frozenset({ExitCode.CONVERGED})),
)


_EPILOG = """\b
Examples:
  reconcile demo                the tour, a few seconds long
  reconcile demo --schedule     a shop's day with the scheduler, in about a minute
"""


@click.command("demo", epilog=_EPILOG)
@click.option("--schedule", is_flag=True, help="A day of the scheduler instead: with an LMS outage.")
def command(*, schedule: bool) -> int:
    """A tour of the main job on embedded servers: seed a shop, reconcile it, read the report.

    Ends by itself, leaves nothing behind, touches nothing of yours. Needs the extra `demo`.
    """
    if schedule:
        from reconcile.cli.demo_schedule import run_day

        return run_day()
    with embedded() as sandbox:
        for text, arguments, expected in TOUR:
            _show(text, arguments, expected, sandbox)
        doubled = len(sandbox.lms.site.duplicates())
    click.secho(f"\nLearners enrolled twice: {doubled}. Next: 'Your own shop' in the README.", bold=True)
    return 0


def _show(text: str, arguments: tuple[str, ...], expected: frozenset[int], sandbox: Sandbox) -> None:
    click.secho(f"\n# {text}", fg="cyan")
    click.secho(f"$ reconcile {' '.join(arguments)}", bold=True)
    sys.stdout.flush()
    # What the user has set, and what lies about in their folder (`.env`, modules), is none of the tour's.
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-P", "-m", "reconcile", *arguments],
        env={**theirs, **sandbox.environment, "RECONCILE_LOG_LEVEL": "error"},
        cwd=sandbox.directory,
        check=False,
    )
    if done.returncode not in expected:
        raise click.ClickException(f"the tour's `reconcile {arguments[0]}` ended with {done.returncode}")
