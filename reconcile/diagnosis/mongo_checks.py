"""MongoDB: reachable, the storefront's, and cheap to search; and whether the shop works its own queue."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from reconcile.base.errors import ConfigurationError, ReconcileError
from reconcile.diagnosis.checks import Check, ok, problem, warning
from reconcile.domain.shop_queue import ShopQueue
from reconcile.run.summary import ExitCode
from reconcile.settings import Settings
from reconcile.storefront import health, setup
from reconcile.storefront.health import MongoHealth
from reconcile.storefront.retry_queue import RetryQueue
from reconcile.story.shop_texts import WORKER_REMEDY, idle_line, queue_counts

_AREA, _QUEUE = "mongodb", "retry queue"
#: Seconds by which clocks may differ before backoffs and ages become wrong.
_SKEW = 30.0


def mongo_checks(database: Database[dict[str, Any]], settings: Settings) -> Iterator[Check]:
    """Everything about MongoDB; one problem where it does not answer."""
    try:
        seen = health.look(database, collection=settings.mongodb_collection)
        name, now = settings.retry_jobs_collection or None, datetime.now(UTC)
        indexes = setup.indexes(database, collection=settings.mongodb_collection, queue=name)
        queue = RetryQueue(database, name=name).look(now)
    except ConfigurationError as error:
        yield problem(_AREA, "reachable", "; ".join(error.problems), error.hint or "correct MONGODB_URI")
        return
    except ReconcileError as error:
        remedy = error.hint or "start MongoDB, or correct MONGODB_URI"
        yield problem(_AREA, "reachable", str(error), remedy, code=ExitCode.TEMPORARY)
        return
    yield ok(_AREA, "reachable", f"version {seen.version}, answers in {seen.latency_ms:.0f} ms")
    yield _collection(seen, settings)
    missing = [index.name for index in indexes if not index.present]
    if missing:
        yield warning(_AREA, "indexes", f"missing: {', '.join(missing)}", "run `reconcile init`")
    elif seen.unindexed:
        yield warning(
            _AREA, "indexes", f"{seen.unindexed} queries read the whole collection", "run `reconcile init`"
        )
    else:
        yield ok(_AREA, "indexes", "there, and used")
    if seen.skew_seconds is not None and abs(seen.skew_seconds) > _SKEW:
        yield warning(
            _AREA, "clock", f"{seen.skew_seconds:+.0f} s from ours", "let both hosts keep their time by NTP"
        )
    else:
        yield ok(_AREA, "clock", "agrees with ours")
    yield _retry_queue(queue, now)


def _collection(seen: MongoHealth, settings: Settings) -> Check:
    name = f"{settings.database}.{settings.mongodb_collection}"
    remedy = "correct MONGODB_URI, MONGODB_DB or MONGODB_COLLECTION: this is not the storefront's"
    if not seen.has_collection:
        return problem(_AREA, "collection", f"there is no collection {name}", remedy)
    if seen.missing_fields:
        fields = ", ".join(seen.missing_fields)
        return problem(_AREA, "collection", f"no document of {name} has {fields}", remedy)
    if not seen.orders:
        return warning(_AREA, "collection", f"{name} is empty", "nothing, if the shop has no orders yet")
    return ok(_AREA, "collection", f"{name} looks like the storefront's")


def _retry_queue(queue: ShopQueue, now: datetime) -> Check:
    """The storefront's own: where it is, how it stands, and whether somebody works it."""
    if queue.collection is None:
        return ok(
            _AREA, _QUEUE, "there is none; set MONGODB_RETRY_JOBS_COLLECTION if it is under another name"
        )
    says = f"{queue.collection}: {queue_counts(queue)}"
    if idle := idle_line(queue, now):
        return warning(_AREA, _QUEUE, f"{says}; {idle}", WORKER_REMEDY)
    return ok(_AREA, _QUEUE, says)
