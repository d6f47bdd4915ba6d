"""What is told of a shop's troubles: one cause, one message."""

from __future__ import annotations

from datetime import timedelta

from tests.integration.watched import COURSE, Watched

# --- one cause, one message ----------------------------------------------------------------


def test_412_orders_of_one_unpublished_course_are_one_message_with_count_and_money(watched: Watched) -> None:
    watched.orders(412, published=0)

    for _ in range(3):
        watched.run()

    (got,) = watched.alerts.got
    assert got.path == "/t0ken-of-the-alerts"
    assert watched.titles == ["412 paid orders for course old-course, which is not published, 20,188.00 USD"]
    assert "What to do: Publish the course in the LMS" in got.message
    assert "l***@example.com" in got.message
    assert "learner" not in got.message
    assert got.json["type"] == "warning"


def test_the_whole_story_of_a_course(watched: Watched) -> None:
    watched.orders(3, published=0)
    watched.run()
    watched.orders(20)
    watched.run()
    assert len(watched.titles) == 1, "not tenfold yet"

    watched.orders(7)
    watched.run()
    watched.run()
    watched.run(after=24 * 60)
    watched.publish()
    watched.run()
    watched.run()

    assert [title.partition(" for course")[0] for title in watched.titles] == [
        "3 paid orders",
        "grown tenfold: 30 paid orders",
        "still: 30 paid orders",
        "all clear: nobody waits",
    ]
    assert watched.alerts.got[-1].json["type"] == "success"
    assert watched.bench.unsynced() == 0


def test_an_lms_outage_of_an_hour_is_one_alert_and_one_all_clear(watched: Watched) -> None:
    emails = watched.orders(6)
    watched.lms_is(down=True)

    for _ in range(12):
        assert watched.run().summary.reason == "lms_unavailable"
    assert watched.bench.attempts() == [], "no attempt was burned"
    watched.lms_is(down=False)
    for _ in range(3):
        assert int(watched.run().summary.exit_code) == 0

    first, last = watched.alerts.got
    assert first.title == "reconcile: runs are aborted, lms_unavailable, 294.00 USD"
    assert "Paid orders that wait for a run: 6." in first.message
    assert first.json["type"] == "failure"
    assert last.title == "reconcile: all clear: runs succeed again (lms_unavailable)"
    assert "(1 hour)" in last.message
    assert all(len(watched.bench.lms.site.enrollments_of(email, COURSE)) == 1 for email in emails)
    assert watched.bench.unsynced() == 0
    assert [attempt["counted"] for attempt in watched.bench.attempts()] == [1] * 6
    assert [ping.path for ping in watched.pings.got] == ["/uuid/fail?x=y"] * 12 + ["/uuid?x=y"] * 3


def test_learners_without_an_account_are_told_of_after_a_day_with_a_list(watched: Watched) -> None:
    for email in watched.orders(2):
        watched.bench.lms.site.users.pop(email)
    watched.bench.database.enrollments.update_many(
        {}, {"$set": {"timestamp": (watched.clock.now() - timedelta(hours=23)).isoformat()}}
    )

    watched.run()
    assert watched.titles == []
    watched.run(after=60)

    (got,) = watched.alerts.got
    assert watched.titles == ["2 paid orders without an LMS account for more than a day, 98.00 USD"]
    assert got.message.count("l***@example.com") == 2
    assert "--reason member_missing --with-emails" in got.message


def test_orders_that_failed_are_told_of_by_course_and_by_fault(watched: Watched) -> None:
    watched.orders(2)
    watched.bench.fault("refuse", operation="enroll", times=None)
    for _ in range(6):
        watched.run(after=40)
    watched.orders(1, email="no address")
    watched.run()
    watched.run()

    assert [title for title in watched.titles if "failed" in title] == [
        "2 paid orders failed, for course old-course, 98.00 USD",
        "1 paid order failed, invalid_email, 49.00 USD",
    ]


def test_learners_who_wait_too_long_for_a_run_are_told_of(watched: Watched) -> None:
    watched.orders(3)

    watched.run(max_enrolls=1)

    assert watched.titles == ["2 paid orders without access for more than 1 hour, 98.00 USD"]
    watched.run()
    assert watched.titles[1:] == ["all clear: nobody waits too long any more"]


def test_many_causes_at_once_are_one_message(watched: Watched) -> None:
    for number in range(6):
        watched.orders(1, course=f"course-{number}", published=0)

    watched.run()
    watched.run()

    (got,) = watched.alerts.got
    assert got.title == "reconcile: 6 messages at once"
    assert all(f"course-{number}" in got.message for number in range(6))


def test_scans_that_find_nothing_any_more_are_told_of(watched: Watched) -> None:
    for _ in range(6):
        watched.orders(1)
        watched.run(after=60)
    for _ in range(3):
        watched.run(after=12 * 60)

    assert watched.titles == ["scans find no order any more"]
    watched.bench.database.enrollments.update_one(
        {}, {"$set": {"timestamp": watched.clock.now().isoformat()}}
    )
    watched.run()
    assert watched.titles[1:] == ["all clear: scans find orders again, or new ones are sold"]


def test_drift_is_told_of_and_its_end(watched: Watched) -> None:
    with watched.app() as app:
        app.drift_found({"ghosts": 2, "strays": 1})
        app.drift_found({"ghosts": 2, "strays": 1})
        app.drift_found({"ghosts": 0, "strays": 0})

    assert watched.titles == [
        "drift, 3 differences between shop and LMS",
        "all clear: shop and LMS agree",
    ]
