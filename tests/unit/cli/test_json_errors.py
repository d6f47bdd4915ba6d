"""`--json`: one object on stdout, also where a command is cut short by a bug or by Ctrl-C."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from click.testing import CliRunner

from reconcile.cli import cli


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, BaseException], Any]:
    """Runs a command with --json whose application ends with this error; what it printed."""

    def run(command: str, error: BaseException) -> Any:
        @contextmanager
        def broken(**_: object) -> Iterator[None]:
            raise error
            yield

        monkeypatch.setattr(import_module(f"reconcile.cli.{command}"), "application", broken)
        result = CliRunner().invoke(cli, [command, "--json"], standalone_mode=False)
        assert result.exception is error or isinstance(error, KeyboardInterrupt)
        return json.loads(result.stdout)

    return run


def test_a_bug_ends_a_run_with_its_object(cut: Callable[[str, BaseException], Any]) -> None:
    shown = cut("run", RuntimeError("a bug"))

    assert (shown["status"], shown["reason"], shown["exit_code"]) == ("aborted", "internal_error", 4)


@pytest.mark.parametrize("command", ["plan", "status"])
@pytest.mark.parametrize(
    ("error", "word"), [(RuntimeError("a bug"), "internal_error"), (KeyboardInterrupt(), "interrupted")]
)
def test_what_cuts_plan_and_status_short_stands_in_their_object(
    cut: Callable[[str, BaseException], Any], command: str, error: BaseException, word: str
) -> None:
    assert cut(command, error)["error"] == word
