"""`demo` and `sandbox`: all is embedded, nothing is left behind, nothing of the user's is touched or read."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.harness import children, is_alive, program, until


def _started(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """A sandbox that listens, and the settings that it has printed."""
    (folder / "tmp").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [*program(), "sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=_environment(folder),
    )
    assert process.stdout is not None
    words = [shlex.split(process.stdout.readline()) for _ in range(4)]
    assert [word[0] for word in words] == ["export"] * 4
    return process, dict(word[1].split("=", 1) for word in words)


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "TMPDIR": str(folder / "tmp")}


def _command(folder: Path, settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program(), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=_environment(folder) | settings,
        timeout=60,
    )


def test_the_export_lines_work_and_sigterm_leaves_nothing_behind(tmp_path: Path) -> None:
    sandbox, settings = _started(tmp_path)
    daemons = children(sandbox.pid)

    planned = _command(tmp_path, settings, "plan", "--json")
    sandbox.send_signal(signal.SIGTERM)
    _, stderr = sandbox.communicate(timeout=30)

    assert planned.returncode == 3, planned
    assert sandbox.returncode == 0
    assert len(daemons) == 1
    assert not any(map(is_alive, daemons))
    assert list((tmp_path / "tmp").iterdir()) == []
    assert "Traceback" not in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_empty_sandbox_leaves_no_process_however_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    sandbox, settings = _started(tmp_path, "--empty")
    (daemon,) = children(sandbox.pid)
    if number is signal.SIGINT:
        assert _command(tmp_path, settings, "plan").returncode == 0

    sandbox.send_signal(number)
    sandbox.communicate(timeout=30)

    until(lambda: not is_alive(daemon))
    if number is signal.SIGINT:
        assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("settings", [{"PYTHONSAFEPATH": "1"}, {}], ids=["at home", "among other things"])
def test_the_demo_ends_by_itself_whatever_the_user_has_set_and_lying_around(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    (tmp_path / "tmp").mkdir()
    theirs = dict(settings)
    if not settings:
        # What people have in a folder and in their environment: none of the tour's business.
        (tmp_path / "copy.py").write_text("raise SystemExit('this is mine')\n")
        (tmp_path / ".env").write_text("MONGODB_COLLECTION=orders\nRECONCILE_PAGE_SIZE=none\n")
        theirs = {"MONGODB_URI": "mongodb://127.0.0.1:1/mine", "FRAPPE_LMS_API_SECRET": "mine-0000"}

    done = _command(tmp_path, theirs, "demo")

    assert done.returncode == 0, done
    assert "Learners enrolled twice: 0." in done.stdout
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not list(tmp_path.glob("*.db"))


HEAVY = ("pymongo", "requests", "sqlalchemy", "alembic", "pydantic", "rich", "structlog")


@pytest.mark.parametrize("what", ["import reconcile.cli", "from reconcile.cli import cli; cli(['--help'])"])
def test_help_imports_no_library_that_a_command_may_need(what: str, tmp_path: Path) -> None:
    code = f"""
import sys
try:
    {what}
except SystemExit:
    pass
print(sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY!r})), file=sys.stderr)
"""
    python = Path(program()[0]).with_name("python")
    done = subprocess.run([str(python), "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path)

    assert done.stderr.strip() == "[]", done
