"""The main promise, on the sandbox's shop: who paid gets access once, and a second run changes nothing."""

from __future__ import annotations

import stat

import pytest

from reconcile.domain.identity import normalise_course, normalise_email
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.shop.seed import CONFIRMABLE, COVERED, ENROLLABLE
from tests.acceptance.harness import Document, Done, World, by

#: What stands on stdout of `run --json`.
KEYS = {
    "run_id", "mode", "status", "reason", "started_at", "finished_at", "scanned", "outcomes", "reasons",
    "lms_requests", "exit_code",
}  # fmt: skip
NOT_PAID = ("unpaid", "unmarked", "being_marked")
OUTCOMES = {"enrolled", "already_enrolled", "recovered", "retrying", "waiting", "failed", "skipped"}


def member(world: World, document: Document) -> str:
    """Whom the order is for in the LMS: the account that it names, else whom the shop itself has sent."""
    job = world.database.retry_jobs.find_one({"enrollmentId": document["_id"]}) or {}
    sent = (job.get("payload") or {}).get("user_email")
    return normalise_email((document.get("lmsContext") or {}).get("frappeEmail") or sent or document["email"])


def expected(world: World, heading: str) -> list[Document]:
    assert world.shop is not None
    return [world.document(order) for order in world.shop.expected[heading]]


def check_converged(world: World, done: Done) -> None:
    """Everything that one run must reach."""
    assert world.shop is not None
    assert world.lms.site.duplicates() == {}
    attempts = by(world.attempts(), "enrollment_id")
    for heading, word in (
        (ENROLLABLE, "enrolled"),
        (CONFIRMABLE, "already_enrolled"),
        (COVERED, "already_enrolled"),
    ):
        for document in expected(world, heading):
            course = normalise_course(document["courseId"])
            (name,) = world.enrolled(member(world, document), course)
            sync = document["frappeSync"]
            assert (sync["synced"], sync["syncStatus"]) == (True, "success")
            assert sync["enrollmentId"] == name
            assert sync["syncCompletedAt"] is not None
            assert "errorMessage" not in sync
            assert "retryJobId" not in sync
            (row,) = attempts[str(document["_id"])]
            assert (row["outcome"], row["lms_enrollment_id"]) == (word, name)
            assert row["finished_at"] is not None
    for document in (each for heading in NOT_PAID for each in expected(world, heading)):
        assert world.enrolled(member(world, document), document["courseId"]) == []
        assert str(document["_id"]) not in attempts
    for heading in ("too_new", "just_paid", "unanswered_try", "job_active", "synced"):
        assert not attempts.keys() & set(world.shop.expected[heading])
    given = len(world.shop.expected[ENROLLABLE])
    assert done.json["outcomes"]["enrolled"] == given
    assert len(world.lms.site.enrollments()) == len(world.shop.lms_enrollments) + given
    assert world.leases() == []


@pytest.mark.parametrize("via", ["confirm_payment", "rest"])
def test_one_run_gives_access_once_and_a_second_one_changes_nothing(seeded: World, via: str) -> None:
    before = {str(order["_id"]): order for order in seeded.database.enrollments.find()}
    settings = {"RECONCILE_ENROLL_VIA": via}

    done = seeded.run("run", "--json", env=settings, code=1)

    assert seeded.shop is not None
    assert set(done.json) == KEYS
    assert set(done.json["outcomes"]) == OUTCOMES
    assert (done.json["mode"], done.json["status"], done.json["reason"]) == ("apply", "completed", None)
    assert done.json["exit_code"] == 1
    assert done.json["lms_requests"] == sum(seeded.lms.counters.values())
    check_converged(seeded, done)
    touched = {
        order for heading in (ENROLLABLE, CONFIRMABLE, COVERED) for order in seeded.shop.expected[heading]
    }
    for order in seeded.database.enrollments.find():
        old = before[str(order["_id"])]
        # Only frappeSync is ours, and of the orders that stay behind only what INTERFACE names.
        assert {k: v for k, v in order.items() if k != "frappeSync"} == {
            k: v for k, v in old.items() if k != "frappeSync"
        }
        if str(order["_id"]) not in touched:
            changed = {
                name
                for name, value in (order.get("frappeSync") or {}).items()
                if (old.get("frappeSync") or {}).get(name) != value
            }
            assert changed <= {"syncStatus", "errorMessage", "lastSyncAttempt", "retryCount"}
    open_jobs = {
        str(job["enrollmentId"])
        for job in seeded.database.retry_jobs.find({"status": {"$in": ["pending", "processing"]}})
    }
    assert not open_jobs & touched
    assert stat.S_IMODE(seeded.audit_file.stat().st_mode) == 0o600

    documents, lms, attempts = seeded.dump(), seeded.lms_state(), [tuple(row) for row in seeded.attempts()]
    again = seeded.run("run", "--json", env=settings, code=1)
    plan = seeded.run("plan", "--json", env=settings, code=0)

    assert again.json["outcomes"]["enrolled"] == 0
    assert plan.json["counts"]["enroll"] == plan.json["counts"]["confirm"] == 0
    assert seeded.dump() == documents
    assert seeded.lms_state() == lms
    assert [tuple(row) for row in seeded.attempts()] == attempts
    assert len(seeded.audit("SELECT * FROM runs")) == 2


def test_the_log_says_what_operators_grep_for(world: World) -> None:
    order = world.order("sam.smith@example.com")

    done = world.run("run", code=0)

    for event in ("Attempting Frappe LMS enrollment", "FrappeLMS enrollment successful"):
        (line,) = [line for line in done.logged if line["event"] == event]
        assert line["enrollment_id"] == order
        assert line["payment_id"] == f"pi_{order}"
        assert line["course"] == "python-basics"
        assert line["run_id"]
        assert line["email"] == "s***@example.com"


FIRST, LATER = (
    "First Frappe attempt failed, retrying immediately...",
    "Immediate retry failed, queuing for later",
)
ATTEMPT, SUCCESS = "Attempting Frappe LMS enrollment", "FrappeLMS enrollment successful"


@pytest.mark.parametrize("kind", ["refuse", "500_json", "503_maintenance", "429"])
@pytest.mark.parametrize(
    ("times", "events"), [(1, [ATTEMPT, FIRST, ATTEMPT, SUCCESS]), (2, [ATTEMPT, FIRST, ATTEMPT, LATER])]
)
def test_the_log_tells_of_a_failure_before_the_second_try(
    world: World, kind: str, times: int, events: list[str]
) -> None:
    order = world.order("sam.smith@example.com")
    world.lms.faults.add(Fault(kind=kind, operation="enroll", times=times, retry_after=0.1))

    done = world.run("run", code=times - 1)

    lines = [line for line in done.logged if not line["event"].startswith("Run ")]
    assert [line["event"] for line in lines] == events
    assert {line["enrollment_id"] for line in lines} == {order}
    assert {line["email"] for line in lines} == {"s***@example.com"}


def test_an_order_for_a_learner_without_account_waits_and_follows_the_sign_up(world: World) -> None:
    order = world.order("late@example.com", account=False)

    first = world.run("run", "--json", code=0)
    assert (first.json["outcomes"]["waiting"], first.json["reasons"]) == (1, {"member_missing": 1})
    assert world.sync(order)["syncStatus"] == "retrying"
    assert world.sync(order)["retryCount"] == 0

    world.lms.site.add_user("late@example.com")
    second = world.run("run", "--json", code=0)
    assert second.json["outcomes"]["enrolled"] == 1
    assert world.sync(order)["enrollmentId"] == world.enrolled("late@example.com")[0]


def test_two_orders_for_one_course_are_one_enrollment_and_flagged(world: World) -> None:
    twice = [world.order("twice@example.com") for _ in range(2)]

    world.run("run", code=0)

    (name,) = world.enrolled("twice@example.com")
    assert [world.sync(order)["enrollmentId"] for order in twice] == [name, name]
    assert [row["flags"] for row in world.attempts()] == ["duplicate_payment"] * 2
    assert world.enrolls_asked() == 1


def test_without_a_key_it_relies_on_the_lms_and_a_later_run_with_a_key_puts_the_name(world: World) -> None:
    new, there = world.order("new@example.com"), world.order("there@example.com")
    world.lms.site.enroll("there@example.com", "python-basics")

    done = world.run("run", "--json", env={"FRAPPE_LMS_API_KEY": None}, code=0)

    assert done.json["outcomes"] == dict.fromkeys(OUTCOMES, 0) | {"enrolled": 1, "already_enrolled": 1}
    assert "UNVERIFIED" in done.stderr
    assert world.lms.site.duplicates() == {}
    assert world.sync(new)["enrollmentId"] == world.enrolled("new@example.com")[0]
    assert world.sync(there)["enrollmentId"] == "already-enrolled"
    assert world.sync(there)["syncStatus"] == "success"

    world.run("run", "--json", code=0)

    assert world.sync(there)["enrollmentId"] == world.enrolled("there@example.com")[0]


def test_without_a_key_the_shop_is_enrolled_all_the_same(seeded: World) -> None:
    assert seeded.shop is not None

    seeded.run("run", "--json", env={"FRAPPE_LMS_API_KEY": None}, code=1)

    assert seeded.lms.site.duplicates() == {}
    for heading in (ENROLLABLE, CONFIRMABLE, COVERED):
        for document in expected(seeded, heading):
            if seeded.shop.kind_of(str(document["_id"])) == "sent_as_another":
                continue  # without a key nobody sees that the learner is in under another address
            (name,) = seeded.enrolled(member(seeded, document), normalise_course(document["courseId"]))
            assert document["frappeSync"]["synced"] is True
            assert document["frappeSync"]["enrollmentId"] in (name, "already-enrolled")
    for document in (each for heading in NOT_PAID for each in expected(seeded, heading)):
        assert seeded.enrolled(member(seeded, document), document["courseId"]) == []


def test_a_write_that_is_done_and_not_answered_is_found_and_not_sent_again(world: World) -> None:
    order = world.order("sam@example.com")
    world.lms.faults.add(Fault(kind="timeout_after_write", operation="enroll", delay=10.0))

    done = world.run("run", "--json", env={"RECONCILE_TIMEOUT": "0.5s"}, code=0)

    assert done.json["outcomes"]["recovered"] == 1
    assert world.enrolls_asked() == 1
    assert world.sync(order)["enrollmentId"] == world.enrolled("sam@example.com")[0]
    assert [row["outcome"] for row in world.attempts()] == ["recovered"]


def test_rest_without_a_key_is_refused_with_the_remedy(world: World) -> None:
    done = world.run("run", env={"FRAPPE_LMS_API_KEY": None, "RECONCILE_ENROLL_VIA": "rest"}, code=2)

    assert "FRAPPE_LMS_API_KEY" in done.said
