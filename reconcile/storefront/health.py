"""What `diagnose` asks MongoDB: is it there, is it the storefront's, is the search cheap."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from reconcile.storefront.errors import store_errors
from reconcile.storefront.scan import CLAUSES

Document = dict[str, Any]

#: What an order of the storefront has (STOREFRONT).
_FIELDS = ("courseId", "email", "paymentId", "status")
_SAMPLE = 20


@dataclass(frozen=True, kw_only=True)
class MongoHealth:
    """What was seen."""

    version: str
    latency_ms: float
    skew_seconds: float | None  #: server clock minus ours
    has_collection: bool
    orders: int  #: looked at, as a sample
    missing_fields: tuple[str, ...]  #: that no order of the sample has
    unindexed: int  #: clauses of the scan that would read the whole collection
    replica_set: bool


def look(database: Database[Document], *, collection: str) -> MongoHealth:
    """Ask. Reads only. Raises StoreUnavailable, ConfigurationError."""
    with store_errors("asking MongoDB how it is"):
        before = time.monotonic()
        hello = database.command("hello", codec_options=database.codec_options)
        took = time.monotonic() - before
        local = hello.get("localTime")
        ahead = (
            (local - datetime.now(UTC)).total_seconds() + took / 2 if isinstance(local, datetime) else None
        )
        version = str(database.client.server_info().get("version", "unknown"))
        has_collection = collection in database.list_collection_names()
        sample = list(database[collection].find({}, dict.fromkeys(_FIELDS, 1)).limit(_SAMPLE))
        plans = [database[collection].find(query).explain() for query, _ in CLAUSES] if has_collection else []
    return MongoHealth(
        version=version,
        latency_ms=took * 1000,
        skew_seconds=ahead,
        has_collection=has_collection,
        orders=len(sample),
        missing_fields=tuple(name for name in _FIELDS if sample and not any(name in each for each in sample)),
        unindexed=sum(_reads_everything(plan) for plan in plans),
        replica_set="setName" in hello,
    )


def _reads_everything(plan: Mapping[str, Any]) -> bool:
    """Whether a plan scans the collection: by the stages that it names."""
    return "COLLSCAN" in str(plan.get("queryPlanner", {}).get("winningPlan", {}))
