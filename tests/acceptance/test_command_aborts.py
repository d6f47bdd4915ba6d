"""When it cannot work: one clear message with the remedy, the right exit code, nothing secret or written."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from reconcile.sandbox.mongo.server import free_port
from tests.acceptance.harness import World, lines_of
from tests.privileges import obey_modes

Settings = dict[str, str | None]


def _nothing(world: World) -> Settings:
    return {"MONGODB_URI": None, "FRAPPE_LMS_BASE_URL": None}


def _bad_values(world: World) -> Settings:
    return {"RECONCILE_TIMEOUT": "soon", "RECONCILE_CONCURRENCY": "0", "RECONCILE_ENROLL_VIA": "post"}


def _plain_http(world: World) -> Settings:
    return {"FRAPPE_LMS_BASE_URL": "http://lms.example.com"}


def _wrong_key(world: World) -> Settings:
    return {"FRAPPE_LMS_API_KEY": "key_integration:wr0ng-s3cret"}


def _no_role(world: World) -> Settings:
    return {"FRAPPE_LMS_API_KEY": "key_lowpriv:secret_lowpriv"}


def _blind(world: World) -> Settings:
    return {"FRAPPE_LMS_API_KEY": "key_student:secret_student"}


def _lms_down(world: World) -> Settings:
    return {"FRAPPE_LMS_BASE_URL": f"http://127.0.0.1:{free_port()}"}


def _lms_is_no_lms(world: World) -> Settings:
    return {"FRAPPE_LMS_BASE_URL": f"{world.lms.url}/somewhere/else"}


def _maintenance(world: World) -> Settings:
    world.lms.site.switches.change({"maintenance": "on"})
    return {}


def _mongodb_down(world: World) -> Settings:
    return {"MONGODB_URI": f"mongodb://shop:m0ng0-p4ss@127.0.0.1:{free_port()}/shop"}


def _mongodb_uri_is_none(world: World) -> Settings:
    return {"MONGODB_URI": "mongodb://shop:m0ng0-p4ss@:notaport/shop"}


def _audit_in_no_folder(world: World) -> Settings:
    return {"RECONCILE_AUDIT_URL": f"sqlite:///{world.folder}/missing/audit.db"}


def _audit_is_a_folder(world: World) -> Settings:
    return {"RECONCILE_AUDIT_URL": f"sqlite:///{world.folder}"}


def _audit_is_something_else(world: World) -> Settings:
    world.audit_file.write_text("not a database, but a letter to sam@example.com\n" * 40)
    return {}


def _audit_is_newer(world: World) -> Settings:
    with closing(sqlite3.connect(world.audit_file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    return {}


#: Trouble, exit code, the summary's reason, and what the message must name.
TROUBLES: list[tuple[Callable[[World], Settings], int, str, tuple[str, ...]]] = [
    (_nothing, 2, "configuration", ("MONGODB_URI", "FRAPPE_LMS_BASE_URL", ".env")),
    (
        _bad_values,
        2,
        "configuration",
        ("RECONCILE_TIMEOUT", "RECONCILE_CONCURRENCY", "RECONCILE_ENROLL_VIA", "90s"),
    ),
    (_plain_http, 2, "configuration", ("FRAPPE_LMS_BASE_URL", "RECONCILE_ALLOW_HTTP")),
    (_wrong_key, 2, "unauthorized", ("FRAPPE_LMS_API_KEY",)),
    (_no_role, 2, "forbidden", ("Moderator",)),
    (_blind, 2, "blind", ("Moderator",)),
    (_lms_down, 75, "lms_unavailable", ("(connection refused)", "FRAPPE_LMS_BASE_URL")),
    (_lms_is_no_lms, 2, "protocol", ("FRAPPE_LMS_BASE_URL",)),
    (_maintenance, 75, "lms_unavailable", ("503",)),
    (_mongodb_down, 75, "mongodb_unavailable", ("MongoDB", "Connection refused\n", "MONGODB_URI")),
    (_mongodb_uri_is_none, 2, "configuration", ("MONGODB_URI",)),
    (_audit_in_no_folder, 4, "audit_unavailable", ("folder", "RECONCILE_AUDIT_URL")),
    (_audit_is_a_folder, 4, "audit_unavailable", ("audit",)),
    (_audit_is_something_else, 4, "audit_unavailable", ("RECONCILE_AUDIT_URL",)),
    (_audit_is_newer, 4, "audit_unavailable", ("newer", "upgrade reconcile")),
]


@pytest.mark.parametrize(
    ("trouble", "code", "reason", "words"), TROUBLES, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_run_that_cannot_work_says_why_and_writes_nothing(
    world: World, trouble: Callable[[World], Settings], code: int, reason: str, words: tuple[str, ...]
) -> None:
    order = world.order("sam.smith@example.com")
    settings = trouble(world)
    documents, lms = world.dump(), world.lms_state()

    done = world.run("run", "--json", env=settings)

    assert done.code == code, done
    assert (done.json["status"], done.json["reason"]) == ("aborted", reason)
    assert done.json["exit_code"] == code
    assert set(done.json["outcomes"].values()) == {0}
    said = list(lines_of(done.said))
    # One message: what is wrong (each problem of the settings on its own line), and the remedy.
    assert [line for line in said if line.startswith("reconcile: ")] == said[:1], done.stderr
    assert said[-1].startswith("  → "), done.stderr
    for word in words:
        assert word in done.said, done.stderr
    assert world.enrolls_asked() == 0
    assert world.lms_state() == lms
    assert world.dump() == documents
    assert world.sync(order) == {"synced": False, "syncStatus": "pending", "retryCount": 0}


def test_an_audit_that_may_not_be_written_stops_the_run_before_the_lms(world: World) -> None:
    world.order("sam@example.com")
    world.audit_file.chmod(0o400)
    world.folder.chmod(0o500)
    try:
        done = world.run("run", "--json", code=4, preexec_fn=obey_modes)
    finally:
        world.folder.chmod(0o700)

    assert done.json["reason"] == "audit_unavailable"
    assert "right to read and write" in done.said
    assert world.enrolls_asked() == 0


def test_with_a_wrong_key_nothing_is_told_as_the_orders_fault(world: World) -> None:
    """A run that ended for the key leaves a run in the audit and no attempt."""
    world.order("sam@example.com")

    world.run("run", env=_wrong_key(world), code=2)

    assert [(row["status"], row["reason"]) for row in world.audit("SELECT * FROM runs")] == [
        ("aborted", "unauthorized")
    ]
    assert world.attempts() == []


@pytest.mark.parametrize(
    ("trouble", "code", "word"),
    [
        (_nothing, 2, "configuration"),
        (_wrong_key, 2, "unauthorized"),
        (_lms_down, 75, "lms_unavailable"),
        (_mongodb_down, 75, "mongodb_unavailable"),
        (_audit_is_newer, 4, "audit_unavailable"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_plan_and_status_print_one_json_object_when_they_cannot_work(
    world: World, trouble: Callable[[World], Settings], code: int, word: str
) -> None:
    settings = trouble(world)

    # Both at once: MongoDB's driver takes seconds to be sure that nobody is there.
    plan, status = (world.start(command, "--json", env=settings) for command in ("plan", "status"))
    planned, shown = plan.wait(), status.wait()

    asks_the_lms = trouble in (_wrong_key, _lms_down)
    assert (planned.code, shown.code) == (code, 0 if asks_the_lms else code)
    assert "→" in planned.said
    assert (planned.json["actions"], set(planned.json["counts"].values())) == ([], {0})
    assert planned.json["error"] == word
    if asks_the_lms:
        assert "error" not in shown.json
    else:
        # No counts: monitoring must not read an outage as an empty backlog.
        assert {key for key, value in shown.json.items() if value is not None} == {"error"}
        assert {"backlog", "unsynced", "unsynced_amount", "last_run"} < set(shown.json)
        assert shown.json["error"] == word


def test_a_run_without_json_says_the_same(world: World) -> None:
    done = world.run("run", "--quiet", env=_wrong_key(world), code=2)

    assert done.stdout == ""
    assert "→" in done.said


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--limit", "0"),
        ("run", "--since", "yesterday-ish"),
        ("run", "--no-such-flag"),
        ("report", "--format", "pdf"),
        ("no-such-command",),
    ],
)
def test_wrong_usage_is_told_on_stderr(bare: World, arguments: tuple[str, ...]) -> None:
    done = bare.run(*arguments, code=2)

    assert done.stdout == ""
    assert "Error: " in done.stderr
    assert not bare.audit_file.exists()


def test_a_reader_that_has_seen_enough_is_no_error(world: World) -> None:
    world.orders(3)
    read, write = os.pipe()
    os.close(read)
    started = world.start("plan", "--json", stdout=write)
    os.close(write)

    done = started.wait()

    assert done.stderr == ""
