"""`report`: files and what stands beside them, pipes and terminals, pages and workbooks from outside."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import pty
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from pymongo import MongoClient

from reconcile import __version__
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from tests.acceptance.harness import World

VIEWS = ("summary", "attempts", "enrollments", "runs")


@pytest.fixture(scope="session")
def small(mongo: EmbeddedMongo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Five orders after one run, two of them waiting for an account. Only to be read."""
    with (
        MongoClient[dict[str, Any]](mongo.uri("small")) as client,
        FrappeStandIn(load_site([], [])) as lms,
    ):
        folder = tmp_path_factory.mktemp("small")
        world = World(mongo=mongo, database=client["small"], lms=lms, folder=folder)
        lms.site.add_course("web-dev")
        lms.site.add_user("old@example.com")
        lms.site.enroll("old@example.com", "web-dev")
        for number in range(5):
            world.order(f"learner{number}@example.com", account=number < 3, amount=100 + number)
        world.run("run", "--quiet", code=0)
        yield world
        world.clean_up()
        client.drop_database("small")


def verified(path: Path) -> str:
    """What `sha256sum -c` says in the file's own folder."""
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--", f"{path.name}.sha256"],
        cwd=path.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl", "html", "xlsx"])
def test_each_file_has_its_checksum(small: World, tmp_path: Path, form: str) -> None:
    output = tmp_path / f"report.{form}"

    small.run("report", "--view", "attempts", "--format", form, "--output", str(output), code=0)

    assert verified(output) == f"report.{form}: OK\n"
    digest = hashlib.sha256(output.read_bytes()).hexdigest()
    assert (tmp_path / f"report.{form}.sha256").read_text() == f"{digest}  report.{form}\n"
    rows_alone = form in ("table", "csv", "jsonl")
    assert (tmp_path / f"report.{form}.provenance.json").exists() == rows_alone
    assert len(list(tmp_path.iterdir())) == 2 + rows_alone


@pytest.mark.parametrize("name", ["with blanks.csv", "back\\slash.csv", "new\nline.csv", "-dash.csv"])
def test_odd_names_are_checked_too(small: World, tmp_path: Path, name: str) -> None:
    output = tmp_path / name

    small.run("report", "--format", "csv", "--output", str(output), code=0)

    assert verified(output).endswith("OK\n")


def test_provenance_stands_beside_what_is_rows_alone(small: World, tmp_path: Path) -> None:
    output = tmp_path / "attempts.csv"
    before = datetime.now(UTC)

    small.run(
        "report", "--view", "attempts", "--format", "csv", "--outcome", "waiting", "--since", "2026-01-01",
        "--email", "learner4@example.com", "--output", str(output), code=0,
    )  # fmt: skip

    about = json.loads((tmp_path / "attempts.csv.provenance.json").read_text())
    assert about["file"] == "attempts.csv"
    assert about["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    assert about["view"] == "attempts"
    assert about["version"] == __version__
    assert about["filters"] == {
        "since": "2026-01-01T00:00:00+00:00",
        "outcome": "waiting",
        "email": "l***@example.com",
    }
    assert about["period"]["since"] == "2026-01-01T00:00:00+00:00"
    assert about["emails"] == "masked"
    assert about["row_count"] == 1 == len(list(csv.DictReader(io.StringIO(output.read_text()))))
    assert before <= datetime.fromisoformat(about["generated_at"]) <= datetime.now(UTC)


def test_a_new_export_replaces_what_stood_beside_the_old(small: World, tmp_path: Path) -> None:
    output = tmp_path / "runs.csv"
    arguments = ("report", "--view", "runs", "--format", "csv", "--output", str(output))
    small.run(*arguments, code=0)

    small.run(*arguments, "--run", "no-such-run", code=0)

    assert verified(output) == "runs.csv: OK\n"
    assert json.loads((tmp_path / "runs.csv.provenance.json").read_text())["row_count"] == 0


@pytest.mark.parametrize("output", [(), ("--output", "/dev/stdout")], ids=["stdout", "device"])
def test_a_workbook_goes_through_a_pipe(small: World, output: tuple[str, ...]) -> None:
    process = small.start(
        "report", "--view", "attempts", "--format", "xlsx", *output, text=False, encoding=None
    )
    stdout, stderr = process.process.communicate(timeout=60)

    assert process.process.returncode == 0, stderr
    sheet = load_workbook(io.BytesIO(stdout))["attempts"]  # type: ignore[arg-type]
    assert sheet.max_row == 1 + 5
    assert not list(small.folder.glob("*.sha256"))


@pytest.mark.parametrize("output", [(), ("--output", "/dev/stdout")], ids=["stdout", "device"])
def test_a_workbook_is_not_thrown_at_a_terminal(small: World, output: tuple[str, ...]) -> None:
    ours, theirs = pty.openpty()
    try:
        done = small.start("report", "--format", "xlsx", *output, stdout=theirs).wait()
    finally:
        os.close(theirs)
        os.close(ours)

    assert done.code == 2
    assert "--output FILE" in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(small: World) -> None:
    for form in ("csv", "html", "xlsx"):
        process = small.start("report", "--format", form, text=False, encoding=None).process
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 0
        assert stderr in (b"", ""), stderr


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_the_same_rows_in_a_workbook_as_in_json(
    small: World, tmp_path: Path, view: str
) -> None:
    output = tmp_path / "report.xlsx"
    small.run("report", "--view", view, "--format", "xlsx", "--output", str(output), code=0)
    rows = small.run("report", "--view", view, "--format", "json", code=0).json["rows"]

    sheet = load_workbook(output)[view]

    assert sheet.max_row == 1 + len(rows)
    for cells, row in zip(sheet.iter_rows(min_row=2, values_only=True), rows, strict=True):
        for cell, value in zip(cells, row.values(), strict=True):
            match cell:
                case datetime():
                    told = datetime.fromisoformat(value).replace(tzinfo=None)
                    assert abs((cell - told).total_seconds()) < 0.001
                case None:
                    assert value in (None, [], "")
                case _:
                    assert cell == value


def test_the_page_is_for_eyes_that_may_see_no_address(small: World) -> None:
    page = small.run("report", "--format", "html", code=0)
    whole = small.run("report", "--format", "html", "--with-emails", code=0, addresses=True)

    assert "<!doctype html>" in page.stdout
    assert "l***@example.com" in page.stdout
    assert "learner4@example.com" in whole.stdout
    assert ">in full<" in whole.stdout


def test_the_owners_numbers_are_the_same_in_json(small: World) -> None:
    sections = small.run("report", "--format", "json", code=0).json["sections"]

    assert sections["backlog"]["figures"]["learners"] == 2
    assert sections["backlog"]["figures"]["money_usd"] == 103 + 104
    assert sections["causes"]["tables"]["causes_by_money"] == [
        {"currency": "usd", "cause": "member_missing", "amount": 207, "orders": 2}
    ]
    assert [row["email"] for row in sections["waiting"]["tables"]["waiting"]] == ["l***@example.com"] * 2
    assert sections["backlog"]["words"][0] == (
        "2 learners paid 207.00 USD in 2 orders and cannot open the course."
    )


def test_the_same_filters_choose_for_the_owner(small: World) -> None:
    sections = small.run("report", "--format", "json", "--email", "learner3@example.com", code=0).json[
        "sections"
    ]

    assert sections["backlog"]["figures"]["orders"] == 1
    assert sections["runs"]["figures"]["runs"] == 1
