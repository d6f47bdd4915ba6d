"""The one update that is made to an order: which fields, from which verdict, and never over a synced one."""

from __future__ import annotations

from typing import Any

from reconcile.domain.model import Outcome, Reason, Verdict
from reconcile.run.source import WriteBack
from reconcile.storefront.write_back import sync_update
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
