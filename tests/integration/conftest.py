"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from reconcile.redaction import forget_secrets
from reconcile.sandbox.lms_server import FrappeStandIn
from reconcile.sandbox.lms_site import load_site
from reconcile.sandbox.mongo_server import EmbeddedMongo
from tests.fakes.audit_file import new_audit
from tests.fakes.receiver import Receiver
from tests.fakes.world import FakeClock
from tests.faults.bench import Bench
from tests.integration.watched import Watched


@pytest.fixture
def watched(mongo: EmbeddedMongo, database: Database[dict[str, Any]], tmp_path: Path) -> Iterator[Watched]:
    strangers = [{"email": f"old{number}@example.com"} for number in range(2)]
    there = [{"member": row["email"], "course": "web-dev"} for row in strangers]
    site = load_site(strangers, [{"name": "web-dev"}], there)
    site.switches.race_window = 0.0
    new_audit(tmp_path).close()
    with FrappeStandIn(site) as lms, Receiver() as alerts, Receiver() as pings:
        bench = Bench(database=database, mongodb_uri=mongo.uri(database.name), lms=lms, folder=tmp_path)
        bench.environment["RECONCILE_TIMEOUT"] = "10s"
        clock = FakeClock(time=datetime.now(UTC).replace(microsecond=0))
        yield Watched(bench=bench, alerts=alerts, pings=pings, clock=clock)
    forget_secrets()
