"""`reconcile drift`: every kind of difference is found, and repaired only where a person says so."""

from __future__ import annotations

import pytest

from tests.acceptance.harness import COURSE, World, by

SYNCED = {"synced": True, "syncStatus": "success", "enrollmentId": "E-given", "retryCount": 1}


class Drifted:
    """One learner for each kind of difference, and some who are as they should be."""

    def __init__(self, world: World) -> None:
        self.world = world
        site = world.lms.site
        self.ghost = world.order("ghost@example.com", frappeSync=SYNCED)
        self.stale = world.order("stale@example.com")
        site.enroll("stale@example.com", COURSE)
        self.unpaid = world.order("unpaid@example.com", status="failed")
        site.enroll("unpaid@example.com", COURSE)
        self.double = world.order("double@example.com", frappeSync=SYNCED)
        site.enroll("double@example.com", COURSE)
        site.enroll("double@example.com", COURSE)
        self.good = world.order("good@example.com", frappeSync=SYNCED)
        site.enroll("good@example.com", COURSE)
        self.other = world.order(
            "parent@example.com", frappeSync=SYNCED, lmsContext={"frappeEmail": "child@example.com"}
        )
        site.add_user("child@example.com")
        site.enroll("child@example.com", COURSE)
        self.ours = world.order("ours@example.com")
        world.run("run", "--enrollment", self.ours, "--quiet", code=0)
        site.unenroll("ours@example.com", COURSE)


@pytest.fixture
def drifted(world: World) -> Drifted:
    return Drifted(world)


def test_every_kind_of_difference_is_found_and_nothing_is_written(drifted: Drifted) -> None:
    world = drifted.world
    before, lms, asked = world.dump(), world.lms_state(), dict(world.lms.counters)

    done = world.run("drift", "--json", code=1)

    assert done.json["counts"] == {"ghost": 2, "stray": 2, "duplicate": 1, "unpaid": 1, "stale": 1}
    found = by(done.json["findings"], "kind")
    assert {row["enrollment_id"]: row["by_us"] for row in found["ghost"]} == {
        drifted.ghost: False,
        drifted.ours: True,
    }
    assert [row["enrollment_id"] for row in found["stale"]] == [drifted.stale]
    assert [row["enrollment_id"] for row in found["unpaid"]] == [drifted.unpaid]
    assert [row["enrollment_id"] for row in found["duplicate"]] == [drifted.double]
    assert len(found["duplicate"][0]["lms_enrollment_ids"]) == 2
    assert {row["course"] for row in found["stray"]} == {"web-dev"}
    assert (world.dump(), world.lms_state()) == (before, lms)
    listed = world.lms.counters["list LMS Enrollment"] - asked.get("list LMS Enrollment", 0)
    assert listed <= 3, "the proof of sight, one look for the orders, one list"


def test_the_table_says_what_to_do_and_hides_addresses(drifted: Drifted) -> None:
    done = drifted.world.run("drift", code=1)

    assert "2 ghost" in done.stdout
    assert "removed on purpose?" in done.stdout
    assert "delete all but the oldest" in done.stdout


def test_two_sides_that_agree_are_no_drift(world: World) -> None:
    for name in ("old1@example.com", "old2@example.com"):
        world.order(name, account=False, course="web-dev", frappeSync=SYNCED)

    done = world.run("drift", code=0)

    assert "No drift" in done.stdout


def test_fix_confirms_the_stale_and_leaves_the_ghosts(drifted: Drifted) -> None:
    world = drifted.world
    asked = world.enrolls_asked()

    done = world.run("drift", "--fix", code=1)

    assert "1 already_enrolled" in done.stderr
    assert "--ghosts" in done.stderr
    (name,) = world.enrolled("stale@example.com")
    assert world.sync(drifted.stale)["enrollmentId"] == name
    assert world.sync(drifted.ghost)["enrollmentId"] == "E-given"
    assert world.enrolls_asked() == asked
    assert [row["kind"] for row in world.audit("SELECT kind FROM interventions")] == ["fix_drift"]


def test_ghosts_get_their_access_again_but_for_those_that_we_had_given_it(drifted: Drifted) -> None:
    world = drifted.world

    world.run("drift", "--fix", "--ghosts", code=1)

    (name,) = world.enrolled("ghost@example.com")
    assert world.sync(drifted.ghost)["enrollmentId"] == name
    assert world.sync(drifted.ghost)["syncStatus"] == "success"
    assert world.enrolled("ours@example.com") == [], "removed on purpose"
    again = world.run("drift", "--json", code=1).json["counts"]
    assert (again["stale"], again["ghost"]) == (0, 1)


def test_a_blind_key_and_no_key_are_refused(drifted: Drifted) -> None:
    world = drifted.world

    blind = world.run("drift", env={"FRAPPE_LMS_API_KEY": "key_student:secret_student"}, code=2)
    keyless = world.run("drift", env={"FRAPPE_LMS_API_KEY": None}, code=2)

    assert "Moderator" in blind.stderr
    assert "FRAPPE_LMS_API_KEY" in keyless.stderr


def test_an_outage_leaves_one_json_object(drifted: Drifted) -> None:
    done = drifted.world.run("drift", "--json", env={"FRAPPE_LMS_BASE_URL": "http://127.0.0.1:1"}, code=75)

    assert done.json["error"] == "lms_unavailable"


def test_many_learners_are_listed_page_by_page(world: World) -> None:
    site = world.lms.site
    for number in range(1300):
        site.add_user(f"m{number:04}@example.com")
        site.enroll(f"m{number:04}@example.com", "web-dev")
    for course in range(30):
        site.add_course(f"course-{course}")
        site.enroll("m0599@example.com", f"course-{course}")
    site.enroll("m0000@example.com", "web-dev")
    asked = world.lms.counters["list LMS Enrollment"]

    done = world.run("drift", "--json", code=1)

    assert done.json["counts"]["stray"] == 1300 + 30 + 2
    assert done.json["counts"]["duplicate"] == 1
    assert done.json["lms_enrollments"] == 1300 + 30 + 2 + 1
    assert world.lms.counters["list LMS Enrollment"] - asked <= 4


def test_the_nightly_job_says_what_differs(drifted: Drifted) -> None:
    done = drifted.world.run("schedule", "--once", "check_drift", code=1)

    (line,) = [line for line in done.logged if line["event"] == "Drift checked"]
    assert (line["ghost"], line["stray"], line["stale"]) == (2, 2, 1)
