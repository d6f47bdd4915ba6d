"""`reconcile retry` and `reconcile ignore`: what people ask for by hand, and who asked."""

from __future__ import annotations

import os
import pty
import subprocess

from tests.acceptance.harness import World, program

SPENT = {"synced": False, "syncStatus": "failed", "retryCount": 5, "errorMessage": "500"}


def test_retry_without_a_scope_is_refused(world: World) -> None:
    world.order("sam@example.com", frappeSync=SPENT)

    assert "--all" in world.run("retry", code=2).stderr
    assert "goes alone" in world.run("retry", "--all", "--course", "python-basics", code=2).stderr
    assert world.enrolls_asked() == 0


def test_a_script_has_answered_by_calling_it_and_is_told_what_is_done(world: World) -> None:
    order = world.order("sam@example.com", frappeSync=SPENT)

    done = world.run("retry", order, code=0)

    assert "What it would do: 1 enroll" in done.stderr
    assert world.sync(order)["synced"]


def test_retry_tries_whatever_the_attempts_and_the_age_and_records_who_asked(world: World) -> None:
    spent = world.order("sam@example.com", frappeSync=SPENT)
    other = world.order("kim@example.com", frappeSync=SPENT)

    done = world.run("retry", spent, "--yes", "--json", code=0)

    assert done.json["outcomes"]["enrolled"] == 1
    assert world.sync(spent)["synced"]
    assert not world.sync(other)["synced"]
    (asked,) = world.audit("SELECT * FROM interventions")
    assert (asked["kind"], asked["enrollment_id"]) == ("retry", spent)
    assert " on " in asked["who"]


def test_retry_by_reason_and_course(world: World) -> None:
    spent = world.order("sam@example.com", frappeSync=SPENT)
    fresh = world.order("kim@example.com")
    world.lms.site.add_course("sql-for-reporting")
    elsewhere = world.order("ann@example.com", course="sql-for-reporting", frappeSync=SPENT)
    for order in (spent, elsewhere):
        world.visited(order)

    world.run("retry", "--reason", "exhausted", "--course", "python-basics", "--yes", code=0)

    assert world.sync(spent)["synced"]
    assert not world.sync(fresh)["synced"]
    assert not world.sync(elsewhere)["synced"]
    (asked,) = world.audit("SELECT * FROM interventions")
    assert "--reason exhausted --course python-basics (1 orders)" in asked["scope"]

    world.run("retry", "--all", "--yes", code=0)
    assert world.sync(elsewhere)["synced"]


def test_retry_of_nothing_is_nothing(world: World) -> None:
    done = world.run("retry", "no-such-order", "--yes", "--json", code=0)

    assert done.json["scanned"] == 0
    assert world.audit("SELECT * FROM interventions") == []


def test_at_a_terminal_retry_asks_a_person(world: World) -> None:
    order = world.order("sam@example.com", frappeSync=SPENT)

    assert _answered(world, "n\n", "retry", order) == 0
    assert not world.sync(order)["synced"]
    assert _answered(world, "y\n", "retry", order) == 0
    assert world.sync(order)["synced"]


def _answered(world: World, answer: str, *arguments: str) -> int:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*program(), *arguments],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=world.environment,
        cwd=world.folder,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    try:
        return process.wait(60)
    finally:
        os.close(ours)


def test_an_ignored_order_is_left_alone_also_by_retry_until_it_is_not(world: World) -> None:
    left, other = world.order("sam@example.com"), world.order("kim@example.com")

    world.run(
        "ignore", left, "--until", "30d", "--because", "refund in progress, ask sam@example.com", code=0
    )
    done = world.run("run", "--json", code=0)

    assert done.json["reasons"] == {"ignored": 1}
    assert world.sync(other)["synced"]
    listed = world.run("ignore", "--list", code=0)
    assert left in listed.stdout
    assert "refund in progress" in listed.stdout
    (row,) = world.run("ignore", "--list", "--json", code=0).json["ignored"]
    assert row["enrollment_id"] == left
    assert world.run("retry", left, "--yes", "--json", code=0).json["reasons"] == {"ignored": 1}

    world.run("ignore", left, "--remove", code=0)
    assert world.run("ignore", "--list", code=0).stdout == "Nothing is ignored.\n"
    assert world.run("run", "--json", code=0).json["outcomes"]["enrolled"] == 1


def test_ignoring_needs_an_end_in_the_future_and_a_reason(world: World) -> None:
    order = world.order("sam@example.com")

    assert "--because" in world.run("ignore", order, "--until", "30d", code=2).stderr
    assert "--until" in world.run("ignore", order, "--because", "x", code=2).stderr
    past = world.run("ignore", order, "--until", "2020-01-01", "--because", "x", code=2)
    assert "past" in past.stderr
    assert "which order" in world.run("ignore", code=2).stderr
    assert world.audit("SELECT * FROM interventions") == []
