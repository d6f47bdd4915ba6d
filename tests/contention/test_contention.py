"""Many processes over the same orders at once: every learner is enrolled, and nobody twice.

The LMS has no unique key and looks away for 20 ms between its own check and its insert, so that two
requests for one learner and course at the same time would make two rows.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from reconcile.audit.log import open_audit
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.sandbox.servers import KEY
from reconcile.sandbox.shop.many_orders import VOLUME_COURSES, many_orders, many_users

RACE_WINDOW = 0.02
PATIENCE = 300.0


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """How many processes work on how many orders, with how many audit files."""

    processes: int
    orders: int
    audits: int


CROWDS = [
    pytest.param(Crowd(processes=8, orders=500, audits=1), id="one-audit"),
    pytest.param(Crowd(processes=8, orders=500, audits=4), id="four-audits"),
]


@contextmanager
def lms_for(orders: int) -> Iterator[FrappeStandIn]:
    courses = [{"name": course.slug} for course in VOLUME_COURSES]
    somebody = {"member": "somebody@example.com", "course": VOLUME_COURSES[0].slug}
    site = load_site([*many_users(orders), {"email": somebody["member"]}], courses, [somebody])
    site.switches.race_window = RACE_WINDOW
    with FrappeStandIn(site) as lms:
        yield lms


def start(environment: Mapping[str, str], audit: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "reconcile", "run", "--json", "--quiet"]
    return subprocess.Popen(
        command,
        env={**os.environ, **environment, "RECONCILE_AUDIT_URL": f"sqlite:///{audit}"},
        cwd=audit.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What one process left behind."""

    code: int
    summary: dict[str, Any]
    complaints: str


def end(process: subprocess.Popen[str]) -> Ended:
    try:
        out, complaints = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert out, complaints
    return Ended(code=process.returncode, summary=json.loads(out), complaints=complaints)


def attempts(audit: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(audit)) as file:
        file.row_factory = sqlite3.Row
        return [dict(row) for row in file.execute("SELECT * FROM attempts")]


@pytest.mark.parametrize("crowd", CROWDS)
def test_a_crowd_enrolls_everybody_once(
    crowd: Crowd, mongo: EmbeddedMongo, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    orders = [order for order, _ in many_orders(crowd.orders, now=datetime.now(UTC), in_lms_share=0.0)]
    database["enrollments"].insert_many(orders)
    audits = [tmp_path / f"audit{number}.db" for number in range(crowd.audits)]
    for audit in audits:
        open_audit(f"sqlite:///{audit}").close()
    with lms_for(crowd.orders) as lms:
        environment = {
            "MONGODB_URI": mongo.uri(database.name),
            "FRAPPE_LMS_BASE_URL": lms.url,
            "FRAPPE_LMS_API_KEY": KEY,
            "RECONCILE_PAGE_SIZE": "50",
        }
        processes = [start(environment, audits[number % crowd.audits]) for number in range(crowd.processes)]
        ended = [end(process) for process in processes]
        rows = Counter((row["member"], row["course"]) for row in lms.site.enrollments())
        requests = sum(entry.operation.startswith("enroll") for entry in lms.log)

    pairs = {(order["email"], order["courseId"]) for order in orders}
    assert {pair: rows[pair] for pair in pairs} == dict.fromkeys(pairs, 1)
    assert requests == crowd.orders
    documents = list(database["enrollments"].find())
    assert {document["frappeSync"]["syncStatus"] for document in documents} == {"success"}
    assert all(document["frappeSync"]["enrollmentId"] for document in documents)
    for each in ended:
        assert each.summary["status"] == "completed", each.complaints
        assert "locked" not in each.complaints
        assert "Traceback" not in each.complaints
    enrolled = [each.summary["outcomes"]["enrolled"] for each in ended]
    assert sum(enrolled) == crowd.orders
    assert sum(each > 0 for each in enrolled) > 1, "one process did it all: that was no contention"
    for audit in audits:
        assert [row for row in attempts(audit) if row["finished_at"] is None] == []
    assert list(database["reconcile_leases"].find()) == []
