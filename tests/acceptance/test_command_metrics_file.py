"""`reconcile run --metrics-file`: the same numbers for those who use cron, however the run ends."""

from __future__ import annotations

import signal
import stat
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.mongo.server import free_port
from tests.acceptance.harness import SECRETS, World, until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "collector"
    folder.mkdir()
    return folder / "reconcile.prom"


def samples(file: Path) -> dict[tuple[str, ...], float]:
    """Name and label values, in the labels' order."""
    text = file.read_text()
    assert not [secret for secret in SECRETS if secret in text]
    assert "@" not in text
    return {
        (sample.name.removeprefix("reconcile_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def runs(file: Path) -> dict[str, float]:
    """Runs by status, without what is 0."""
    return {key[1]: value for key, value in samples(file).items() if key[0] == "runs_total" and value}


def test_the_file_adds_up_what_the_runs_say(seeded: World, file: Path) -> None:
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    requests = 0
    for _ in range(3):
        said = seeded.run("run", "--json", "--quiet", "--metrics-file", str(file), code=1).json
        outcomes.update(said["outcomes"])
        reasons.update(said["reasons"])
        requests += said["lms_requests"]

    found = samples(file)
    verdicts = {key: value for key, value in found.items() if key[0] == "enrollments_total"}
    for outcome, count in outcomes.items():
        assert sum(value for key, value in verdicts.items() if key[1] == outcome) == count
    for reason, count in reasons.items():
        assert sum(value for key, value in verdicts.items() if key[2] == reason) == count
    asked = [value for key, value in found.items() if key[0] == "lms_request_duration_seconds_count"]
    assert sum(asked) == requests
    assert runs(file) == {"completed": 3} == {row[0]: row[1] for row in _sql(seeded)}
    given = seeded.audit("SELECT count(*) FROM attempts WHERE outcome IN ('enrolled', 'recovered')")[0][0]
    assert found["paid_to_access_seconds_count",] == given == outcomes["enrolled"] + outcomes["recovered"]
    status = seeded.run("status", "--json", code=0).json
    assert {word: found["backlog", word] for word in status["backlog"]} == status["backlog"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(file.parent.iterdir()) == [file]


def _sql(world: World) -> list[tuple[str, int]]:
    return [tuple(row) for row in world.audit("SELECT status, count(*) FROM runs GROUP BY status")]


def test_a_run_that_aborts(world: World, file: Path) -> None:
    world.orders(3)
    world.run("run", "--quiet", "--metrics-file", str(file), code=0)
    success = samples(file)["last_success_timestamp_seconds",]
    world.orders(2)
    down = {"FRAPPE_LMS_BASE_URL": f"http://127.0.0.1:{free_port()}"}
    world.run("run", "--quiet", "--metrics-file", str(file), env=down, code=75)

    found = samples(file)
    assert runs(file) == {"completed": 1, "aborted": 1}
    assert found["backlog", "pending"] == 2
    assert found["last_success_timestamp_seconds",] == success > 0
    assert found["lms_request_duration_seconds_count", "ping", "none"] > 0


def test_a_run_without_mongodb_keeps_the_backlog_that_was_known(world: World, file: Path) -> None:
    world.orders(2, course="No Slug")
    world.run("run", "--quiet", "--metrics-file", str(file), code=1)
    gone = {"MONGODB_URI": f"mongodb://127.0.0.1:{free_port()}/shop"}
    world.run("run", "--quiet", "--metrics-file", str(file), env=gone, code=75)

    assert runs(file) == {"completed": 1, "aborted": 1}
    assert samples(file)["backlog", "failed"] == 2


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"MONGODB_URI": None}, 2),
        ({"RECONCILE_TIMEOUT": "soon"}, 2),
        ({"RECONCILE_AUDIT_URL": "sqlite:////nowhere/at/all/audit.db"}, 4),
    ],
)
def test_a_run_that_cannot_begin(
    settings: dict[str, str | None], code: int, world: World, file: Path
) -> None:
    for _ in range(2):
        done = world.run("run", "--json", "--metrics-file", str(file), env=settings, code=code)
        assert done.json["status"] == "aborted"

    assert runs(file) == {"aborted": 2}
    assert samples(file)["last_success_timestamp_seconds",] == 0


def test_a_run_that_is_interrupted(world: World, file: Path) -> None:
    world.orders(20)
    world.lms.faults.add(Fault(kind="latency", operation="enroll", times=None, delay=1.0))
    started = world.start("run", "--quiet", "--metrics-file", str(file))
    until(world.enrolls_asked)
    started.signal(signal.SIGTERM)
    assert started.wait().code == 130

    assert runs(file) == {"interrupted": 1}
    given = world.audit("SELECT count(*) FROM attempts WHERE outcome = 'enrolled'")[0][0]
    assert samples(file)["enrollments_total", "enrolled", "none"] == given > 0


@pytest.mark.parametrize("place", ["missing/reconcile.prom", "collector/reconcile.prom/below"])
def test_a_file_that_cannot_be_written_keeps_nobody_from_their_access(
    place: str, world: World, file: Path, tmp_path: Path
) -> None:
    file.write_text("")
    world.order("sam@example.com")
    done = world.run("run", "--quiet", "--metrics-file", str(tmp_path / place), code=0)

    assert "the metrics were not written to" in done.said
    assert "The run is not affected" in done.said
    assert world.enrolled("sam@example.com")


def test_a_dry_run_is_not_counted(world: World, file: Path) -> None:
    done = world.run("run", "--dry-run", "--metrics-file", str(file), code=2)

    assert "a dry run is none" in done.said
    assert not file.exists()


@pytest.mark.parametrize("folder", ["missing", "there"])
def test_somebody_elses_prometheus_setting_changes_nothing(
    world: World, file: Path, tmp_path: Path, folder: str
) -> None:
    """It makes the library keep numbers in files, which a later process with the same number would find."""
    (tmp_path / "there").mkdir()
    settings = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / folder)}
    world.order("sam@example.com")

    for _ in range(2):
        done = world.run("run", "--json", "--metrics-file", str(file), env=settings, code=0)
        assert done.json["status"] == "completed"

    assert runs(file) == {"completed": 2}
    assert list((tmp_path / "there").iterdir()) == []
