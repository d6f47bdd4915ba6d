"""The one update that reconcile makes to an order: what `frappeSync` says after a verdict.

A plain update where `frappeSync` is as the shop writes it: cheaper for the server. What is not regular
(absent, `null` or no object at all on old documents, `retryCount` no number) is not matched by its filter
or refused by the server, and nothing is changed: a pipeline update then takes every shape. Both say the
same, and neither touches an order that is synced by now. In the pipeline every value of ours is a
`$literal`: an error text that begins with `$` must stay text.
"""

from __future__ import annotations

from typing import Any

from reconcile.domain.model import SYNC_STATUS, UNNAMED_LMS_ID, SyncStatus
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


#: `frappeSync` is an object, and the order unsynced, in the shop's own words: the guard of a plain update.
_REGULAR = (SyncStatus.FAILED.value, SyncStatus.PENDING.value, SyncStatus.RETRYING.value)
GUARD: dict[str, Any] = {"frappeSync.syncStatus": {"$in": list(_REGULAR)}}


def is_regular(item: WriteBack) -> bool:
    """Whether the plain update is worth trying, as far as is known of the order."""
    return item.sync is None or item.sync.status in _REGULAR


def plain_update(item: WriteBack) -> dict[str, Any]:
    """The same as `sync_update` for an order that meets the guard, or refused by the server."""
    verdict = item.verdict
    fields: dict[str, Any] = {
        "syncStatus": SYNC_STATUS[verdict.outcome].value,
        "lastSyncAttempt": item.at,
    }
    update: dict[str, Any] = {}
    if verdict.attempts or not verdict.outcome.has_access:
        update["$inc"] = {"frappeSync.retryCount": verdict.attempts}
    if verdict.outcome.has_access:
        fields |= {"synced": True, "enrollmentId": verdict.lms_id, "syncCompletedAt": item.at}
        update["$unset"] = {"frappeSync.errorMessage": "", "frappeSync.retryJobId": ""}
    else:
        fields["errorMessage"] = verdict.error
    update["$set"] = {f"frappeSync.{name}": value for name, value in fields.items()}
    return update


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
