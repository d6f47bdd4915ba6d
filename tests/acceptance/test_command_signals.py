"""Ctrl-C and SIGTERM in a run: what is in flight is finished and recorded, the rest untouched."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from reconcile.run.leases import IN_FLIGHT
from reconcile.sandbox.lms.faults import Fault
from tests.acceptance.harness import World, until

#: Seconds for one enrollment: long enough for the signal to arrive in the middle.
SLOW = 2.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains_the_run(world: World, number: signal.Signals) -> None:
    orders = world.orders(12)
    before = {order: world.document(order) for order in orders}
    world.lms.faults.add(Fault(kind="latency", operation="enroll", times=None, delay=SLOW))

    started = world.start("run", "--json")
    until(lambda: world.enrolls_asked() == 4)
    started.signal(number)
    done = started.wait()

    assert done.code == 130
    assert (done.json["status"], done.json["exit_code"]) == ("interrupted", 130)
    assert "finishing what is in flight" in done.said
    assert world.enrolls_asked() == 4
    given = [order for order in orders if world.sync(order)["synced"]]
    assert len(given) == done.json["outcomes"]["enrolled"] == 4
    assert [order for order in orders if order not in given and world.document(order) != before[order]] == []
    attempts = [row for row in world.attempts() if not row["never_sent"]]
    assert {row["enrollment_id"] for row in attempts} == set(given)
    assert all(row["finished_at"] for row in world.attempts())
    assert {(row["outcome"], row["finished_at"] is None) for row in attempts} == {("enrolled", False)}
    assert [(row["status"], row["exit_code"]) for row in world.audit("SELECT * FROM runs")] == [
        ("interrupted", 130)
    ]
    assert world.leases() == []

    world.lms.faults.clear()
    rest = world.run("run", "--json", code=0)
    assert rest.json["outcomes"]["enrolled"] == 8
    assert world.lms.site.duplicates() == {}


def test_the_second_signal_ends_at_once_and_the_next_run_finishes_the_story(
    world: World, tmp_path: Path
) -> None:
    orders = world.orders(6)
    world.lms.faults.add(Fault(kind="latency", operation="enroll", times=None, delay=30.0))
    settings = {"RECONCILE_AMBIGUOUS_HOLD": "0.2s"}
    log = tmp_path / "stderr"

    with log.open("w") as stderr:
        started = world.start("run", "--json", env=settings, stderr=stderr)
        until(lambda: world.enrolls_asked() == 4)
        started.signal(signal.SIGINT)
        until(lambda: "once more ends at once" in log.read_text())
        started.signal(signal.SIGINT)
        done = started.wait(timeout=5)

    assert done.code == -signal.SIGINT
    assert done.stdout == ""
    assert [row["outcome"] for row in world.attempts()] == [None] * 6  # two of them not sent yet
    assert len(world.leases()) == 6

    world.lms.faults.clear()
    time.sleep(0.2 + IN_FLIGHT + 0.5)  # they were fenced, too: nobody can tell
    after = world.run("run", "--json", env=settings | {"RECONCILE_BACKOFF_BASE": "0s"}, code=0)

    assert after.json["outcomes"]["enrolled"] == 6
    assert all(world.sync(order)["synced"] for order in orders)
    assert world.lms.site.duplicates() == {}
    assert [row for row in world.attempts() if row["finished_at"] is None] == []
    runs = world.audit("SELECT * FROM runs ORDER BY started_at")
    assert [row["status"] for row in runs] == ["crashed", "completed"]
    assert world.leases() == []


def test_a_run_that_is_waiting_for_its_second_try_ends_soon(world: World) -> None:
    world.orders(2)
    world.lms.faults.add(Fault(kind="500_json", operation="enroll", times=None))

    started = world.start("run", "--json", env={"RECONCILE_RETRY_DELAY": "20s"})
    until(lambda: world.enrolls_asked() == 2)
    started.signal(signal.SIGTERM)
    done = started.wait(timeout=10)

    assert done.code == 130
    assert world.enrolls_asked() == 2
    assert all(row["finished_at"] for row in world.attempts())
    assert world.leases() == []
