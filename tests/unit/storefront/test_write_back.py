"""The one update that is made to an order: which fields, from which verdict, and never over a synced one."""

from __future__ import annotations

from typing import Any

import pytest

from reconcile.domain.model import Outcome, Reason, SyncState, Verdict
from reconcile.run.source import WriteBack
from reconcile.storefront.write_back import is_regular, plain_update, sync_update
from tests.fakes.world import NOON


def update(**verdict: Any) -> list[dict[str, Any]]:
    return sync_update(WriteBack(enrollment_id="e1", verdict=Verdict(**verdict), at=NOON))


def written(stage: dict[str, Any]) -> dict[str, Any]:
    """The fields of the last stage, where the order is not synced by now."""
    is_synced, as_it_is, merged = stage["$set"]["frappeSync"]["$cond"]
    assert is_synced["$and"]
    assert as_it_is == "$frappeSync"
    fields: dict[str, Any] = merged["$mergeObjects"][1]
    return fields


def test_a_failure_counts_and_says_why() -> None:
    (stage,) = update(outcome=Outcome.RETRYING, reason=Reason.LMS_REJECTED, error="$no", attempts=1)

    fields = written(stage)
    assert fields["syncStatus"] == {"$literal": "retrying"}
    assert fields["errorMessage"] == {"$literal": "$no"}, "text stays text"
    assert fields["lastSyncAttempt"] == {"$literal": NOON}
    assert fields["retryCount"]["$add"][1] == {"$literal": 1}
    assert "synced" not in fields


def test_access_takes_away_what_told_of_the_failure() -> None:
    gone, stage = update(outcome=Outcome.ALREADY_ENROLLED, lms_id="x")

    assert set(gone["$set"]) == {"frappeSync.errorMessage", "frappeSync.retryJobId"}
    assert all(value["$cond"][2] == "$$REMOVE" for value in gone["$set"].values())
    assert written(stage) == {
        "syncStatus": {"$literal": "success"},
        "lastSyncAttempt": {"$literal": NOON},
        "synced": {"$literal": True},
        "enrollmentId": {"$literal": "x"},
        "syncCompletedAt": {"$literal": NOON},
    }


def test_only_a_write_of_ours_counts_for_access() -> None:
    _, stage = update(outcome=Outcome.ENROLLED, lms_id="x", attempts=1)

    assert written(stage)["retryCount"]["$add"][1] == {"$literal": 1}


def plain(**verdict: Any) -> dict[str, Any]:
    return plain_update(WriteBack(enrollment_id="e1", verdict=Verdict(**verdict), at=NOON))


def test_a_plain_update_says_the_same_of_a_failure() -> None:
    assert plain(outcome=Outcome.FAILED, error="$no") == {
        "$set": {
            "frappeSync.syncStatus": "failed",
            "frappeSync.lastSyncAttempt": NOON,
            "frappeSync.errorMessage": "$no",
        },
        "$inc": {"frappeSync.retryCount": 0},
    }


def test_a_plain_update_says_the_same_of_access() -> None:
    written = {
        "frappeSync.syncStatus": "success",
        "frappeSync.lastSyncAttempt": NOON,
        "frappeSync.synced": True,
        "frappeSync.enrollmentId": "x",
        "frappeSync.syncCompletedAt": NOON,
    }
    gone = {"frappeSync.errorMessage": "", "frappeSync.retryJobId": ""}

    assert plain(outcome=Outcome.RECOVERED, lms_id="x") == {"$set": written, "$unset": gone}
    counted = plain(outcome=Outcome.ENROLLED, lms_id="x", attempts=1)
    assert counted == {"$set": written, "$unset": gone, "$inc": {"frappeSync.retryCount": 1}}


@pytest.mark.parametrize(
    ("sync", "regular"),
    [
        (None, True),
        (SyncState(status="failed"), True),
        (SyncState(status="success"), False),
        (SyncState(status="odd"), False),
        (SyncState(), False),
    ],
)
def test_a_plain_update_is_tried_where_it_may_do(sync: SyncState | None, regular: bool) -> None:
    verdict = Verdict(outcome=Outcome.ENROLLED, lms_id="x")

    assert is_regular(WriteBack(enrollment_id="e1", verdict=verdict, at=NOON, sync=sync)) is regular
