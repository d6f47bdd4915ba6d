"""`reconcile diagnose`: would a run succeed, and if not, what to do first."""

from __future__ import annotations

import json

import click

from reconcile.base.redaction import redact
from reconcile.cli.context import load_settings
from reconcile.cli.params import json_option
from reconcile.diagnosis.checks import Check, Diagnosis, Grade

_EPILOG = """\b
Examples:
  reconcile diagnose
  reconcile diagnose --json | jq '.checks[] | select(.grade != "ok")'

\b
Exit codes: 0 a run would succeed (warnings or not), 2 settings or key, 4 audit database,
  75 MongoDB or LMS unavailable
"""

_STYLE = {Grade.OK: "green", Grade.WARNING: "yellow", Grade.PROBLEM: "red", Grade.SKIPPED: "bright_black"}


@click.command("diagnose", epilog=_EPILOG)
@json_option
def command(*, as_json: bool) -> int:
    """Look at settings, MongoDB, the LMS, the key, the audit database and the backlog.

    Writes nothing anywhere. Each check says ok, warning or problem, and the remedy.
    """
    from reconcile.app.parts import to_diagnose
    from reconcile.diagnosis.diagnose import diagnose

    found = diagnose(lambda: load_settings(quiet=True), to_diagnose)
    if as_json:
        click.echo(json.dumps(_as_json(found)))
    else:
        for check in found.checks:
            _print(check)
        click.secho(f"\n{redact(found.conclusion)}", bold=True)
    return int(found.exit_code)


def _print(check: Check) -> None:
    grade = click.style(f"{check.grade.value:<8}", fg=_STYLE[check.grade])
    click.echo(f"{grade} {check.area:<9} {check.name}: {redact(check.says)}")
    if check.remedy and check.grade in (Grade.WARNING, Grade.PROBLEM):
        click.echo(f"         → {redact(check.remedy)}")


def _as_json(found: Diagnosis) -> dict[str, object]:
    return {
        "would_succeed": found.would_succeed,
        "conclusion": redact(found.conclusion),
        "exit_code": int(found.exit_code),
        "checks": [
            {
                "area": check.area,
                "name": check.name,
                "grade": check.grade.value,
                "says": redact(check.says),
                "remedy": redact(check.remedy),
            }
            for check in found.checks
        ],
    }
