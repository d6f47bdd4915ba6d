"""Every flag of `run` does what its help says, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.acceptance.harness import World


def given(world: World, orders: list[str]) -> list[str]:
    """Which of the orders are synced."""
    return [order for order in orders if world.sync(order)["synced"]]


def test_the_selection_says_which_orders_are_looked_at(world: World) -> None:
    orders = world.orders(10)
    world.lms.site.add_course("sql-for-reporting")
    other = world.order("other@example.com", course="sql-for-reporting")
    lately = world.order("lately@example.com", timestamp=_ago(minutes=30), createdAt=_ago_date(minutes=30))

    limited = world.run("run", "--json", "--limit", "2", code=0)
    assert limited.json["scanned"] == limited.json["outcomes"]["enrolled"] == 2
    left = [order for order in orders if not world.sync(order)["synced"]]
    assert len(left) >= 8

    two = world.run("run", "--json", "--enrollment", left[0], "--enrollment", left[1], code=0)
    assert two.json["scanned"] == 2
    assert given(world, left) == left[:2]

    email = world.document(left[2])["email"]
    one = world.run("run", "--json", "--email", f" {email.title()} ", code=0)
    assert one.json["scanned"] == 1
    assert given(world, left) == left[:3]

    course = world.run("run", "--json", "--course", "sql-for-reporting", code=0)
    assert course.json["scanned"] == 1
    assert world.sync(other)["synced"]

    since = world.run("run", "--json", "--since", "2h", code=0)
    assert since.json["scanned"] == 1
    assert world.sync(lately)["synced"]
    assert given(world, left) == left[:3]


def test_an_unknown_order_or_learner_is_nothing_to_do(world: World) -> None:
    order = world.order("sam@example.com")

    nobody = world.start("run", "--json", "--email", "nobody@example.com")
    nothing = world.start("run", "--json", "--enrollment", "no-such-order")

    assert (nobody.wait().json["scanned"], nothing.wait().json["scanned"]) == (0, 0)
    assert not world.sync(order)["synced"]


def test_an_unpaid_order_is_left_alone_also_when_it_is_named(world: World) -> None:
    order = world.order("sam@example.com", status="pending")

    done = world.run("run", "--json", "--enrollment", order, "--include-failed", code=0)

    assert done.json["outcomes"]["enrolled"] == 0
    assert world.enrolls_asked() == 0


def test_include_failed_takes_up_those_out_of_attempts(world: World) -> None:
    spent = {"synced": False, "syncStatus": "failed", "retryCount": 5, "errorMessage": "500"}
    order = world.order("sam@example.com", frappeSync=spent)
    world.visited(order)

    without = world.run("run", "--json", code=1)
    assert (without.json["outcomes"]["failed"], without.json["reasons"]) == (1, {"exhausted": 1})
    assert world.enrolls_asked() == 0

    world.run("run", "--json", "--include-failed", code=0)
    assert world.sync(order)["synced"]
    assert world.sync(order)["retryCount"] == 6


def test_max_enrolls_stops_in_good_order_and_says_that_more_is_left(world: World) -> None:
    orders = world.orders(5)
    there = world.order("there@example.com")
    world.lms.site.enroll("there@example.com", "python-basics")

    some = world.run("run", "--json", "--max-enrolls", "3", code=1)

    assert (some.json["status"], some.json["reason"]) == ("completed", "max_enrolls")
    assert some.json["outcomes"]["enrolled"] == len(given(world, orders)) == world.enrolls_asked() == 3
    assert world.sync(there)["synced"]  # confirming is no enrolling
    assert world.leases() == []

    none = world.run("run", "--json", "--max-enrolls", "0", code=1)
    assert none.json["outcomes"]["enrolled"] == 0

    rest = world.run("run", "--json", "--max-enrolls", "2", code=0)
    assert (rest.json["reason"], rest.json["outcomes"]["enrolled"]) == (None, 2)


def test_quiet_says_nothing_where_all_is_well(world: World) -> None:
    world.orders(2)

    done = world.run("run", "--quiet", code=0)

    assert (done.stdout, done.stderr) == ("", "")


def test_the_table_is_plain_text_where_nobody_watches(world: World) -> None:
    world.orders(2)

    done = world.run("run", env={"TERM": "xterm-256color", "FORCE_COLOR": None}, code=0)

    assert "\x1b" not in done.stdout + done.stderr
    assert "completed: 2 orders looked at" in done.stdout
    assert "given access now" in done.stdout


def test_an_order_of_the_last_minutes_is_left_to_the_webhook(world: World) -> None:
    order = world.order("sam@example.com", timestamp=_ago(minutes=2), createdAt=_ago_date(minutes=2))

    done = world.run("run", "--json", code=0)
    assert (done.json["outcomes"]["skipped"], done.json["reasons"]) == (1, {"too_new": 1})

    world.run("run", "--json", env={"RECONCILE_MIN_AGE": "30s"}, code=0)
    assert world.sync(order)["synced"]


def _ago_date(*, minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


def _ago(*, minutes: float) -> str:
    return _ago_date(minutes=minutes).isoformat()
