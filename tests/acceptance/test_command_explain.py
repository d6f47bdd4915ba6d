"""`reconcile explain` answers "I paid and cannot open my course" without another tool."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bson import ObjectId

from reconcile.sandbox.lms_faults import Fault
from tests.acceptance.harness import World


def test_a_learner_without_an_account(world: World) -> None:
    order = world.order("sam@example.com", account=False)
    world.run("run", "--quiet", code=0)

    told = world.run("explain", world.document(order)["paymentId"], code=0)

    assert "ordered python-basics, 49 usd" in told.stdout
    assert "waiting, member_missing" in told.stdout
    assert "The learner has no LMS account" in told.stdout.replace("the learner", "The learner")
    assert "To do: the learner signs up" in told.stdout
    assert "s***@example.com" in told.stdout


def test_each_attempt_is_a_line_and_the_lms_is_asked_now(world: World) -> None:
    order = world.order("sam@example.com")
    other = world.order("kim@example.com")
    world.lms.faults.add(Fault(kind="refuse", operation="enroll", member="sam@example.com", times=None))
    world.run("run", "--quiet")
    world.lms.faults.clear()

    told = world.run("explain", order, "--json", code=0).json["orders"][0]

    assert told["action"] == "defer"
    assert told["reason"] == "backoff"
    assert datetime.fromisoformat(told["until"]) > datetime.now(UTC)
    assert told["lms_now"].startswith("is not enrolled")
    attempts = [event for event in told["timeline"] if event["who"].startswith("run ")]
    assert [("attempt 1" in event["what"], "attempt 2" in event["what"]) for event in attempts] == [
        (True, False),
        (False, True),
    ]
    assert all("lms_rejected" in event["what"] for event in attempts)
    assert told["timeline"] == sorted(told["timeline"], key=lambda event: event["at"])

    given = world.run("explain", other, "--json", code=0).json["orders"][0]
    assert given["synced"] is True
    assert given["lms_now"] == f"is enrolled ({world.enrolled('kim@example.com')[0]})"
    assert given["to_do"] == "nothing"


def test_an_address_finds_every_order_and_the_account_too(world: World) -> None:
    world.order("parent@example.com", lmsContext={"frappeEmail": "child@example.com"})
    world.order("parent@example.com")
    world.order("else@example.com")

    by_buyer = world.run("explain", " Parent@Example.com ", "--json", code=0).json
    by_account = world.run("explain", "child@example.com", "--json", code=0).json
    shown = world.run("explain", "parent@example.com", "--with-emails", code=0, addresses=True)

    assert len(by_buyer["orders"]) == 2
    assert len(by_account["orders"]) == 1
    assert by_buyer["what"] == "P***@Example.com"
    assert "parent@example.com" in shown.stdout


def test_the_shops_own_retry_job_is_told(world: World) -> None:
    order = world.order("sam@example.com")
    due = datetime.now(UTC) + timedelta(hours=1)
    job = {"jobType": "frappe_enrollment", "enrollmentId": ObjectId(order), "attempts": 2, "nextRetryAt": due}
    world.database.retryjobs.insert_one(job | {"status": "pending", "lastError": "502 for sam@example.com"})

    told = world.run("explain", order, code=0)

    assert "the shop's own retry job is due: pending, 2 attempts, 502" in told.stdout


def test_an_lms_that_is_down_is_part_of_the_answer(world: World) -> None:
    order = world.order("sam@example.com")

    told = world.run("explain", order, env={"FRAPPE_LMS_BASE_URL": "http://127.0.0.1:1"}, code=0)

    assert "could not be looked up" in told.stdout
    assert "reconcile diagnose" in told.stdout


def test_an_order_that_cannot_be_sent_and_one_that_is_left_alone(world: World) -> None:
    broken = world.order("sam@example.com", courseId="No Slug!")
    ignored = world.order("kim@example.com")
    world.run("ignore", ignored, "--until", "7d", "--because", "refund", code=0)

    assert "correct it in the order" in world.run("explain", broken, code=0).stdout
    told = world.run("explain", ignored, code=0).stdout
    assert "asked to ignore until" in told
    assert "reconcile ignore --list" in told


def test_nothing_found_says_where_to_look(world: World) -> None:
    told = world.run("explain", "pi_never_heard_of", code=1)

    assert "payment provider" in told.stdout
    assert world.run("explain", "pi_never_heard_of", "--json", code=1).json["orders"] == []


def test_explaining_writes_nothing(world: World) -> None:
    order = world.order("sam@example.com")
    before, lms, audit = world.dump(), world.lms_state(), world.audit_file.read_bytes()

    world.run("explain", order, code=0)

    assert (world.dump(), world.lms_state(), world.audit_file.read_bytes()) == (before, lms, audit)
