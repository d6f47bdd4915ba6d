"""Fixtures of the fault tests: the servers are shared, the orders and the LMS are each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from tests.fakes.audit_file import new_audit
from tests.faults.bench import Bench


@pytest.fixture
def bench(mongo: EmbeddedMongo, database: Database[dict[str, Any]], tmp_path: Path) -> Iterator[Bench]:
    """Two strangers are enrolled already, so that the key can prove its sight; an empty audit database."""
    strangers = [{"email": f"old{number}@example.com"} for number in range(2)]
    there = [{"member": row["email"], "course": "web-dev"} for row in strangers]
    site = load_site(strangers, [{"name": "web-dev"}], there)
    site.switches.race_window = 0.0
    new_audit(tmp_path).close()
    with FrappeStandIn(site) as lms:
        yield Bench(database=database, mongodb_uri=mongo.uri(database.name), lms=lms, folder=tmp_path)
