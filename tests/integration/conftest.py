"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson.codec_options import CodecOptions
from pymongo.database import Database

from reconcile.base.redaction import forget_secrets
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.sandbox.shop.storefront import Storefront
from tests.fakes.audit_file import new_audit
from tests.fakes.receiver import Receiver
from tests.fakes.world import FakeClock
from tests.faults.bench import Bench
from tests.integration.storefronts import COURSE, LEARNER, OTHER
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


@pytest.fixture
def shop_lms() -> Iterator[FrappeStandIn]:
    """The LMS that a storefront calls: two learners, one course, nobody enrolled."""
    site = load_site([{"email": LEARNER}, {"email": OTHER}], [{"name": COURSE}])
    with FrappeStandIn(site) as lms:
        yield lms


@pytest.fixture
def shop_database(database: Database[dict[str, Any]]) -> Database[dict[str, Any]]:
    """The storefront's database, read with times that know their zone."""
    database["enrollments"].create_index("paymentId", unique=True)
    return database.with_options(CodecOptions(tz_aware=True))


@pytest.fixture
def storefront(shop_database: Database[dict[str, Any]], shop_lms: FrappeStandIn) -> Storefront:
    """A storefront that waits for the LMS as long as a busy machine may need."""
    return Storefront(shop_database, lms_url=shop_lms.url, timeout=30.0, retry_delay=0.05)


@pytest.fixture
def hasty(shop_database: Database[dict[str, Any]], shop_lms: FrappeStandIn) -> Storefront:
    """A storefront that the LMS can keep waiting."""
    return Storefront(shop_database, lms_url=shop_lms.url, timeout=1.0, retry_delay=0.05)
