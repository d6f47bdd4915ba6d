"""`/readyz`: whether a run could work now, in bounded time and without loading anybody."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.storefront.connect import connect
from tests.acceptance.asking import Schedule
from tests.acceptance.harness import SECRETS, World, until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[World]:
    """A MongoDB that this test may stop, an order that was enrolled, and the audit of that run."""
    folder = tmp_path / "own"
    folder.mkdir()
    with EmbeddedMongo() as mongo, FrappeStandIn(load_site([], [])) as lms:
        database = connect(mongo.uri("shop"), "shop")
        world = World(mongo=mongo, database=database, lms=lms, folder=folder)
        world.order("sam@example.com")
        world.run("run", "--quiet", code=0)
        yield world
        world.clean_up()
        database.client.close()


def test_ready_is_who_reaches_all_three_and_has_run(own: World, schedule: Schedule) -> None:
    asked = schedule(own)
    status, checks = asked.readiness()
    assert (status, set(checks)) == (200, {"scheduler", "mongodb", "lms", "audit", "last_run"})

    # The LMS is gone.
    port = int(own.lms.url.rpartition(":")[2])
    own.lms.stop()
    until(lambda: not asked.readiness()[1]["lms"]["ok"])
    status, checks = asked.readiness()
    assert status == 503
    assert [name for name, check in checks.items() if not check["ok"]] == ["lms"]

    # So is MongoDB; the answer comes in time all the same, and the process itself is well.
    own.mongo.kill()
    until(lambda: not asked.readiness()[1]["mongodb"]["ok"])
    asked_at = time.monotonic()
    until(lambda: "mongodb" in asked.get("/readyz")[1])
    assert time.monotonic() - asked_at < 15
    assert asked.get("/healthz")[0] == 200
    body = asked.get("/readyz")[1]
    assert not [secret for secret in SECRETS if secret in body]
    assert "@" not in body

    # They are back.
    own.mongo.start()
    with FrappeStandIn(own.lms.site, port=port):
        until(lambda: asked.readiness()[0] == 200, patience=60)

        # The last run gets too old: settings are read again.
        (own.folder / ".env").write_text("RECONCILE_READY_AGE=0.1s\n")
        asked.started.signal(signal.SIGHUP)
        until(lambda: not asked.readiness()[1]["last_run"]["ok"])
        assert "RECONCILE_READY_AGE" in asked.readiness()[1]["last_run"]["detail"]

        # The audit is gone.
        own.audit_file.rename(own.folder / "elsewhere.db")
        until(lambda: not asked.readiness()[1]["audit"]["ok"], patience=60)
    assert asked.stop() == 0


def test_an_lms_that_hangs_is_not_waited_for(world: World, schedule: Schedule) -> None:
    world.order("sam@example.com")
    world.run("run", "--quiet", code=0)
    asked = schedule(world)
    assert asked.readiness()[0] == 200
    world.lms.faults.add(Fault(kind="timeout_before", operation="ping", times=None, delay=60.0))

    until(lambda: asked.readiness()[0] == 503, patience=60)
    began = time.monotonic()
    assert asked.readiness()[1]["lms"]["ok"] is False
    assert time.monotonic() - began < 15
    assert asked.get("/metrics")[0] == asked.get("/healthz")[0] == 200


def test_probes_cannot_hammer_the_lms(world: World, schedule: Schedule) -> None:
    world.order("sam@example.com")
    world.run("run", "--quiet", code=0)
    asked = schedule(world)
    before, began = world.lms.counters["ping"], time.monotonic()
    probes = [threading.Thread(target=lambda: [asked.get("/readyz") for _ in range(25)]) for _ in range(4)]
    for probe in probes:
        probe.start()
    for probe in probes:
        probe.join(120)

    assert world.lms.counters["ping"] - before <= 2 + (time.monotonic() - began) / 5
    # They are no requests of a run.
    assert asked.metric("lms_request_duration_seconds_count", operation="ping", status="2xx") == 0
