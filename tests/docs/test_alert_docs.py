"""docs/operations.md tells of every cause of alerts what the alert itself says."""

from __future__ import annotations

import re

import click
import pytest

from reconcile.alerts.decision import Kind
from reconcile.alerts.texts import COMMANDS, REMEDIES
from reconcile.cli import COMMANDS as PROGRAMS
from reconcile.cli import cli
from tests.docs.documents import OPERATIONS, section

TEXT = section(OPERATIONS.read_text(encoding="utf-8"), "Alerts")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| `")]


def test_the_causes_are_the_closed_list() -> None:
    told = {word for row in ROWS for word in re.findall(r"`([a-z_]+)[:`]", row.split("|")[1])}

    assert told == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_each_cause_has_the_remedy_of_its_message(kind: Kind) -> None:
    row = next(row for row in ROWS if row.startswith((f"| `{kind.value}`", f"| `{kind.value}:")))

    assert REMEDIES[kind] in row


@pytest.mark.parametrize(
    # Drift is told of by the command that finds it: without that one there is no such alert.
    "line",
    sorted(line for kind, line in COMMANDS.items() if kind is not Kind.DRIFT or "drift" in PROGRAMS),
)
def test_each_command_that_an_alert_names_can_be_parsed(line: str) -> None:
    program, name, *arguments = line.format(subject="old-course").split()
    command = cli.get_command(click.Context(cli), name)

    assert program == "reconcile"
    assert command is not None
    command.make_context(name, arguments)
