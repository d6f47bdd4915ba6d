"""Several processes at once: readers while a run writes, and two runs over the same orders."""

from __future__ import annotations

import json
import signal

from tests.acceptance.harness import World, by, until


def test_reports_are_read_while_a_run_writes(world: World) -> None:
    world.orders(80)

    # A run that goes on for as long as the readers need.
    run = world.start("run", "--json", env={"RECONCILE_RATE": "2"})
    until(lambda: world.enrolls_asked() >= 2)
    readers = [
        world.start("status", "--json"),
        world.start("report", "--view", "attempts", "--format", "json"),
    ]
    status, attempts = (reader.wait() for reader in readers)
    assert run.process.poll() is None, "the run was over before it was looked at"
    run.signal(signal.SIGTERM)
    done = run.wait()

    assert (status.code, attempts.code) == (0, 0)
    assert status.json["last_run"]["status"] == "running"
    assert json.loads(attempts.stdout)["rows"]
    assert done.code == 130
    assert done.json["outcomes"]["enrolled"] == world.enrolls_asked()
    assert {row["outcome"] for row in world.attempts()} == {"enrolled"}


def test_two_runs_at_once_enroll_everybody_once(world: World) -> None:
    orders = world.orders(60)
    world.lms.site.switches.change({"race_window": 0.05})
    settings = {"RECONCILE_PAGE_SIZE": "10"}

    runs = [world.start("run", "--json", env=settings) for _ in range(2)]
    first, second = (run.wait() for run in runs)

    assert (first.code, second.code) == (0, 0), (first, second)
    assert world.lms.site.duplicates() == {}
    assert world.enrolls_asked() == 60
    assert first.json["outcomes"]["enrolled"] + second.json["outcomes"]["enrolled"] == 60
    attempts = by(world.attempts(), "enrollment_id")
    for order in orders:
        document = world.document(order)
        (name,) = world.enrolled(document["email"])
        assert document["frappeSync"]["enrollmentId"] == name
        assert [row["outcome"] for row in attempts[order]].count("enrolled") == 1
    assert world.leases() == []


def test_two_first_runs_at_once_share_a_new_audit_database(bare: World) -> None:
    """Both make the schema; neither stumbles over the other."""
    bare.lms.site.add_user("old@example.com")
    orders = bare.orders(6)
    bare.lms.site.enroll("old@example.com", "python-basics")

    runs = [bare.start("run", "--json", env={"RECONCILE_PAGE_SIZE": "2"}) for _ in range(2)]
    ends = [run.wait() for run in runs]

    assert [end.code for end in ends] == [0, 0], ends
    assert all(bare.sync(order)["synced"] for order in orders)
    assert bare.lms.site.duplicates() == {}
    assert len(bare.audit("SELECT * FROM runs")) == 2
