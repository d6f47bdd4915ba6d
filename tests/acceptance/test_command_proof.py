"""`db verify`, `prune` and `forget` from outside: codes, words, JSON, questions, and the weekly job."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from reconcile.audit.log import open_audit
from reconcile.run.summary import RunStatus, RunSummary
from tests.acceptance.harness import World, program
from tests.fakes.audit_samples import HERE, record

_AUDIT_ONLY = dict.fromkeys(("MONGODB_URI", "FRAPPE_LMS_BASE_URL", "FRAPPE_LMS_API_KEY"))


@pytest.fixture
def ran(world: World) -> World:
    """A run has enrolled one learner; another one has no account."""
    world.order("sam.learner@example.com")
    world.order("stranger@example.com", account=False)
    world.run("run", "--quiet", code=0)
    return world


def _past_runs(world: World, *days_ago: int) -> None:
    with open_audit(f"sqlite:///{world.audit_file}") as log:
        for days in days_ago:
            then = datetime.now(UTC) - timedelta(days=days)
            past = RunSummary(run_id=f"past-{days}", mode="apply", started_at=then)
            log.open_run(past, HERE)
            log.record([record(id=f"order-{days}-{number}", run_id=past.run_id) for number in range(3)])
            past.close(RunStatus.COMPLETED, at=then)
            log.close_run(past)


def _tamper(world: World, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(world.audit_file)) as connection, connection:
        connection.execute(statement)


def _bytes_left(world: World, word: bytes) -> list[str]:
    return [file.name for file in world.folder.iterdir() if word in file.read_bytes().lower()]


def test_an_intact_audit_and_the_seal_that_the_log_has_kept(world: World) -> None:
    world.order("sam.learner@example.com")
    run = world.run("run", code=0)
    (ended,) = [line for line in run.logged if line["event"] == "Run completed"]

    shown = world.run("db", "verify", env=_AUDIT_ONLY, code=0)
    expected = world.run("db", "verify", "--expect-seal", ended["seal"], "--json", env=_AUDIT_ONLY, code=0)

    assert "The audit is intact" in shown.stdout
    assert f"newest seal {ended['seal']}" in shown.stdout
    assert expected.json["newest_seal"] == ended["seal"]
    assert (expected.json["status"], expected.json["runs"], expected.json["attempts"]) == ("intact", 1, 1)
    forged = f"{ended['seal'][:-1]}{'0' if ended['seal'][-1] != '0' else '1'}"
    refused = world.run("db", "verify", "--expect-seal", forged, env=_AUDIT_ONLY, code=1)
    assert "not the one that was kept elsewhere" in refused.stdout
    assert "64 hex digits" in world.run("db", "verify", "--expect-seal", "3:x", code=2).stderr


def test_an_edited_audit_is_told_by_name(ran: World) -> None:
    _tamper(ran, "UPDATE attempts SET amount_e4 = 1 WHERE attempt_id = 1")

    shown = ran.run("db", "verify", env=_AUDIT_ONLY, code=1)
    told = ran.run("db", "verify", "--json", env=_AUDIT_ONLY, code=1).json

    (run,) = ran.audit("SELECT run_id FROM runs")
    assert f"attempt 1 of run {run['run_id']} is not as it was" in shown.stdout
    assert "Next: compare with a backup" in shown.stdout
    (finding, *_) = told["findings"]
    assert (told["status"], told["exit_code"]) == ("tampered", 1)
    assert (finding["table"], finding["attempt_id"], finding["run_id"]) == ("attempts", 1, run["run_id"])


def test_an_audit_that_cannot_be_read(ran: World, bare: World) -> None:
    content = ran.audit_file.read_bytes()
    ran.audit_file.write_bytes(content[:4096] + b"\x5a" * (len(content) - 4096))
    damaged = ran.run("db", "verify", "--json", env=_AUDIT_ONLY, code=4)
    assert damaged.json["status"] == "unreadable"
    assert "backup" in damaged.stderr

    ran.audit_file.unlink()
    for command in (("verify",), ("prune", "--older-than", "365d"), ("forget", "sam@example.com")):
        missing = ran.run("db", *command, env=_AUDIT_ONLY, code=4)
        assert "there is no audit database yet" in missing.stderr
    assert not ran.audit_file.exists()


def test_pruning_shows_what_goes_and_takes_it(ran: World) -> None:
    _past_runs(ran, 500, 400, 100)

    asked = ran.run("db", "prune", "--older-than", "365d", "--dry-run", env=_AUDIT_ONLY, code=0)
    assert "would be pruned: 2 runs" in asked.stdout
    assert len(ran.audit("SELECT * FROM runs")) == 4

    done = ran.run("db", "prune", "--older-than", "365d", "--json", env=_AUDIT_ONLY, code=0).json
    again = ran.run("db", "prune", "--older-than", "365d", env=_AUDIT_ONLY, code=0)

    assert done["pruned"] == {"runs": 2, "attempts": 6, "addresses": 0}
    assert "pruned 0 runs" in again.stdout
    verified = ran.run("db", "verify", env=_AUDIT_ONLY, code=0)
    assert f"newest seal {done['seal']}" in verified.stdout
    assert "by reconcile itself: 2 runs pruned" in verified.stdout
    assert "at least 1d" in ran.run("db", "prune", "--older-than", "2h", code=2).stderr


@pytest.mark.parametrize(("retention", "left"), [("0", 3), ("365d", 2)])
def test_the_weekly_job_prunes_by_the_retention(world: World, retention: str, left: int) -> None:
    _past_runs(world, 500, 300, 100)

    job = world.run("schedule", "--once", "prune_audit", env={"RECONCILE_RETENTION": retention}, code=0)

    assert len(world.audit("SELECT * FROM runs")) == left
    assert ("Audit pruned" in job.stderr) == (left < 3)
    assert world.run("db", "verify", code=0)
    listed = world.run("schedule", "--list", code=0).stdout
    assert "prune_audit" in listed
    assert "0 4 * * 0" in listed
    wrong = world.run("schedule", "--list", env={"RECONCILE_RETENTION": "1h"}, code=2)
    assert "RECONCILE_RETENTION: must be at least 1d" in wrong.stderr


def test_what_people_asked_for_by_hand_is_looked_through_as_well(ran: World) -> None:
    (order,) = [row["enrollment_id"] for row in ran.attempts() if row["outcome"] == "enrolled"]
    ran.run("ignore", order, "--until", "7d", "--because", "refund", code=0)
    # As a version without redaction, or somebody's own program, may have written it.
    _tamper(ran, "UPDATE interventions SET because = 'write to sam.learner@example.com'")

    ran.run("db", "forget", "sam.learner@example.com", "--yes", env=_AUDIT_ONLY, code=0)

    assert ran.audit("SELECT because FROM interventions")[0]["because"] == "write to (forgotten)"
    assert _bytes_left(ran, b"sam.learner@") == []


def test_a_forgotten_person_leaves_no_byte(ran: World) -> None:
    before = ran.run("report", "--view", "summary", "--format", "json", env=_AUDIT_ONLY, code=0).json["rows"]
    assert _bytes_left(ran, b"sam.learner")

    done = ran.run("db", "forget", " Sam.Learner@Example.com", env=_AUDIT_ONLY, code=0)

    assert "sam.learner" not in done.stdout.lower()
    assert "forgotten: the address, 1 masked ones, 0 texts" in done.stdout
    assert "Not touched: MongoDB, the LMS" in done.stdout
    assert _bytes_left(ran, b"sam.learner") == []
    assert _bytes_left(ran, b"stranger@example.com")
    after = ran.run("report", "--view", "summary", "--format", "json", env=_AUDIT_ONLY, code=0).json["rows"]
    assert after == before
    ran.run("db", "verify", env=_AUDIT_ONLY, code=0)

    again = ran.run("db", "forget", "sam.learner@example.com", env=_AUDIT_ONLY, code=0)
    stranger = ran.run("db", "forget", "nobody@example.com", "--json", env=_AUDIT_ONLY, code=0)
    assert "nothing was left to take" in again.stdout
    assert (stranger.json["known"], stranger.json["seal"]) == (False, None)
    assert "whole address" in ran.run("db", "forget", "sam", env=_AUDIT_ONLY, code=2).stderr


def test_an_address_may_come_over_stdin(ran: World) -> None:
    done = subprocess.run(
        [*program(), "db", "forget", "-", "--json"],
        env=ran.environment,
        cwd=ran.folder,
        input="sam.learner@example.com\n",
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert '"address": true' in done.stdout
    assert _bytes_left(ran, b"sam.learner") == []


@pytest.mark.parametrize(
    ("arguments", "answer", "changed"),
    [
        (("forget", "sam.learner@example.com"), b"n\n", False),
        (("forget", "sam.learner@example.com"), b"y\n", True),
        (("forget", "sam.learner@example.com", "--yes"), b"", True),
        (("prune", "--older-than", "365d"), b"n\n", False),
        (("prune", "--older-than", "365d", "--yes"), b"", True),
    ],
)
def test_a_person_at_a_terminal_is_asked(
    ran: World, arguments: tuple[str, ...], answer: bytes, *, changed: bool
) -> None:
    _past_runs(ran, 500)
    before = ran.audit("SELECT count(*) FROM people") + ran.audit("SELECT count(*) FROM runs")

    with _terminal() as (ours, theirs):
        process = subprocess.Popen(
            [*program(), "db", *arguments],
            env=ran.environment | {"TERM": "dumb"},
            cwd=ran.folder,
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
        )
        os.write(ours, answer)
        stdout, _ = process.communicate(timeout=60)

    after = ran.audit("SELECT count(*) FROM people") + ran.audit("SELECT count(*) FROM runs")
    assert process.returncode == 0, stdout
    assert ([*map(tuple, after)] != [*map(tuple, before)]) == changed


@contextlib.contextmanager
def _terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = os.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)
