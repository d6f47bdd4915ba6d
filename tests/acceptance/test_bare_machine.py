"""A machine that has Python and nothing else: no time zone database, as on a slim Debian."""

from __future__ import annotations

import subprocess
import sys

from tests.acceptance.harness import World

#: Python looks nowhere on the system for time zones.
NO_TIME_ZONES = {"PYTHONTZPATH": ""}


def test_the_schedule_knows_its_time_zone(bare: World) -> None:
    for zone in ("UTC", "Europe/Berlin"):
        done = bare.run("schedule", "--list", env=NO_TIME_ZONES | {"RECONCILE_TIMEZONE": zone}, code=0)

        assert "reconcile_enrollments" in done.stdout


def test_the_stand_in_knows_its_own(bare: World) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import reconcile.sandbox.lms.site"],
        env=bare.environment | NO_TIME_ZONES,
        cwd=bare.folder,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
