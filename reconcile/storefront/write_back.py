"""The one update that reconcile makes to an order: what `frappeSync` says after a verdict.

A pipeline update, because `frappeSync` may be absent, `null` or no object at all on old documents,
and `retryCount` no number: `$set` and `$inc` refuse those. Every value of ours is a `$literal`: an
error text that begins with `$` must stay text.

Many orders are written by one update, which looks up each one's own values: half the work for the server of
as many updates. One document that refuses it ends it for those after; they are then written one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reconcile.domain.model import SYNC_STATUS, UNNAMED_LMS_ID
from reconcile.run.source import WriteBack

#: "Synced meanwhile", by the storefront's definition. In the pipeline and not in the filter: there
#: the `_id` stays the only thing to search by, and the test is atomic all the same.
_SYNCED = {
    "$and": [
        {"$eq": ["$frappeSync.synced", True]},
        {"$eq": ["$frappeSync.syncStatus", "success"]},
        {"$eq": [{"$type": "$frappeSync.enrollmentId"}, "string"]},
        {"$not": [{"$in": ["$frappeSync.enrollmentId", ["", UNNAMED_LMS_ID]]}]},
    ]
}
_CURRENT = {"$cond": [{"$eq": [{"$type": "$frappeSync"}, "object"]}, "$frappeSync", {}]}
_RETRIES = {"$cond": [{"$isNumber": "$frappeSync.retryCount"}, "$frappeSync.retryCount", 0]}


def same_way(item: WriteBack) -> tuple[bool, bool]:
    """Orders that are alike in this are written by one `sync_updates`: has access, and counts."""
    return item.verdict.outcome.has_access, bool(item.verdict.attempts)


def sync_updates(items: Sequence[tuple[object, WriteBack]]) -> list[dict[str, Any]]:
    """The same as `sync_update` for many orders, alike in `same_way`: each with its document's `_id`."""
    place = {"$indexOfArray": [{"$literal": [raw for raw, _ in items]}, "$_id"]}
    fields: Any = {"$arrayElemAt": [{"$literal": [_fields(item) for _, item in items]}, place]}
    attempts = {"$arrayElemAt": [{"$literal": [item.verdict.attempts for _, item in items]}, place]}
    return _pipeline(items[0][1], fields, attempts)


def sync_update(item: WriteBack) -> list[dict[str, Any]]:
    """The update pipeline for one order; leaves an order that is synced by now as it is.

    May be repeated, but for the count of retries.
    """
    return _pipeline(item, {"$literal": _fields(item)}, {"$literal": item.verdict.attempts})


def _fields(item: WriteBack) -> dict[str, Any]:
    verdict = item.verdict
    fields: dict[str, Any] = {
        "syncStatus": SYNC_STATUS[verdict.outcome].value,
        "lastSyncAttempt": item.at,
    }
    if not verdict.outcome.has_access:
        return fields | {"errorMessage": verdict.error}
    return fields | {"synced": True, "enrollmentId": verdict.lms_id, "syncCompletedAt": item.at}


def _pipeline(item: WriteBack, fields: Any, attempts: Any) -> list[dict[str, Any]]:
    has_access, counts = same_way(item)
    merged = [_CURRENT, fields]
    if counts or not has_access:
        merged.append({"retryCount": {"$add": [_RETRIES, attempts]}})
    unless_synced = {"$cond": [_SYNCED, "$frappeSync", {"$mergeObjects": merged}]}
    last = {"$set": {"frappeSync": unless_synced}}
    if not has_access:
        return [last]
    # First what goes, while "synced meanwhile" can still be told; then what comes.
    gone = {f"frappeSync.{name}": _removed_unless_synced(name) for name in ("errorMessage", "retryJobId")}
    return [{"$set": gone}, last]


def _removed_unless_synced(name: str) -> dict[str, Any]:
    return {"$cond": [_SYNCED, f"$frappeSync.{name}", "$$REMOVE"]}
