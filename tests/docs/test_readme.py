"""The README says what the code says, and its commands do what it promises."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import click
import pytest

from reconcile.cli import COMMANDS, cli
from reconcile.domain.model import Outcome
from reconcile.reports.model import View
from reconcile.reports.views import COLUMNS
from reconcile.run.summary import ExitCode
from reconcile.sandbox.servers import Sandbox, running
from reconcile.settings import SETTINGS, SettingDoc
from tests.docs.documents import (
    CONTRIBUTING,
    GUIDE,
    OPERATIONS,
    README,
    Shown,
    first_cells,
    section,
    shown_commands,
)
from tests.docs.settings_table import settings_table

TEXT = README.read_text(encoding="utf-8")


def test_the_settings_table_is_the_generated_one() -> None:
    found = re.search(r"<!-- settings:[^>]*-->\n(.*)\n<!-- /settings -->", TEXT, re.DOTALL)
    assert found is not None
    assert found[1] == settings_table(), (
        "put what `python -m tests.docs.settings_table` prints into the README"
    )


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_setting_is_told_with_its_default(setting: SettingDoc) -> None:
    line = next(line for line in TEXT.splitlines() if line.startswith(f"| `{setting.name}` |"))
    assert (
        f"`{setting.default}`" if setting.default else ("empty", "**required**")[setting.required]
    ) in line


def test_each_command_has_a_row() -> None:
    told = {cell.removeprefix("reconcile ") for cell in first_cells(section(TEXT, "Commands"))}
    assert told == set(COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_option_in_the_commands_table_exists(name: str) -> None:
    row = next(
        line for line in section(TEXT, "Commands").splitlines() if line.startswith(f"| `reconcile {name}`")
    )
    command = cli.commands[name] if name in cli.commands else cli.get_command(click.Context(cli), name)
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", row)) <= known


def test_each_exit_code_has_a_row() -> None:
    assert first_cells(section(TEXT, "Exit codes")) >= {str(int(code)) for code in ExitCode}


def _commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(
    ("path", "command"),
    list(_commands(cli)),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_each_command_explains_itself(path: tuple[str, ...], command: click.Command) -> None:
    """Help for the command and for each option, and an example where there is something to choose."""
    assert command.help
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert not [
        option.name for option in options if not option.help and not isinstance(option.type, click.Choice)
    ]
    if command.params:
        epilog = command.epilog or ""
        assert f"reconcile {' '.join(path)}" in epilog, "an epilog with an example"


def _every_command() -> Iterator[object]:
    for document in (README, GUIDE, OPERATIONS, CONTRIBUTING):
        for shown in shown_commands(document):
            yield pytest.param(shown.arguments, id=str(shown))


@pytest.mark.parametrize("arguments", list(_every_command()))
def test_each_command_that_a_document_shows_can_be_parsed(arguments: tuple[str, ...]) -> None:
    """As click sees it: the command exists, and so do its options and their values. Nothing is run."""
    group: click.Command = cli
    rest, context = list(arguments), click.Context(cli, info_name="reconcile")
    while isinstance(group, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        found = group.get_command(context, name)
        assert found is not None, f"there is no command {name!r}"
        group, context = found, click.Context(found, info_name=name, parent=context)
    # --help and --version leave by Exit; a group without a command shows its help. A command that is
    # only named in a sentence stands there without its arguments.
    named = () if rest else (click.exceptions.MissingParameter,)
    with contextlib.suppress(click.exceptions.Exit, click.exceptions.NoArgsIsHelpError, *named):
        group.parse_args(context, rest)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running() as servers:
        yield servers


def _reconcile(sandbox: Sandbox, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reconcile", *arguments],
        env={**os.environ, **sandbox.environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _reads(shown: Shown) -> bool:
    return "--dry-run" in shown.arguments or shown.arguments[0] in {"plan", "status", "report", "schedule"}


def test_the_path_to_your_own_shop_goes_as_promised(sandbox: Sandbox, tmp_path: Path) -> None:
    path = [
        shown
        for shown in shown_commands(README, section(TEXT, "Your own shop"))
        if "sandbox" not in shown.arguments
    ]
    names = [shown.arguments[0] for shown in path]
    assert [name for name in ("init", "plan", "run", "status", "report") if name not in names] == []

    # In the README's order; neighbours that only read are started together.
    for _, group in groupby(path, key=_reads):
        together = list(group)
        with ThreadPoolExecutor(2 if _reads(together[0]) else 1) as pool:
            results = pool.map(lambda shown: _reconcile(sandbox, tmp_path, *shown.arguments), together)
        for shown, done in zip(together, results, strict=True):
            assert done.returncode == shown.exit_code, f"{shown}\n{done.stdout}\n{done.stderr}"

    assert not sandbox.lms.site.duplicates()


def test_json_has_the_keys_that_are_told(sandbox: Sandbox, tmp_path: Path) -> None:
    """After the path above the backlog is what needs a person: enough for every shape."""
    told = section(TEXT, "JSON")

    run = json.loads(_reconcile(sandbox, tmp_path, "run", "--json", "--quiet").stdout)
    reading = ("plan --json", "status --json", "report --view runs --format json")
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda line: _reconcile(sandbox, tmp_path, *line.split()).stdout, reading)
    plan, status, report = map(json.loads, answers)

    keys = {*run, *plan, *plan["actions"][0], *plan["counts"], *status, *status["backlog"], *report}
    assert {key for key in keys if f'"{key}"' not in told} == set()
    assert list(run["outcomes"]) == [outcome.value for outcome in Outcome]
    assert [column.name for column in COLUMNS[View.ATTEMPTS] if f"`{column.name}`" not in told] == []
