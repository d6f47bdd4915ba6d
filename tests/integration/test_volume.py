"""Large backlogs: few requests to the LMS, and memory that does not grow with the number of orders.

The command runs as its own process, so that its memory is its own. What was measured stands in the
test's output (`-rP`, or `-s`).
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import Site, load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.sandbox.servers import KEY
from reconcile.sandbox.shop.many_orders import many_courses, many_orders, many_users

Document = dict[str, Any]
Fill = Callable[..., Site]

MEGABYTE = 1024
MOST_MEMORY = 150 * MEGABYTE
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of the command. `peak` is in KB."""

    code: int
    output: str
    seconds: float
    peak: int
    enrolls: int
    others: int

    def __str__(self) -> str:
        peak = f"{self.peak / MEGABYTE:.0f} MB"
        return f"{self.seconds:.1f} s, {peak}, {self.enrolls} enroll requests, {self.others} others"


@pytest.fixture
def fill(database: Database[Document]) -> Fill:
    """Puts so many orders into MongoDB; the LMS for them, with the given share enrolled already."""

    def filled(count: int, *, in_lms_share: float) -> Site:
        known = []
        orders = many_orders(count, now=datetime.now(UTC), in_lms_share=in_lms_share)
        while page := list(itertools.islice(orders, 1000)):
            database.enrollments.insert_many([order for order, _ in page])
            known += [
                {"member": order["email"], "course": order["courseId"]} for order, there in page if there
            ]
        return load_site(many_users(count), many_courses(), known)

    return filled


@pytest.fixture
def command(mongo: EmbeddedMongo, database: Database[Document], tmp_path: Path) -> Callable[..., Measured]:
    """Runs the command against an LMS and measures it."""

    def run(lms: FrappeStandIn, *arguments: str) -> Measured:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "MONGODB_URI": mongo.uri(database.name),
            "FRAPPE_LMS_BASE_URL": lms.url,
            "FRAPPE_LMS_API_KEY": KEY,
            "RECONCILE_AUDIT_URL": f"sqlite:///{tmp_path / 'audit.db'}",
            "RECONCILE_LOG_LEVEL": "error",
        }
        before = lms.counters
        began = time.monotonic()
        with (tmp_path / "stdout").open("w+b") as stdout:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "reconcile", *arguments],
                stdout=stdout,
                cwd=tmp_path,
                env=environment,
            )
            peak = 0
            # Not ru_maxrss: that of a child begins with the memory of the process that it was forked from.
            while process.poll() is None:
                peak = max(peak, _peak(process.pid))
                time.sleep(0.02)
            stdout.seek(0)
            output = stdout.read().decode()
        asked = lms.counters - before
        enrolls = sum(count for name, count in asked.items() if name.startswith("enroll"))
        measured = Measured(
            code=process.returncode,
            output=output,
            seconds=time.monotonic() - began,
            peak=peak,
            enrolls=enrolls,
            others=sum(asked.values()) - enrolls,
        )
        print(f"{' '.join(arguments)}: {measured}")
        return measured

    return run


def _peak(pid: int) -> int:
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def check_run(measured: Measured, *, orders: int, enrolls: int, others: int) -> None:
    assert measured.code == 0
    summary = json.loads(measured.output)
    assert summary["scanned"] == orders
    assert summary["outcomes"]["enrolled"] + summary["outcomes"]["already_enrolled"] == orders
    assert summary["lms_requests"] == measured.enrolls + measured.others
    assert measured.enrolls <= enrolls
    assert measured.others <= others
    assert measured.peak < MOST_MEMORY


def all_are_enrolled_once(site: Site, database: Database[Document], orders: int) -> None:
    assert site.duplicates() == {}
    assert len(site.enrollments()) == orders
    synced = {"frappeSync.synced": True, "frappeSync.syncStatus": "success"}
    assert database.enrollments.count_documents(synced) == orders


def volume(
    orders: int,
    *,
    others: int,
    fill: Fill,
    command: Callable[..., Measured],
    database: Database[Document],
) -> None:
    """Nine of ten orders are in the LMS already: they are confirmed in bulk, the rest enrolled once."""
    site = fill(orders, in_lms_share=0.9)
    missing = orders - len(site.enrollments())
    with FrappeStandIn(site) as lms:
        command(lms, "init")
        measured = command(lms, "run", "--json")
        check_run(measured, orders=orders, enrolls=missing, others=others)
        all_are_enrolled_once(site, database, orders)


def test_a_thousand_orders_need_a_hundred_enrolls_and_few_looks(
    fill: Fill, command: Callable[..., Measured], database: Database[Document]
) -> None:
    volume(1_000, others=30, fill=fill, command=command, database=database)


@pytest.mark.slow
def test_ten_thousand_orders_need_a_thousand_enrolls_and_few_looks(
    fill: Fill, command: Callable[..., Measured], database: Database[Document]
) -> None:
    volume(10_000, others=250, fill=fill, command=command, database=database)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        (("plan", "--json"), (10_000, 100_000)),
        (("run", "--dry-run", "--json"), (10_000, 100_000)),
        # The embedded MongoDB needs its time to write: fewer orders, and half the ratio.
        (("run", "--json"), (5_000, 25_000)),
    ],
    ids=["plan", "dry run", "run"],
)
def test_memory_does_not_grow_with_the_backlog(
    fill: Fill,
    command: Callable[..., Measured],
    database: Database[Document],
    arguments: tuple[str, ...],
    sizes: tuple[int, int],
) -> None:
    """All are in the LMS: `run` confirms them, the others only look."""
    peaks = []
    for orders in sizes:
        database.client.drop_database(database.name)
        with FrappeStandIn(fill(orders, in_lms_share=1.0)) as lms:
            command(lms, "init")
            measured = command(lms, *arguments)
        assert measured.enrolls == 0
        assert measured.output.count('"confirm"') >= orders or f'"scanned": {orders}' in measured.output
        peaks.append(measured.peak)
    small, large = peaks
    assert large <= small * 1.15
    assert large < MOST_MEMORY
