"""The installed command tells people and pings whoever watches, from one process to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bson import ObjectId

from tests.acceptance.harness import World
from tests.acceptance.undone import ago, retry_job, unmarked_order
from tests.fakes.receiver import Receiver, closed_port

TOKEN = "t0ken-that-nobody-may-see"


@pytest.fixture
def alerts(world: World) -> Iterator[Receiver]:
    with Receiver() as receiver:
        world.environment["RECONCILE_ALERT_URLS"] = f"json://127.0.0.1:{receiver.port}/{TOKEN}"
        yield receiver


@pytest.fixture
def pings(world: World) -> Iterator[Receiver]:
    with Receiver() as receiver:
        world.environment["RECONCILE_PING_URL"] = f"http://127.0.0.1:{receiver.port}/{TOKEN}"
        yield receiver


def test_a_run_alerts_and_pings_and_the_next_process_does_not_repeat_it(
    world: World, alerts: Receiver, pings: Receiver
) -> None:
    world.lms.site.add_course("old-course", published=0)
    world.orders(12, course="old-course")

    runs = [world.run("run", code=0) for _ in range(2)]
    published = world.lms.site.course("old-course")
    assert published is not None
    published["published"] = 1
    runs += [world.run("run", "--quiet", code=0) for _ in range(2)]

    assert [title.removeprefix("reconcile: ") for title in alerts.titles] == [
        "12 paid orders for course old-course, which is not published, 588.00 USD",
        "all clear: nobody waits for course old-course any more",
    ]
    assert "reconcile report --view enrollments --reason course_unpublished" in alerts.got[0].message
    assert [(ping.method, ping.path) for ping in pings.got] == [("POST", f"/{TOKEN}")] * 4
    assert "12 waiting" in pings.got[0].body
    assert [line["event"] for line in runs[0].logged if line["event"].startswith("Alert")] == ["Alert sent"]
    for done in runs:
        assert TOKEN not in done.stdout + done.stderr


def test_a_run_that_is_aborted_fails_the_ping_with_its_reason(
    world: World, alerts: Receiver, pings: Receiver
) -> None:
    world.run("run", code=2, env={"FRAPPE_LMS_API_KEY": "key:wr0ng-s3cret"})

    (ping,) = pings.got
    assert ping.path == f"/{TOKEN}/fail"
    assert ping.body.startswith("aborted: unauthorized\n")
    assert "wr0ng" not in ping.body
    assert alerts.titles == ["reconcile: runs are aborted, unauthorized"]


def test_a_run_that_cannot_begin_fails_the_ping(world: World, pings: Receiver) -> None:
    world.run("run", code=4, env={"RECONCILE_AUDIT_URL": "sqlite:////nowhere/audit.db"})

    (ping,) = pings.got
    assert ping.path == f"/{TOKEN}/fail"
    assert ping.body.startswith("aborted: audit_unavailable\n")


@pytest.mark.parametrize("command", [("plan",), ("status",), ("run", "--dry-run")])
def test_looking_tells_nobody(
    world: World, alerts: Receiver, pings: Receiver, command: tuple[str, ...]
) -> None:
    world.orders(3, course="no-such-course")

    world.run(*command)

    assert alerts.got == []
    assert pings.got == []


def test_nobody_who_listens_is_no_reason_to_fail(world: World) -> None:
    world.orders(1)
    nobody = closed_port()

    done = world.run(
        "run",
        code=0,
        env={
            "RECONCILE_ALERT_URLS": f"json://127.0.0.1:{nobody}/{TOKEN}",
            "RECONCILE_PING_URL": f"http://127.0.0.1:{nobody}/{TOKEN}",
        },
    )

    assert "The ping was not taken" in {line["event"] for line in done.logged}
    assert TOKEN not in done.stderr


def test_wrong_addresses_are_all_named_and_none_is_shown(world: World) -> None:
    wrong = {"RECONCILE_ALERT_URLS": f"{TOKEN}, slack://", "RECONCILE_PING_URL": f"http://h.example/{TOKEN}"}

    done = world.run("run", code=2, env=wrong)

    assert "RECONCILE_ALERT_URLS: the 1st is no URL" in done.said
    assert "RECONCILE_PING_URL: must be https://" in done.said
    assert TOKEN not in done.stderr

    done = world.run("run", code=2, env={"RECONCILE_ALERT_URLS": f"json://h/x slak://{TOKEN}"})

    assert "Apprise cannot use URL number 2 (slak://…)" in done.said
    assert TOKEN not in done.stderr


def test_the_scheduler_alerts_as_well(world: World, alerts: Receiver, pings: Receiver) -> None:
    world.orders(2, course="no-such-course")

    for _ in range(2):
        world.run("schedule", "--once", "reconcile_enrollments", code=0)

    assert alerts.titles == [
        "reconcile: 2 paid orders for course no-such-course, which the LMS does not have, 98.00 USD"
    ]
    assert len(pings.got) == 2


def test_what_the_shop_leaves_undone_is_told_and_cleared(world: World, alerts: Receiver) -> None:
    order = unmarked_order(world, "kim@example.com", amount=199)
    job = retry_job(world, order, "kim@example.com", due=ago(hours=9))

    world.run("run", "--quiet", code=0)
    worker, unmarked = alerts.got

    assert worker.title == "reconcile: the shop's own worker does not run, 1 job overdue"
    assert "The shop's own worker has not run since" in worker.message
    assert unmarked.title == (
        "reconcile: 1 order paid at Stripe and never marked as paid in the shop, 199.00 USD"
    )
    assert f"{order}  k***@example.com  python-basics  paid {ago(hours=2):%Y-%m-%d}" in unmarked.message
    assert "Look the payment up in Stripe" in unmarked.message
    assert world.enrolls_asked() == 0, "never enrolled by itself"

    changed = {"$set": {"status": "paid", "paymentId": "pi_1"}}
    world.database.enrollments.update_one({"_id": ObjectId(order)}, changed)
    world.database.retry_jobs.update_one({"_id": ObjectId(job)}, {"$set": {"status": "completed"}})
    world.run("run", "--quiet")
    assert len(world.enrolled("kim@example.com")) == 1
    assert [title.removeprefix("reconcile: ") for title in alerts.titles[2:]] == [
        "all clear: the shop's own worker runs again, or nothing is due",
        "all clear: every order that was paid at Stripe is marked as paid",
    ]
