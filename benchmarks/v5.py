"""V5: the scan of a storefront where nothing is unsynced, however many orders it has.

    python -m benchmarks.v5 [--quick]

Documents examined are what MongoDB's `explain` says of each of the scan's queries. The baseline is the
storefront's own question for the same orders, one `$or` that no index answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pymongo.database import Database

from benchmarks.shop import storefront, synced_orders
from benchmarks.table import Line, in_turns, program, timed
from reconcile.run.source import Selection
from reconcile.storefront.scan import CLAUSES, UNNAMED
from tests.fakes.mongo_shop import mongo_source

_MOST_SECONDS, _MOST_DOCUMENTS = 0.05, 10
_UNSYNCED = {
    "status": "paid",
    "$or": [
        {"frappeSync.synced": {"$ne": True}},
        {"frappeSync.syncStatus": {"$ne": "success"}},
        {"frappeSync.enrollmentId": {"$in": [None, ""]}},
    ],
}


def measure(quick: bool) -> Iterator[Line]:  # noqa: FBT001  # as every program of the table
    """One line."""
    count = 20_000 if quick else 1_000_000
    with storefront() as shop, shop.database(synced_orders(count)) as database:
        source, orders = mongo_source(database), database["enrollments"]
        found = 0

        def scan() -> float:
            nonlocal found

            def whole() -> None:
                nonlocal found
                found += sum(1 for _ in source.scan(Selection(unnamed=True)))

            return timed(whole)

        scan()  # connects
        took, naive = in_turns(
            1 if quick else 3, scan, lambda: timed(lambda: orders.count_documents(_UNSYNCED))
        )
        examined = sum(_examined(database, query) for query in [*(query for query, _ in CLAUSES), UNNAMED])
    if found:
        raise AssertionError(f"{found} orders were found, and none is unsynced")
    yield Line(
        number="V5",
        what=f"scan of {count:,} orders, none unsynced",
        goal=f"< {1000 * _MOST_SECONDS:.0f} ms, ≤ {_MOST_DOCUMENTS} documents examined",
        measured=f"{1000 * took:.1f} ms, {examined} examined",
        ratio=f"{took / naive:.4f} × one $or, {1000 * naive:.0f} ms",
        holds=took < _MOST_SECONDS and examined <= _MOST_DOCUMENTS,
    )


def _examined(database: Database[Any], query: dict[str, Any]) -> int:
    asked = {"find": "enrollments", "filter": query}
    told = database.command("explain", asked, verbosity="executionStats")
    return int(told["executionStats"]["totalDocsExamined"])


if __name__ == "__main__":
    sys.exit(program(measure, __doc__))
