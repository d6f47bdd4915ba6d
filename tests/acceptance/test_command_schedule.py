"""`reconcile schedule --list` and `--once`: what comes when, and one job now with its own exit code."""

from __future__ import annotations

import re

import pytest

from reconcile.jobs.registry import JOBS
from reconcile.sandbox.lms.faults import Fault
from tests.acceptance.harness import World
from tests.acceptance.undone import ago, retry_job, unmarked_order

NAMES = [job.name for job in JOBS]


def test_the_list_tells_each_job_its_setting_and_its_next_time(world: World) -> None:
    done = world.run("schedule", "--list", env={"RECONCILE_TIMEZONE": "Europe/Berlin"}, code=0)

    for job in JOBS:
        found = re.search(
            rf"^{job.name} +{re.escape(job.about)}\n  {job.setting}='[^']+'  "
            r"next \w{3} \d{4}-\d\d-\d\d \d\d:\d\d CES?T$",
            done.stdout,
            re.MULTILINE,
        )
        assert found, done.stdout
    assert done.stderr == ""


def test_the_list_knows_the_last_run(world: World) -> None:
    assert "last" not in world.run("schedule", "--list", code=0).stdout

    world.order("sam@example.com")
    world.run("run", code=0)
    assert re.search(r"^  last .* UTC  completed$", world.run("schedule", "--list").stdout, re.MULTILINE)

    world.lms.site.switches.maintenance = "on"
    world.run("run", code=75)
    assert "UTC  aborted (lms_unavailable)\n" in world.run("schedule", "--list", code=0).stdout


def test_the_list_needs_no_server_and_no_audit(world: World) -> None:
    world.audit_file.write_text("this is no database, but it is long enough to be taken for one" * 20)
    env = {"MONGODB_URI": "mongodb://127.0.0.1:9/shop", "FRAPPE_LMS_BASE_URL": "http://127.0.0.1:9"}

    done = world.run("schedule", "--list", env=env, code=0)

    assert "last run unknown: " in done.stdout
    assert [name for name in NAMES if name not in done.stdout] == []


def test_a_job_that_is_off_is_listed_as_such_and_can_still_be_run(world: World) -> None:
    off = {job.setting: "off" for job in JOBS}

    listed = world.run("schedule", "--list", env=off, code=0)
    assert listed.stdout.count("='off'  never: switched off") == len(JOBS)

    order = world.order("sam@example.com")
    world.run("schedule", "--once", "reconcile_enrollments", env=off, code=0)
    assert world.sync(order)["synced"]


@pytest.mark.parametrize("setting", [job.setting for job in JOBS])
def test_a_wrong_schedule_is_refused_by_its_name(world: World, setting: str) -> None:
    for arguments in (("schedule",), ("schedule", "--list")):
        done = world.run(*arguments, env={setting: "every day"}, code=2)
        assert f"{setting}: 'every day' is no crontab expression" in done.said
        assert "*/5 * * * *" in done.said


@pytest.mark.parametrize("name", NAMES)
def test_each_job_can_be_run_now(world: World, name: str) -> None:
    world.order("sam@example.com")

    # Strangers are enrolled in this LMS: that is drift.
    assert world.run("schedule", "--once", name).code == (1 if name == "check_drift" else 0)


def test_a_job_that_does_not_exist_is_told_which_there_are(world: World) -> None:
    done = world.run("schedule", "--once", "tidy_up", code=2)

    assert all(name in done.said for name in NAMES)
    world.run("schedule", "--once", NAMES[0], "--list", code=2)


@pytest.mark.parametrize(
    ("env", "code"),
    [
        ({"FRAPPE_LMS_BASE_URL": "http://127.0.0.1:9"}, 75),
        ({"MONGODB_URI": "mongodb://127.0.0.1:9/shop"}, 75),
        ({"FRAPPE_LMS_API_KEY": "key_integration:wr0ng-s3cret"}, 2),
        ({"RECONCILE_AUDIT_URL": "sqlite:////no/such/folder/audit.db"}, 4),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_the_exit_code_is_the_jobs(world: World, env: dict[str, str], code: int) -> None:
    """The same as that of `reconcile run`, with the same message and remedy."""
    once = world.run("schedule", "--once", "reconcile_enrollments", env=env, code=code)
    run = world.run("run", "--quiet", env=env, code=code)

    assert once.said == run.said != ""


def test_orders_that_need_a_person_are_exit_code_1(world: World) -> None:
    world.order("not an address", account=False)

    world.run("schedule", "--once", "reconcile_enrollments", code=1)


def test_the_digest_is_written_to_stdout(world: World) -> None:
    world.order("sam@example.com")
    world.order("not an address", account=False)
    world.order("nobody@example.com", account=False)
    world.run("run", code=1)

    done = world.run("schedule", "--once", "daily_digest", code=0)

    lines = done.stdout.splitlines()
    assert lines[0] == "reconcile: 1 paid order needs a person; 1 learner got access"
    assert "  1 learner got access: 1 enrolled" in lines
    assert "  1 run: 1 completed" in lines
    assert "  Money paid without access: 98.00 USD" in lines
    assert any(line.startswith("  1 x invalid_email: ") for line in lines)
    assert any(line.startswith("  1 x member_missing: ") for line in lines)
    assert done.stderr == ""


def test_the_digest_tells_what_the_shop_leaves_undone(world: World) -> None:
    order = unmarked_order(world, "kim@example.com", amount=199)
    retry_job(world, order, "kim@example.com", due=ago(hours=9))
    world.run("run", code=0)

    told = world.run("schedule", "--once", "daily_digest", code=0).stdout

    assert told.startswith("reconcile: 1 order is paid and never marked; 0 learners got access\n")
    assert "  1 order is paid at Stripe and never marked as paid in the shop, 199.00 USD; the oldest" in told
    assert "  The shop's own retry queue (retry_jobs): 1 open, 0 in work, 1 overdue since" in told
    assert "  The shop's own worker has not run since" in told


def test_the_digest_tells_of_an_outage_and_of_a_backlog_that_cannot_be_counted(world: World) -> None:
    world.order("sam@example.com")
    world.lms.faults.add(Fault(kind="503_maintenance", times=None))
    world.run("run", code=75)

    told = world.run("schedule", "--once", "daily_digest", code=0)
    blind = world.run(
        "schedule", "--once", "daily_digest", env={"MONGODB_URI": "mongodb://127.0.0.1:9/shop"}, code=75
    )

    assert "  1 run aborted by lms_unavailable\n  No run was completed ever.\n" in told.stdout
    assert "  1 paid order without confirmed access: 1 pending\n" in told.stdout
    assert blind.stdout.startswith("reconcile: the backlog could not be counted; 0 learners got access\n")
    assert "MONGODB_URI" in blind.said
