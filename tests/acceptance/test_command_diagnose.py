"""`reconcile diagnose` names what is broken, once, with its remedy, and the exit code says it."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import Done, World, by
from tests.acceptance.undone import ago, retry_job, unmarked_order


def problems(done: Done) -> list[tuple[str, str]]:
    return [(row["area"], row["name"]) for row in done.json["checks"] if row["grade"] == "problem"]


def warnings(done: Done) -> list[tuple[str, str]]:
    return [(row["area"], row["name"]) for row in done.json["checks"] if row["grade"] == "warning"]


@pytest.fixture
def ready(world: World) -> World:
    world.order("sam@example.com")
    world.run("init", code=0)
    return world


def test_a_shop_that_is_ready_would_succeed_and_nothing_is_written(ready: World) -> None:
    before, lms, audit = ready.dump(), ready.lms_state(), ready.audit_file.read_bytes()

    done = ready.run("diagnose", "--json", code=0)

    assert (problems(done), warnings(done)) == ([], [])
    assert done.json["would_succeed"] is True
    assert done.json["conclusion"] == "A run would succeed."
    assert (ready.dump(), ready.lms_state(), ready.audit_file.read_bytes()) == (before, lms, audit)
    assert ready.run("run", "--json", code=0).json["outcomes"]["enrolled"] == 1
    assert "A run would succeed" in ready.run("diagnose", code=0).stdout


@pytest.mark.parametrize(
    ("settings", "code", "where", "remedy"),
    [
        ({"RECONCILE_PAGE_SIZE": "none", "MONGODB_URI": None}, 2, ("settings", "MONGODB_URI"), "MONGODB_URI"),
        ({"MONGODB_URI": "mongodb://127.0.0.1:1/shop"}, 75, ("mongodb", "reachable"), "MongoDB"),
        ({"MONGODB_COLLECTION": "elsewhere"}, 2, ("mongodb", "collection"), "MONGODB_COLLECTION"),
        ({"FRAPPE_LMS_BASE_URL": "http://127.0.0.1:1"}, 75, ("lms", "ping"), "FRAPPE_LMS_BASE_URL"),
        ({"FRAPPE_LMS_BASE_URL": "https://nobody.invalid"}, 75, ("lms", "name"), "FRAPPE_LMS_BASE_URL"),
        ({"FRAPPE_LMS_API_KEY": "wrong:wr0ng-s3cret"}, 2, ("key", "accepted"), "FRAPPE_LMS_API_KEY"),
        ({"FRAPPE_LMS_API_KEY": "key_student:secret_student"}, 2, ("key", "sees others"), "Moderator"),
        (
            {"FRAPPE_LMS_API_KEY": "key_lowpriv:secret_lowpriv", "RECONCILE_ENROLL_VIA": "rest"},
            2,
            ("key", "sees others"),
            "Moderator",
        ),
        (
            {"RECONCILE_AUDIT_URL": "sqlite:////nowhere/at/all.db"},
            4,
            ("audit", "schema"),
            "RECONCILE_AUDIT_URL",
        ),
    ],
)
def test_each_broken_thing_is_the_one_problem_named(
    ready: World, settings: dict[str, str | None], code: int, where: tuple[str, str], remedy: str
) -> None:
    done = ready.run("diagnose", "--json", env=settings, code=code)

    assert where in problems(done)
    assert done.json["would_succeed"] is False
    rows = {(row["area"], row["name"]): row for row in done.json["checks"]}
    assert remedy in rows[where]["remedy"] + rows[where]["name"]
    assert done.json["conclusion"].startswith("A run would fail. First: ")
    if where != ("mongodb", "collection"):  # a run finds nothing there, and cannot know better
        assert ready.run("run", "--quiet", env=settings).code == code, "a run says the same"


def test_every_wrong_setting_is_named(ready: World) -> None:
    env = {"RECONCILE_PAGE_SIZE": "none", "RECONCILE_TIMEOUT": "soon", "FRAPPE_LMS_BASE_URL": None}

    done = ready.run("diagnose", "--json", env=env, code=2)

    names = {name for area, name in problems(done) if area == "settings"}
    assert names == {"RECONCILE_PAGE_SIZE", "RECONCILE_TIMEOUT", "FRAPPE_LMS_BASE_URL"}


def test_an_lms_without_the_vendors_method_wants_rest(ready: World) -> None:
    ready.lms.site.switches.confirm_payment = False

    done = ready.run("diagnose", "--json", code=2)

    assert problems(done) == [("lms", "confirm_payment")]
    assert "RECONCILE_ENROLL_VIA=rest" in done.json["conclusion"]
    assert ready.run("diagnose", "--json", env={"RECONCILE_ENROLL_VIA": "rest"}, code=0).json["would_succeed"]


def test_what_is_missing_in_mongodb_and_the_lms_is_a_warning(world: World) -> None:
    world.order("sam@example.com", course="pyhton-basics")
    world.order("kim@example.com", course="unpublished")
    world.lms.site.add_course("python-basics")
    world.lms.site.add_course("unpublished", published=0)
    failed = {"synced": False, "syncStatus": "failed", "errorMessage": "no (x)"}
    world.visited(world.order("ann@example.com", frappeSync=failed), times=1)
    world.order("lea@example.com", frappeSync=failed)  # the shop's own words, and no visit of ours

    done = world.run("diagnose", "--json", code=0)

    rows = by(done.json["checks"], "name")
    assert "reconcile_unsynced" in rows["indexes"][0]["says"]
    assert "did you mean python-basics?" in rows["pyhton-basics"][0]["says"]
    assert "is not published" in rows["unpublished"][0]["says"]
    assert [row["says"] for row in rows["failed"]] == ["1 x no, 49.00 USD"]
    assert rows["given up"][0]["says"] == "1 x given up on by the shop, 49.00 USD; the next run tries them"
    assert "3 things" in done.json["conclusion"] or "things should be seen to" in done.json["conclusion"]


def test_without_a_key_it_says_that_runs_are_unverified(ready: World) -> None:
    done = ready.run("diagnose", "--json", env={"FRAPPE_LMS_API_KEY": None}, code=0)

    assert ("key", "key") in warnings(done)


def test_probing_creates_nothing(ready: World) -> None:
    before = ready.lms_state()

    ready.run("diagnose", env={"RECONCILE_ENROLL_VIA": "rest"}, code=0)

    assert ready.lms_state() == before


def test_a_broken_audit_file_is_named(ready: World) -> None:
    ready.audit_file.write_bytes(b"not a database at all" * 100)

    done = ready.run("diagnose", "--json", code=4)

    assert ("audit", "usable") in problems(done)
    assert "backup" in done.json["conclusion"]


def test_a_queue_that_nobody_works_is_a_warning(ready: World) -> None:
    order = ready.order("kim@example.com")
    retry_job(ready, order, "kim@example.com", due=ago(hours=9))
    ready.run("init", code=0)

    done = ready.run("diagnose", "--json", code=0)

    assert warnings(done) == [("mongodb", "retry queue")]
    (row,) = by(done.json["checks"], "name")["retry queue"]
    assert row["says"].startswith("retry_jobs: 1 open, 0 in work, 1 overdue since ")
    assert "the shop's own worker has not run since" in row["says"]
    assert "POST" in row["remedy"]


def test_a_queue_that_is_worked_or_not_there_is_well(ready: World) -> None:
    says = {row["name"]: row["says"] for row in ready.run("diagnose", "--json", code=0).json["checks"]}
    assert "MONGODB_RETRY_JOBS_COLLECTION" in says["retry queue"]

    order = ready.order("kim@example.com")
    retry_job(ready, order, "kim@example.com", due=ago(minutes=5))
    ready.run("init", code=0)
    done = ready.run("diagnose", "--json", code=0)

    assert warnings(done) == []
    assert "last completed: never" in by(done.json["checks"], "name")["retry queue"][0]["says"]


def test_what_was_paid_and_never_marked_is_named_and_nothing_else_changes(ready: World) -> None:
    assert by(ready.run("diagnose", "--json", code=0).json["checks"], "name")["unmarked"][0]["grade"] == "ok"
    ids = [unmarked_order(ready, f"learner{number}@example.com") for number in range(7)]

    done = ready.run("diagnose", "--json", code=0)

    assert warnings(done) == [("backlog", "unmarked")]
    (row,) = by(done.json["checks"], "name")["unmarked"]
    assert row["says"].startswith(
        "7 orders are paid at Stripe and never marked as paid in the shop, 343.00 USD; the oldest was paid "
    )
    assert sum(name in row["says"] for name in ids) == 5
    assert row["says"].endswith("and 2 more")
    assert "l***@example.com" in row["says"]
    assert row["remedy"].startswith("Look the payment up in Stripe.")


def test_addresses_that_are_nobodys_are_a_group_with_their_money(ready: World) -> None:
    for number in range(3):
        ready.order(f"temp_{number}@placeholder.com", account=False)

    rows = by(ready.run("diagnose", "--json", code=0).json["checks"], "name")["failed"]

    assert [row["says"] for row in rows] == ["3 x placeholder_email, 147.00 USD"]
