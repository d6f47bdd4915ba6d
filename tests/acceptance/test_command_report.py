"""`report`: what the audit says, in every view and format, on stdout or in a file, whole or not there."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import signal
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.sandbox.shop.seed import load, shop
from tests.acceptance.harness import Done, World
from tests.acceptance.undone import ago, unmarked_order

VIEWS = ("summary", "attempts", "enrollments", "runs")
ATTEMPT_KEYS = (
    "run_id", "attempt_id", "enrollment_id", "payment_id", "email", "course", "number", "action",
    "started_at", "finished_at", "duration_ms", "outcome", "reason", "http_status",
    "lms_enrollment_id", "error", "flags",
)  # fmt: skip
#: One of these begins every formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture(scope="session")
def reported(mongo: EmbeddedMongo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The shop after one run, with an order that would like to be a formula. Only to be read."""
    data = shop(datetime.now(UTC))
    with (
        MongoClient[dict[str, Any]](mongo.uri("reported")) as client,
        FrappeStandIn(load_site(data.lms_users, data.lms_courses, data.lms_enrollments)) as lms,
    ):
        load(data, client["reported"])
        folder = tmp_path_factory.mktemp("reported")
        world = World(mongo=mongo, database=client["reported"], lms=lms, folder=folder, shop=data)
        world.order("evil@example.com", paymentId="=1+1")
        world.order("worse@example.com", course='=HYPERLINK("http://x","y")', paymentId="@SUM(A1:A9)")
        world.run("run", "--quiet", code=1)
        yield world
        world.clean_up()
        client.drop_database("reported")


def rows_of(done: Done, form: str) -> list[dict[str, Any]]:
    """The rows of a report, parsed back."""
    if form == "csv":
        return list(csv.DictReader(io.StringIO(done.stdout, newline=""), strict=True))
    if form == "jsonl":
        return [json.loads(line) for line in done.stdout.splitlines()]
    report = json.loads(done.stdout)
    assert report["row_count"] == len(report["rows"])
    found: list[dict[str, Any]] = report["rows"]
    return found


def report(world: World, *arguments: str) -> list[dict[str, Any]]:
    return rows_of(world.run("report", "--format", "jsonl", *arguments, code=0), "jsonl")


@pytest.mark.parametrize("view", VIEWS)
def test_every_format_parses_back_to_the_same_rows(reported: World, view: str) -> None:
    forms = ("json", "jsonl", "csv", "table")
    started = [reported.start("report", "--view", view, "--format", form) for form in forms]
    as_json, as_lines, as_csv, table = (one.wait() for one in started)

    rows = rows_of(as_json, "json")
    assert rows
    assert rows_of(as_lines, "jsonl") == rows
    parsed = rows_of(as_csv, "csv")
    assert len(parsed) == len(rows)
    assert [list(row) for row in parsed] == [list(row) for row in rows]
    for row, cells in zip(rows, parsed, strict=True):
        for name, value in row.items():
            if value is None or value == []:
                assert cells[name] == ""
            elif isinstance(value, int | float):
                assert float(cells[name]) == value
            elif isinstance(value, str):
                assert cells[name].removeprefix("'") == value
    assert not any(cell.startswith(_FORMULA) for row in parsed for cell in row.values())
    lines = table.stdout.splitlines()
    assert len(lines) == len(rows) + 1
    assert lines[0].split() == list(rows[0])
    assert all(done.stderr == "" and done.code == 0 for done in (as_json, as_lines, as_csv, table))
    if view == "attempts":
        assert tuple(rows[0]) == ATTEMPT_KEYS
        assert rows[0]["email"] is None or "***@" in rows[0]["email"]


def test_a_payment_id_that_is_a_formula_is_harmless_in_csv_and_itself_in_json(reported: World) -> None:
    as_csv = reported.start("report", "--view", "attempts", "--format", "csv")
    as_lines = reported.start("report", "--view", "attempts", "--format", "jsonl")

    payments = {row["payment_id"] for row in rows_of(as_csv.wait(), "csv")}
    assert {"'=1+1", "'@SUM(A1:A9)"} <= payments
    assert {"=1+1", "@SUM(A1:A9)"} <= {row["payment_id"] for row in rows_of(as_lines.wait(), "jsonl")}


def test_the_filters_choose_rows(reported: World) -> None:
    everything = report(reported, "--view", "attempts")
    assert reported.shop is not None
    order = reported.document(reported.shop.expected["enrollable"][0])
    address, course = order["email"].strip().lower(), order["courseId"]
    run = everything[0]["run_id"]
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    chosen = {
        ("--course", course): lambda row: row["course"] == course,
        ("--outcome", "waiting"): lambda row: row["outcome"] == "waiting",
        ("--reason", "malformed"): lambda row: row["reason"] == "malformed",
        ("--run", run): lambda row: True,
        ("--run", "no-such-run"): lambda row: False,
        ("--email", address): lambda row: row["enrollment_id"] == str(order["_id"]),
        ("--since", "2h"): lambda row: True,
        ("--until", "2h"): lambda row: False,
        ("--since", soon): lambda row: False,
        ("--course", course, "--outcome", "enrolled"): lambda row: (
            (row["course"], row["outcome"]) == (course, "enrolled")
        ),
    }

    started = {
        arguments: reported.start("report", "--view", "attempts", "--format", "jsonl", *arguments)
        for arguments in chosen
    }
    for arguments, wanted in chosen.items():
        found = rows_of(started[arguments].wait(), "jsonl")
        assert found == [row for row in everything if wanted(row)], arguments


def test_addresses_are_whole_only_when_asked_for(reported: World) -> None:
    done = reported.run(
        "report", "--view", "attempts", "--format", "jsonl", "--with-emails", code=0, addresses=True
    )

    assert "evil@example.com" in {row["email"] for row in rows_of(done, "jsonl")}


def test_a_file_holds_what_stdout_would_and_is_its_owners(reported: World, tmp_path: Path) -> None:
    output = tmp_path / "attempts.csv"
    output.write_text("the report of yesterday")
    arguments = ("report", "--view", "attempts", "--format", "csv")

    printed = reported.start(*arguments)
    written = reported.start(*arguments, "--output", str(output))
    wrote = written.wait()

    assert (wrote.code, wrote.stdout) == (0, "")
    assert f"written to {output}" in wrote.stderr
    assert output.read_bytes().decode().replace("\r\n", "\n") == printed.wait().stdout
    side = [tmp_path / f"attempts.csv.{suffix}" for suffix in ("provenance.json", "sha256")]
    assert sorted(tmp_path.iterdir()) == [output, *side]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (output, *side))
    assert wrote.stderr.count("sha256") == 1


@pytest.mark.parametrize("form", ["jsonl", "html", "xlsx"])
def test_a_file_that_cannot_be_written_to_its_end_leaves_the_old_one(
    reported: World, tmp_path: Path, form: str
) -> None:
    output = tmp_path / f"attempts.{form}"
    output.write_text("the report of yesterday")

    done = reported.start(
        "report", "--view", "attempts", "--format", form, "--output", str(output), preexec_fn=_small_files
    ).process
    stdout, stderr = done.communicate(timeout=60)

    assert done.returncode not in (0, None)
    assert stdout == ""
    assert output.read_text() == "the report of yesterday"
    assert list(tmp_path.iterdir()) == [output]
    assert "Exception ignored" not in stderr
    assert "Traceback" not in stderr
    assert "bug" not in stderr, stderr  # a full disk is none of ours


def _small_files() -> None:
    """In the child: files may grow to 40 KB (SQLite needs 32), as on a disk that is nearly full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))


def test_a_folder_that_is_not_there_is_wrong_usage(reported: World, tmp_path: Path) -> None:
    done = reported.run("report", "--output", str(tmp_path / "missing" / "report.txt"), code=2)

    assert "cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_plain_file_is_written_to_and_not_replaced(reported: World, tmp_path: Path) -> None:
    """As root, replacing /dev/null or /dev/stdout by a file would be the end of many programs."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        reported.run("report", "--view", "runs", "--format", "jsonl", "--output", str(pipe))
        got = os.read(reader, 65536)
    finally:
        os.close(reader)

    assert list(tmp_path.iterdir()) == [pipe], "a pipe gets no side file"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert json.loads(got)["status"] == "completed"


def test_without_an_audit_there_is_nothing_to_report(bare: World) -> None:
    done = bare.run("report", code=4)

    assert "no audit database yet" in done.stderr
    assert "→" in done.stderr
    assert not bare.audit_file.exists()


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl"])
def test_an_export_is_utf8_whatever_the_locale(world: World, form: str) -> None:
    world.order("bob@exämple.com")
    world.run("run", code=0)

    done = world.run(
        "report", "--view", "attempts", "--format", form, env={"PYTHONIOENCODING": "ascii"}, code=0
    )

    assert "b***@exämple.com" in done.stdout


def test_both_sides_tries_and_what_was_never_marked(world: World) -> None:
    given_up = {"synced": False, "syncStatus": "failed", "retryCount": 5, "lastSyncAttempt": ago(hours=8)}
    order = world.order("sam@example.com", frappeSync=given_up | {"errorMessage": "User not found"})
    unmarked_order(world, "kim@example.com")
    world.run("run", "--quiet", code=0)

    (row,) = report(world, "--view", "enrollments")
    (run,) = report(world, "--view", "runs")
    backlog = world.run("report", "--format", "json", code=0).json["sections"]["backlog"]

    assert (row["enrollment_id"], row["visits"], row["shop_tries"], row["attempts"]) == (order, 1, 5, 6)
    assert run["unmarked"] == 1
    assert backlog["figures"]["unmarked"] == 1
    assert any("paid and never marked: 1 order that" in line for line in backlog["words"])
