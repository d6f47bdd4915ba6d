"""`reconcile schedule` as monitoring sees it: a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import re
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconcile.metrics.measures import VERDICTS
from reconcile.sandbox.lms.faults import Fault
from tests.acceptance.asking import A_RUN, NEVER, Metrics, Schedule
from tests.acceptance.harness import World, until


def test_a_run_is_seen_while_it_goes_and_when_it_is_over(seeded: World, schedule: Schedule) -> None:
    seeded.lms.faults.add(Fault(kind="latency", operation="enroll", times=30, delay=0.2))
    before = seeded.run("status", "--json", code=0).json
    asked = schedule(seeded, RECONCILE_SCHEDULE="* * * * *")

    # Before the first run: what is there, and nothing counted.
    until(lambda: asked.metric("backlog", status="pending") == before["backlog"]["pending"])
    for status, count in before["backlog"].items():
        assert asked.metric("backlog", status=status) == count
    assert asked.metric("unsynced_amount", currency="usd") == before["unsynced_amount"]["usd"]
    assert asked.metric("last_success_timestamp_seconds") == 0
    assert asked.metric("runs_total", status="completed") == 0
    assert asked.readiness()[1]["last_run"]["ok"] is False

    # While it goes: it answers, and the requests are counted as they are made.
    until(
        lambda: asked.metric("lms_request_duration_seconds_count", operation="enroll", status="2xx"),
        patience=A_RUN,
    )
    assert asked.metric("runs_total", status="completed") == 0
    assert asked.get("/healthz")[0] == 200

    # When it is over, log, audit, `status` and metrics tell the same.
    until(lambda: asked.metric("job_events_total", job="reconcile_enrollments", event="done"), patience=A_RUN)
    assert asked.metric("runs_total", status="completed") == 1
    _is_what_the_audit_says(seeded, asked.metrics())
    _is_what_status_says(seeded, asked.metrics())
    assert asked.readiness()[0] == 200
    assert asked.stop() == 0
    assert "Traceback" not in asked.log


def _summed(metrics: Metrics, name: str, label: str) -> dict[str, float]:
    """A metric by one of its labels, without what is 0."""
    found: dict[str, float] = {}
    for (sample, labels), value in metrics.items():
        if sample == f"reconcile_{name}" and value:
            key = dict(labels)[label]
            found[key] = found.get(key, 0) + value
    return found


def _is_what_the_audit_says(world: World, metrics: Metrics) -> None:
    (run,) = world.audit("SELECT * FROM runs")
    (waits,) = world.audit(
        "SELECT count(*) AS n, sum((julianday(finished_at) - julianday(paid_at)) * 86400) AS seconds"
        " FROM attempts WHERE outcome IN ('enrolled', 'recovered')"
    )
    verdicts = {key for key in metrics if key[0] == "reconcile_enrollments_total"}
    assert len(verdicts) == len(VERDICTS), "a verdict that is not in the closed list"
    assert _summed(metrics, "enrollments_total", "outcome") == json.loads(run["outcomes"])
    reasons = _summed(metrics, "enrollments_total", "reason")
    reasons.pop("none")
    assert reasons == json.loads(run["reasons"])
    assert _summed(metrics, "runs_total", "status") == {run["status"]: 1}
    requests = _summed(metrics, "lms_request_duration_seconds_count", "operation")
    assert sum(requests.values()) == run["lms_requests"]
    assert requests["enroll"] == world.enrolls_asked()
    nothing: frozenset[tuple[str, str]] = frozenset()
    assert metrics["reconcile_paid_to_access_seconds_count", nothing] == waits["n"] > 0
    # SQLite's days have a precision of some 50 microseconds.
    assert metrics["reconcile_paid_to_access_seconds_sum", nothing] == pytest.approx(
        waits["seconds"], abs=0.1
    )
    finished = datetime.fromisoformat(run["finished_at"]).replace(tzinfo=UTC)
    started = datetime.fromisoformat(run["started_at"]).replace(tzinfo=UTC)
    assert metrics["reconcile_last_success_timestamp_seconds", nothing] == pytest.approx(finished.timestamp())
    took = (finished - started).total_seconds()
    assert metrics["reconcile_run_duration_seconds_sum", nothing] == pytest.approx(took)


def _is_what_status_says(world: World, metrics: Metrics) -> None:
    status = world.run("status", "--json", code=0).json
    left = {word: count for word, count in status["backlog"].items() if count}
    assert _summed(metrics, "backlog", "status") == left
    assert _summed(metrics, "unsynced_amount", "currency") == status["unsynced_amount"]
    oldest = datetime.fromisoformat(status["oldest_paid_at"])
    age = (datetime.now(UTC) - oldest).total_seconds()
    assert metrics["reconcile_oldest_unsynced_seconds", frozenset()] == pytest.approx(age, abs=60)


def test_alive_is_who_ticks(world: World, schedule: Schedule) -> None:
    """The tick is the scheduler's own doing: its age falls back again and again."""
    asked = schedule(world)

    def age() -> int:
        status, body = asked.get("/healthz")
        found = re.fullmatch(r"ok: last tick (\d+) s ago\n", body)
        assert status == 200
        assert found is not None
        return int(found[1])

    for _ in range(2):
        until(lambda: age() >= 2)
        until(lambda: age() < 2)
    assert asked.get("/healthz", "HEAD") == (200, "")
    assert asked.get("/healthz", "POST")[0] == 405
    assert asked.get("/healthz/")[0] == 404


def test_a_run_that_cannot_begin_is_counted(world: World, schedule: Schedule) -> None:
    """The scheduler goes on without an audit database; metrics and job events say so."""
    nowhere = f"sqlite:///{world.folder}/nowhere/audit.db"
    asked = schedule(world, RECONCILE_SCHEDULE="* * * * *", RECONCILE_AUDIT_URL=nowhere)

    until(
        lambda: asked.metric("job_events_total", job="reconcile_enrollments", event="failed"), patience=A_RUN
    )
    assert asked.metric("runs_total", status="aborted") == 1
    assert asked.metric("last_success_timestamp_seconds") == 0
    assert asked.readiness()[1]["audit"]["ok"] is False
    assert asked.get("/healthz")[0] == 200


def test_an_address_in_use_is_one_clear_error(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = world.run("schedule", env={"RECONCILE_HTTP": f"127.0.0.1:{port}"}, code=2)

    assert f"RECONCILE_HTTP: cannot listen on 127.0.0.1 port {port}" in done.said
    assert "→ Is another scheduler running here?" in done.said
    assert "Scheduler started" not in done.stderr


def test_nobody_listens_unless_asked_to(world: World, tmp_path: Path) -> None:
    with (tmp_path / "schedule.log").open("w") as log:
        world.start("schedule", env={"RECONCILE_SCHEDULE": NEVER}, stderr=log)
        until(lambda: "Scheduler started" in Path(log.name).read_text())

    assert "Listening" not in Path(log.name).read_text()


def test_hanging_clients_do_not_hold_up_the_end(world: World, schedule: Schedule) -> None:
    asked = schedule(world)
    assert asked.address is not None
    hanging = [socket.create_connection(asked.address) for _ in range(5)]
    try:
        for client in hanging:
            client.sendall(b"GET /metr")
        assert asked.get("/metrics")[0] == 200
        began = time.monotonic()
        assert asked.stop() == 0
        assert time.monotonic() - began < 10
    finally:
        for client in hanging:
            client.close()
