"""The indexes that reconcile needs in MongoDB, and making them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.collection import Collection
from pymongo.database import Database

from reconcile.storefront import leases, retry_queue, scan
from reconcile.storefront.errors import store_errors

Document = dict[str, Any]

#: The storefront's own (STOREFRONT: existing indexes); made where an import has lost it.
BY_LEARNER = IndexModel(
    [("email", ASCENDING), ("courseId", ASCENDING), ("status", ASCENDING)],
    name="email_1_courseId_1_status_1",
)
#: The LMS account where it is not the buyer's address: `drift` and `explain` look orders up by it.
BY_ACCOUNT = IndexModel([("lmsContext.frappeEmail", ASCENDING)], name="reconcile_by_account", sparse=True)


@dataclass(frozen=True)
class Index:
    """One index that is needed, and whether it is there."""

    collection: str
    name: str
    present: bool


def indexes(database: Database[Document], *, collection: str, queue: str | None) -> list[Index]:
    """What is needed and what is there. Read only. Raises StoreUnavailable.

    `queue`: the storefront's retry queue, where it is another collection than the usual ones.
    """
    found = []
    for name, models in _needed(database, collection, queue).items():
        there = _key_patterns(database[name])
        found += [Index(name, str(model.document["name"]), _pattern(model) in there) for model in models]
    return found


def create_indexes(database: Database[Document], *, collection: str, queue: str | None) -> list[Index]:
    """Make what is missing; what had to be made. May be repeated. Raises StoreUnavailable."""
    made = [index for index in indexes(database, collection=collection, queue=queue) if not index.present]
    missing = {(index.collection, index.name) for index in made}
    with store_errors("creating indexes"):
        for name, models in _needed(database, collection, queue).items():
            wanted = [model for model in models if (name, model.document["name"]) in missing]
            if wanted:
                database[name].create_indexes(wanted)
    return made


def _needed(database: Database[Document], collection: str, queue: str | None) -> dict[str, list[IndexModel]]:
    # The storefront makes its own queue: where it has none yet, none is made for it.
    queues = retry_queue.existing(database, queue)
    return {
        collection: [*scan.INDEXES, BY_LEARNER, BY_ACCOUNT],
        **{name: list(retry_queue.INDEXES) for name in queues},
        leases.COLLECTION: [leases.TTL_INDEX],
    }


def _key_patterns(collection: Collection[Document]) -> set[tuple[Any, ...]]:
    with store_errors("reading indexes"):
        return {
            (tuple(spec["key"]), _filter(spec.get("partialFilterExpression")))
            for spec in collection.index_information().values()
        }


def _pattern(model: IndexModel) -> tuple[Any, ...]:
    document = model.document
    return tuple(dict(document["key"]).items()), _filter(document.get("partialFilterExpression"))


def _filter(expression: Mapping[str, Any] | None) -> tuple[Any, ...]:
    return tuple((expression or {}).items())
