"""The one update that reconcile makes to an order: what `frappeSync` says after a verdict.

A pipeline update, because `frappeSync` may be absent, `null` or no object at all on old documents,
and `retryCount` no number: `$set` and `$inc` refuse those. Every value of ours is a `$literal`: an
error text that begins with `$` must stay text.
"""

from __future__ import annotations

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


def sync_update(item: WriteBack) -> list[dict[str, Any]]:
    """The update pipeline for one order; leaves an order that is synced by now as it is.

    May be repeated, but for the count of retries.
    """
    verdict = item.verdict
    fields: dict[str, Any] = {
        "syncStatus": {"$literal": SYNC_STATUS[verdict.outcome].value},
        "lastSyncAttempt": {"$literal": item.at},
    }
    if verdict.attempts or not verdict.outcome.has_access:
        fields["retryCount"] = {"$add": [_RETRIES, {"$literal": verdict.attempts}]}
    if not verdict.outcome.has_access:
        fields["errorMessage"] = {"$literal": verdict.error}
        return [_unless_synced(fields)]
    fields |= {
        "synced": {"$literal": True},
        "enrollmentId": {"$literal": verdict.lms_id},
        "syncCompletedAt": {"$literal": item.at},
    }
    # First what goes, while "synced meanwhile" can still be told; then what comes.
    gone = {f"frappeSync.{name}": _removed_unless_synced(name) for name in ("errorMessage", "retryJobId")}
    return [{"$set": gone}, _unless_synced(fields)]


def _unless_synced(fields: dict[str, Any]) -> dict[str, Any]:
    merged = {"$mergeObjects": [_CURRENT, fields]}
    return {"$set": {"frappeSync": {"$cond": [_SYNCED, "$frappeSync", merged]}}}


def _removed_unless_synced(name: str) -> dict[str, Any]:
    return {"$cond": [_SYNCED, f"$frappeSync.{name}", "$$REMOVE"]}
