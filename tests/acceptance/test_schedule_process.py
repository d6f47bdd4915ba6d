"""The scheduler as a process: killed, doubled, drained, reloaded, started before its servers.

Crontab's times are minutes, so that most of these replace the trigger; see `schedule_in_seconds`.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.mongo.server import EmbeddedMongo, free_port
from tests.acceptance.harness import Started, World, until

ROOT = Path(__file__).resolve().parents[2]
FAST = (sys.executable, "-m", "tests.acceptance.schedule_in_seconds")
SETTINGS = {
    "PYTHONPATH": str(ROOT),
    "RECONCILE_SCHEDULE_DIGEST": "off",
    "RECONCILE_SCHEDULE_DRIFT": "off",
    "RECONCILE_SCHEDULE_PRUNE": "off",
    "RECONCILE_AMBIGUOUS_HOLD": "0.2s",
    "RECONCILE_BACKOFF_BASE": "0s",
}
IN_TROUBLE = "Job could not run; tried again at its next time, and told when it runs again"


@dataclass
class Process:
    """A scheduler that runs, and its log so far."""

    started: Started
    log: Path
    streams: list[Any] = field(default_factory=list)

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log lines, or those of one event."""
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if event in (None, line["event"])]

    def said(self, event: str) -> bool:
        """Whether it has been logged."""
        return bool(self.lines(event))

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.started.signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, *, timeout: float = 30) -> int:
        """Ask it to end; its exit code. What it has said is clean."""
        self.send(number)
        return self.wait(timeout=timeout)

    def wait(self, *, timeout: float = 30) -> int:
        """Wait for its end; its exit code."""
        done = self.started.wait(timeout=timeout)
        text = self.log.read_text()
        assert "Traceback" not in text, text
        assert "this is a bug" not in text, text
        return done.code


def schedule(world: World, name: str = "schedule", *, fast: bool = True, **env: str | None) -> Process:
    """Start a scheduler; with `fast` its jobs come every half second."""
    log = world.folder / f"{name}.log"
    with log.open("a") as stderr:
        started = world.start(
            *(() if fast else ("schedule",)), command=FAST if fast else (), env=SETTINGS | env, stderr=stderr
        )
    return Process(started, log)


def all_synced(world: World, orders: list[str]) -> bool:
    return all(world.sync(order)["synced"] for order in orders)


def nothing_is_left_open(world: World) -> None:
    assert [row for row in world.attempts() if row["finished_at"] is None] == []
    assert world.audit("SELECT * FROM runs WHERE finished_at IS NULL") == []
    assert world.leases() == []
    assert world.lms.site.duplicates() == {}


def test_killed_in_the_middle_of_a_run_and_started_again(world: World) -> None:
    orders = world.orders(6)
    world.lms.faults.add(Fault(kind="latency", operation="enroll", times=None, delay=30.0))
    first = schedule(world, "first")
    until(lambda: world.enrolls_asked() == 4)
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    # Those in flight, and those that were checked ahead of them.
    assert 4 <= len(world.attempts()) <= 6
    assert {row["outcome"] for row in world.attempts()} == {None}

    world.lms.faults.clear()
    second = schedule(world, "second")
    until(lambda: all_synced(world, orders))
    assert second.end() == 0

    nothing_is_left_open(world)
    assert len(second.lines("Closed runs whose process is gone")) == 1
    statuses = [row["status"] for row in world.audit("SELECT status FROM runs ORDER BY started_at")]
    assert statuses[0] == "crashed"
    assert set(statuses[1:]) <= {"completed", "interrupted"}


def test_two_replicas_and_a_run_by_hand_over_one_backlog(world: World) -> None:
    orders = world.orders(60)
    world.lms.site.switches.race_window = 0.02
    # Slow enough that all three are at it together, on a busy machine too.
    world.lms.faults.add(Fault(kind="latency", operation="enroll", times=None, delay=1.0))
    settings = {"RECONCILE_PAGE_SIZE": "10"}
    audits = [f"sqlite:///{world.folder / name}" for name in ("audit.db", "audit2.db")]

    replicas = [
        schedule(world, f"replica{number}", RECONCILE_AUDIT_URL=audit, **settings)
        for number, audit in enumerate(audits)
    ]
    until(lambda: world.enrolls_asked() >= 4)
    by_hand = world.run("run", "--json", env=SETTINGS | settings)
    until(lambda: all_synced(world, orders), patience=60)
    assert [replica.end() for replica in replicas] == [0, 0]

    assert world.enrolls_asked() == len(orders)
    nothing_is_left_open(world)
    # That they met is visible, on both sides.
    assert by_hand.json["status"] == "completed"
    assert by_hand.json["reasons"]["lease_held"] > 0
    met = [line for each in replicas for line in each.lines("Run completed") if line["reasons"]]
    assert any(line["reasons"].get("lease_held") for line in met)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_the_run(world: World, number: signal.Signals) -> None:
    orders = world.orders(12)
    world.lms.faults.add(Fault(kind="latency", operation="enroll", times=None, delay=2.0))
    process = schedule(world)
    until(lambda: world.enrolls_asked() == 4)
    asked_at = time.monotonic()

    assert process.end(number) == 0

    assert time.monotonic() - asked_at < 15
    assert world.enrolls_asked() == 4
    assert sum(world.sync(order)["synced"] for order in orders) == 4
    assert [row["status"] for row in world.audit("SELECT status FROM runs")] == ["interrupted"]
    assert "finishing what is in flight; once more ends at once" in process.log.read_text()
    assert process.lines()[-1]["event"] == "Scheduler stopped"
    nothing_is_left_open(world)


def test_the_second_signal_ends_at_once(world: World) -> None:
    world.orders(4)
    world.lms.faults.add(Fault(kind="latency", operation="enroll", times=None, delay=60.0))
    process = schedule(world)
    until(lambda: world.enrolls_asked() == 4)
    process.send(signal.SIGTERM)
    until(lambda: "once more ends at once" in process.log.read_text())

    assert process.end(signal.SIGTERM, timeout=5) == -signal.SIGTERM


def test_sighup_changes_the_schedule_and_bad_settings_change_nothing(world: World) -> None:
    order = world.order("sam@example.com")
    dotenv = world.folder / ".env"
    dotenv.write_text("RECONCILE_SCHEDULE=off\n")
    process = schedule(world)
    until(lambda: process.said("Scheduler started"))
    time.sleep(1.5)  # three turns, if it were not off
    assert world.audit("SELECT * FROM runs") == []

    dotenv.write_text("RECONCILE_SCHEDULE=*/10 * * * *\n")
    process.send(signal.SIGHUP)
    until(lambda: world.sync(order)["synced"])
    (reloaded,) = process.lines("Settings reloaded")
    assert reloaded["jobs"]["reconcile_enrollments"] == "*/10 * * * *"

    dotenv.write_text("RECONCILE_SCHEDULE=whenever\n")
    process.send(signal.SIGHUP)
    until(lambda: process.said("Settings were not reloaded; the old ones stay"))
    dotenv.write_bytes(b"\xff\xfe\x00")
    process.send(signal.SIGHUP)
    until(lambda: len(process.lines("Settings were not reloaded; the old ones stay")) == 2)
    later = world.order("pat@example.com")
    until(lambda: world.sync(later)["synced"])

    assert process.end() == 0


def test_the_lms_is_down_at_the_start_and_comes_up(world: World) -> None:
    orders = world.orders(3)
    port = free_port()
    process = schedule(world, FRAPPE_LMS_BASE_URL=f"http://127.0.0.1:{port}")
    until(lambda: len(world.audit("SELECT * FROM runs WHERE status = 'aborted'")) >= 3)
    assert not all_synced(world, orders)

    with FrappeStandIn(world.lms.site, port=port):
        until(lambda: all_synced(world, orders))
        assert process.end() == 0

    loud = [line["event"] for line in process.lines() if line["level"] in ("warning", "error")]
    # Every half second is often: a run may still be at it.
    assert [event for event in loud if "still running" not in event] == ["Run aborted", IN_TROUBLE]
    (over,) = process.lines("Job runs again")
    assert over["tried_in_vain"] >= 3
    # An outage uses up no attempt.
    assert {row["number"] for row in world.attempts()} == {1}


def test_mongodb_is_down_at_the_start_and_comes_up(world: World, tmp_path: Path) -> None:
    server = EmbeddedMongo(directory=tmp_path / "later", port=free_port())
    process = schedule(world, MONGODB_URI=server.uri())
    until(lambda: process.said(IN_TROUBLE))
    (told,) = process.lines(IN_TROUBLE)

    with server:
        until(lambda: process.said("Job runs again"), patience=60)
        assert process.end() == 0

    assert told["reason"] == "mongodb_unavailable"
    assert "MONGODB_URI" in told["hint"]
    assert len(process.lines(IN_TROUBLE)) == 1


def test_an_audit_database_that_goes_away_ends_no_process(world: World) -> None:
    place = world.folder / "audit"
    place.mkdir()
    process = schedule(world, RECONCILE_AUDIT_URL=f"sqlite:///{place / 'audit.db'}")
    first = world.order("sam@example.com")
    until(lambda: world.sync(first)["synced"])

    gone = place.rename(world.folder / "elsewhere")
    until(lambda: process.said(IN_TROUBLE))
    second = world.order("pat@example.com")
    time.sleep(1.0)
    assert not world.sync(second)["synced"], "without an audit nothing may be written"
    gone.rename(place)
    until(lambda: world.sync(second)["synced"])

    assert process.end() == 0
    assert {line["reason"] for line in process.lines(IN_TROUBLE)} == {"audit_unavailable"}
    assert world.lms.site.duplicates() == {}


def test_the_command_itself_starts_reloads_and_ends(world: World) -> None:
    """With crontab's own times: nothing is due while this looks."""
    schedules = {"RECONCILE_SCHEDULE": "0 0 29 2 *", "MONGODB_URI": "mongodb://127.0.0.1:9/shop"}
    process = schedule(world, fast=False, **schedules)
    until(lambda: process.said("Scheduler started"))
    process.send(signal.SIGHUP)
    until(lambda: process.said("Settings reloaded"))

    assert process.end() == 0
    assert [line["event"] for line in process.lines()] == [
        "Scheduler started",
        "Settings reloaded",
        "Scheduler stopped",
    ]


@pytest.mark.slow
def test_the_command_itself_runs_at_the_next_minute(world: World) -> None:
    order = world.order("sam@example.com")
    process = schedule(world, fast=False, RECONCILE_SCHEDULE="* * * * *")

    until(lambda: world.sync(order)["synced"], patience=180)

    assert process.end() == 0
