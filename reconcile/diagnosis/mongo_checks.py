"""MongoDB: reachable, the storefront's, and cheap to search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from reconcile.adapters import mongo_health, mongo_setup
from reconcile.adapters.mongo_health import MongoHealth
from reconcile.diagnosis.checks import Check, ok, problem, warning
from reconcile.domain.summary import ExitCode
from reconcile.errors import ConfigurationError, ReconcileError
from reconcile.settings import Settings
from reconcile.wiring import open_database

_AREA = "mongodb"
#: Seconds by which clocks may differ before backoffs and ages become wrong.
_SKEW = 30.0


def mongo_checks(settings: Settings) -> Iterator[Check]:
    """Everything about MongoDB; one problem where it does not answer."""
    with ExitStack() as opened:
        try:
            database = open_database(settings, opened)
            seen = mongo_health.look(database, collection=settings.mongodb_collection)
            indexes = mongo_setup.indexes(database, collection=settings.mongodb_collection)
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
