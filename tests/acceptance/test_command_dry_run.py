"""Looking without touching: `plan` and `run --dry-run`."""

from __future__ import annotations

import json

from reconcile.domain.identity import normalise_email
from reconcile.sandbox.shop.seed import CONFIRMABLE, COVERED, ENROLLABLE
from tests.acceptance.harness import Done, World, by

ACTIONS = {"confirm", "enroll", "wait", "defer", "give_up", "skip"}


def test_looking_writes_nothing_anywhere(seeded: World) -> None:
    documents, lms = seeded.dump(), seeded.lms_state()
    files = sorted(seeded.folder.iterdir())
    assert seeded.shop is not None

    dry, plan = seeded.start("run", "--dry-run", "--json"), seeded.start("plan", "--json")
    table, status = seeded.start("plan"), seeded.start("status", "--json")
    ran, planned, shown, told = dry.wait(), plan.wait(), table.wait(), status.wait()

    assert seeded.dump() == documents
    assert seeded.lms_state() == lms
    assert sorted(seeded.folder.iterdir()) == files
    assert seeded.enrolls_asked() == 0
    assert (ran.code, planned.code, shown.code, told.code) == (1, 3, 3, 0)
    assert (ran.json["mode"], ran.json["status"]) == ("dry-run", "completed")
    assert ran.json["outcomes"]["enrolled"] == len(seeded.shop.expected[ENROLLABLE])
    assert ran.logged == [], "a rehearsal must not say that anybody was enrolled"
    assert told.json["last_run"] is None
    check_plan(seeded, planned)
    for row in planned.json["actions"]:
        (line,) = [line for line in shown.stdout.splitlines() if row["enrollment_id"] in line]
        assert row["action"] in line


def check_plan(seeded: World, done: Done) -> None:
    """Every order that needs anything is named, with its reason, and no other."""
    assert seeded.shop is not None
    expected = seeded.shop.expected
    assert set(done.json) == {"actions", "counts"}
    assert set(done.json["counts"]) == ACTIONS
    rows = by(done.json["actions"], "enrollment_id")
    assert all(len(found) == 1 for found in rows.values())
    for row in done.json["actions"]:
        assert set(row) == {"enrollment_id", "payment_id", "email", "course", "action", "reason"}
    assert rows.keys() >= set(expected[ENROLLABLE]) | set(expected[COVERED]) | set(expected[CONFIRMABLE])
    assert not rows.keys() & {
        order for heading in ("unpaid", "unmarked", "being_marked", "synced") for order in expected[heading]
    }
    for heading, action, reason in (
        (ENROLLABLE, "enroll", None),
        (COVERED, "enroll", None),
        (CONFIRMABLE, "confirm", None),
        ("no_account", "wait", "member_missing"),
        ("disabled_account", "wait", "member_disabled"),
        ("course_renamed", "wait", "course_missing"),
        ("course_unpublished", "wait", "course_unpublished"),
        ("invalid_email", "give_up", "invalid_email"),
        ("invalid_course", "give_up", "invalid_course"),
        ("malformed", "give_up", "malformed"),
        ("too_new", "skip", "too_new"),
        ("just_paid", "skip", "too_new"),
        ("unanswered_try", "skip", "too_new"),
        ("job_active", "skip", "retry_job_active"),
    ):
        for order in expected[heading]:
            (row,) = rows[order]
            assert (row["action"], row["reason"]) == (action, reason), (heading, row)
    assert done.json["counts"] == {
        action: sum(row["action"] == action for row in done.json["actions"]) for action in ACTIONS
    }


def test_the_plan_is_empty_after_the_run(world: World) -> None:
    world.orders(3)

    before = world.run("plan", "--json", code=3)
    world.run("run", "--quiet", code=0)
    after = world.run("plan", "--json", code=0)

    assert [row["action"] for row in before.json["actions"]] == ["enroll"] * 3
    assert after.json == {"actions": [], "counts": dict.fromkeys(ACTIONS, 0)}
    assert "Nothing to do" in world.run("plan", code=0).stdout


def test_addresses_are_shown_in_full_only_when_asked_for(world: World) -> None:
    world.order("Sam.Smith@example.com")

    masked = world.run("plan", "--json")
    shown = world.run("plan", "--json", "--with-emails", addresses=True)

    assert [row["email"] for row in masked.json["actions"]] == ["s***@example.com"]
    assert [row["email"] for row in shown.json["actions"]] == [normalise_email("Sam.Smith@example.com")]


def test_the_plan_knows_the_selection(world: World) -> None:
    first, second, _ = world.orders(3)

    done = world.run("plan", "--json", "--enrollment", first, "--enrollment", second, code=3)

    assert {row["enrollment_id"] for row in done.json["actions"]} == {first, second}
    assert json.loads(done.stdout)["counts"]["enroll"] == 2


def test_a_selection_that_finds_nothing_says_so(world: World) -> None:
    order = world.order("sam@example.com")
    world.run("run", code=0)

    planned = world.run("plan", "--enrollment", order, code=0)
    ran = world.run("run", "--email", "nobody@example.com", code=0)

    assert "Nothing to do: no order that is paid and not synced matches." in planned.stdout
    assert "no order that is paid and not synced matches" in ran.said
    assert "every paid order is synced" in world.run("plan", code=0).stdout
