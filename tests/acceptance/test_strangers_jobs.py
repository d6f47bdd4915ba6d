"""Somebody else's `jobs`, in the working directory or on PYTHONPATH, takes nothing from the scheduler."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.acceptance.harness import World, program

COMMANDS = {"script": program(), "module": [sys.executable, "-m", "reconcile"]}


@pytest.fixture
def strangers(bare: World) -> Path:
    """A folder with a package `jobs` that must not be imported."""
    folder = bare.folder / "project"
    (folder / "jobs").mkdir(parents=True)
    (folder / "jobs" / "__init__.py").write_text("raise SystemExit('this is not the package you look for')\n")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("where", ["in the working directory", "on PYTHONPATH"])
def test_the_scheduler_finds_its_own_jobs(bare: World, strangers: Path, command: str, where: str) -> None:
    on_path = where == "on PYTHONPATH"
    env = {"PYTHONPATH": str(strangers)} if on_path else {}
    cwd = bare.folder if on_path else strangers

    done = bare.start("schedule", "--list", command=COMMANDS[command], env=env, cwd=cwd).wait()

    assert (done.code, done.stderr) == (0, "")
    assert "reconcile_enrollments" in done.stdout
