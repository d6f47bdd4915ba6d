"""The lines of crontab.example, as cron runs them: /bin/sh, an almost empty environment, paths of our own."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconcile.sandbox.lms.faults import Fault
from tests.acceptance.harness import World, program

ROOT = Path(__file__).resolve().parents[2]


def lines() -> dict[str, str]:
    """The commands by their schedules."""
    found = {}
    for line in (ROOT / "crontab.example").read_text(encoding="utf-8").splitlines():
        if line and line[0] in "*0123456789":
            *fields, command = line.split(None, 5)
            found[" ".join(fields)] = command
    return found


LINES = lines()
OFTEN, NIGHTLY, DIGEST, WEEKLY = LINES


@dataclass(frozen=True)
class Mailed:
    """What cron would mail, and what went into the log."""

    text: str
    log: str


def cron(world: World, schedule: str, **settings: str) -> Mailed:
    """Run a line, its three places moved into the test's folder."""
    places = set_up(world, **settings)
    return run_line(world, schedule, places)


def set_up(world: World, **settings: str) -> dict[str, Path]:
    """The settings, the program and the folder of the log; what the lines call them, and where they are."""
    etc, log, programs = (world.folder / name for name in ("settings", "log", "programs"))
    for folder in (etc, log, programs):
        folder.mkdir(exist_ok=True)
    values = {name: value for name, value in world.environment.items() if name not in ("PATH", "HOME")}
    dotenv = etc / ".env"
    dotenv.write_text("".join(f"{name}='{value}'\n" for name, value in (values | settings).items()))
    dotenv.chmod(0o600)
    script = programs / "reconcile"
    script.write_text('#!/bin/sh\nexec "' + '" "'.join(program()) + '" "$@"\n')
    script.chmod(0o700)
    return {"/opt/reconcile/bin/reconcile": script, "/etc/reconcile": etc, "/var/log/reconcile": log}


def run_line(world: World, schedule: str, places: dict[str, Path]) -> Mailed:
    """As cron does: by /bin/sh, from the home folder, with next to no environment."""
    command = LINES[schedule]
    for place, ours in places.items():
        command = command.replace(place, str(ours))
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"HOME": str(world.folder), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LOGNAME": "reconcile"},
        cwd=world.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )
    written = places["/var/log/reconcile"] / "run.log"
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    return Mailed(text, written.read_text() if written.exists() else "")


def test_there_are_four_lines_and_they_lock_nothing() -> None:
    assert list(LINES) == ["*/5 * * * *", "40 3 * * *", "0 7 * * 1-5", "0 8 * * 1"]
    assert not [command for command in LINES.values() if "flock" in command]


def test_a_day_and_a_week_of_cron(seeded: World) -> None:
    """The lines one after the other, over the sandbox's shop."""
    often = cron(seeded, OFTEN)
    assert often.text == ""
    attempts = seeded.attempts()
    assert any(row["outcome"] == "enrolled" for row in attempts)

    nightly = cron(seeded, NIGHTLY)
    assert "completed: " in nightly.text
    assert "needs a person" in nightly.text
    assert "Run completed" in nightly.log

    digest = cron(seeded, DIGEST)
    assert digest.text.startswith("reconcile: ")
    assert "Needs a person: " in digest.text
    assert "Money paid without access: " in digest.text

    weekly = cron(seeded, WEEKLY)
    assert "malformed" in weekly.text
    assert seeded.lms.site.duplicates() == {}


@pytest.mark.parametrize("schedule", [OFTEN, NIGHTLY, DIGEST])
def test_a_server_that_is_down_is_not_mailed(world: World, schedule: str) -> None:
    mailed = cron(world, schedule, MONGODB_URI="mongodb://127.0.0.1:9/shop")

    assert mailed.text == ""
    assert "MONGODB_URI" in mailed.log


@pytest.mark.parametrize("schedule", [OFTEN, NIGHTLY])
def test_an_lms_that_is_down_is_not_mailed(world: World, schedule: str) -> None:
    world.order("sam@example.com")
    world.lms.faults.add(Fault(kind="503_maintenance", times=None))

    mailed = cron(world, schedule)

    assert mailed.text == ""
    assert "Run aborted" in mailed.log
    assert world.enrolls_asked() == 0


def test_a_wrong_key_is_mailed(world: World) -> None:
    mailed = cron(world, OFTEN, FRAPPE_LMS_API_KEY="key_integration:wr0ng-s3cret")

    assert mailed.text == "reconcile run: exit code 2, see run.log\n"
    assert "FRAPPE_LMS_API_KEY" in mailed.log
    assert "wr0ng-s3cret" not in mailed.log


def test_two_lines_at_once_do_no_harm(world: World) -> None:
    places = set_up(world)
    world.orders(12)
    world.lms.site.switches.race_window = 0.02
    with ThreadPoolExecutor(2) as pool:
        mailed = [*pool.map(lambda _: run_line(world, OFTEN, places).text, range(2))]

    assert mailed == ["", ""]
    assert world.enrolls_asked() == 12
    assert world.lms.site.duplicates() == {}
