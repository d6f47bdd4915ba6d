"""`reconcile explain` answers "I paid and cannot open my course" without another tool."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bson import ObjectId

from reconcile.sandbox.lms.faults import Fault
from tests.acceptance.harness import World
from tests.acceptance.undone import ago, retry_job, unmarked_order


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
    assert [("write 1" in event["what"], "write 2" in event["what"]) for event in attempts] == [
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


def test_both_sides_tries_and_who_was_at_it_last(world: World) -> None:
    given_up = {"synced": False, "syncStatus": "failed", "retryCount": 5, "lastSyncAttempt": ago(hours=8)}
    order = world.order(
        "sam@example.com", frappeSync=given_up | {"errorMessage": "FrappeLMS API returned 417: no"}
    )
    before = world.run("explain", order, code=0).stdout
    world.lms.faults.add(Fault(kind="refuse", operation="enroll", member="sam@example.com", times=None))
    world.run("run", "--quiet")
    world.lms.faults.clear()

    told = world.run("explain", order, "--json", code=0).json["orders"][0]
    after = world.run("explain", order, code=0).stdout

    assert "Tries: 0 visits of ours, 5 by the shop." in before
    assert "shop: last synced: failed, retryCount 5" in before
    assert (told["visits"], told["shop_tries"]) == (1, 5), "two writes are one visit"
    assert "Tries: 1 visit of ours, 5 by the shop." in after
    assert "reconcile: last synced: " in after
    assert "shop: last synced" not in after


def test_the_checkout_and_the_payment_are_two_events(world: World) -> None:
    opened = ago(hours=9)
    event = {"eventType": "checkout.session.completed", "processedAt": ago(hours=5), "status": "processed"}
    paid = world.order("sam@example.com", timestamp=opened.isoformat(), stripeEvents=[event])
    untold = world.order("kim@example.com")

    told = world.run("explain", paid, "--json", code=0).json["orders"][0]

    assert [(row["at"], row["what"]) for row in told["timeline"]] == [
        (told["ordered_at"], "ordered python-basics, 49 usd"),
        (told["paid_at"], "paid, by Stripe's event"),
    ]
    assert told["ordered_at"] == opened.isoformat()
    assert "paid, by Stripe's event" not in world.run("explain", untold, code=0).stdout


def test_another_address_that_the_shop_has_sent_is_asked_about_too(world: World) -> None:
    order = world.order("sam@example.com")
    world.lms.site.add_user("work@example.com")
    world.lms.site.enroll("work@example.com", "python-basics")
    job = retry_job(world, order, "Work@Example.com", due=ago(minutes=-20))

    machine = world.run("explain", job, "--json", code=0).json["orders"][0]
    people = world.run("explain", job, code=0).stdout
    in_full = world.run("explain", job, "--with-emails", code=0, addresses=True).stdout

    (name,) = world.enrolled("work@example.com")
    assert machine["lms_now"] == (
        f"is enrolled ({name}) as w***@example.com, the address that the shop itself has sent"
    )
    assert machine["sent_as"] == [{"email": "w***@example.com", "lms_now": f"is enrolled ({name})"}]
    assert machine["action"] == "confirm", "a run says the same"
    assert (
        f"The shop itself has sent w***@example.com to the LMS: the learner is enrolled ({name})." in people
    )
    assert "The shop itself has sent work@example.com" in in_full


def test_another_address_that_is_not_in_the_course_is_told_as_well(world: World) -> None:
    order = world.order("sam@example.com")
    retry_job(world, order, "work@example.com", due=ago(minutes=-20))

    people = world.run("explain", order, code=0).stdout

    assert "LMS now: the learner is not enrolled; account and course are there." in people
    assert "sent w***@example.com to the LMS: the learner has no LMS account with this address." in people


def test_where_the_account_was_found_is_told(world: World) -> None:
    made_up = world.order("temp_1764240000000@placeholder.com", account=False)
    retry_job(world, made_up, "sam@example.com", due=ago(minutes=-20))
    other = world.order("parent@example.com", lmsContext={"frappeEmail": "child@example.com"})

    told = world.run("explain", made_up, "--json", code=0).json["orders"][0]

    assert (told["account"], told["account_from"]) == ("s***@example.com", "the shop's retry job")
    assert told["sent_as"] == []
    assert "The LMS account is s***@example.com, from the shop's retry job." in (
        world.run("explain", made_up, code=0).stdout
    )
    assert "The LMS account is c***@example.com, from lmsContext.frappeEmail." in (
        world.run("explain", other, code=0).stdout
    )


def test_an_order_that_was_paid_and_never_marked(world: World) -> None:
    order = unmarked_order(world, "kim@example.com")
    abandoned = world.order("sam@example.com", status="pending", paymentId="STRIPE_cs_test_2")

    people = world.run("explain", world.document(order)["paymentId"].removeprefix("STRIPE_"), code=0).stdout
    told = world.run("explain", order, "--json", code=0).json["orders"][0]
    nobody = world.run("explain", abandoned, "--json", code=0).json["orders"][0]

    assert "somebody has paid at Stripe, and the shop never marked the order as paid" in people
    assert "To do: Look the payment up in Stripe." in people
    assert (told["unmarked"], told["action"], told["paid"]) == (True, "skip", False)
    assert (nobody["unmarked"], nobody["to_do"]) == (False, "nothing")
