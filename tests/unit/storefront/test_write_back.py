"""The one update that is made to an order: which fields, from which verdict, and never over a synced one."""

from __future__ import annotations

from typing import Any

from reconcile.domain.model import Outcome, Reason, Verdict
from reconcile.run.source import WriteBack
from reconcile.storefront.write_back import same_way, sync_update, sync_updates
from tests.fakes.world import NOON


def update(**verdict: Any) -> list[dict[str, Any]]:
    return sync_update(WriteBack(enrollment_id="e1", verdict=Verdict(**verdict), at=NOON))


def written(stage: dict[str, Any]) -> dict[str, Any]:
    """The fields of the last stage, where the order is not synced by now."""
    is_synced, as_it_is, merged = stage["$set"]["frappeSync"]["$cond"]
    assert is_synced["$and"]
    assert as_it_is == "$frappeSync"
    _, fields, *more = merged["$mergeObjects"]
    return dict(fields["$literal"]) | {name: value for each in more for name, value in each.items()}


def test_a_failure_counts_and_says_why() -> None:
    (stage,) = update(outcome=Outcome.RETRYING, reason=Reason.LMS_REJECTED, error="$no", attempts=1)

    fields = written(stage)
    assert fields["syncStatus"] == "retrying"
    assert fields["errorMessage"] == "$no", "text stays text"
    assert fields["lastSyncAttempt"] == NOON
    assert fields["retryCount"]["$add"][1] == {"$literal": 1}
    assert "synced" not in fields


def test_access_takes_away_what_told_of_the_failure() -> None:
    gone, stage = update(outcome=Outcome.ALREADY_ENROLLED, lms_id="x")

    assert set(gone["$set"]) == {"frappeSync.errorMessage", "frappeSync.retryJobId"}
    assert all(value["$cond"][2] == "$$REMOVE" for value in gone["$set"].values())
    assert written(stage) == {
        "syncStatus": "success",
        "lastSyncAttempt": NOON,
        "synced": True,
        "enrollmentId": "x",
        "syncCompletedAt": NOON,
    }


def test_only_a_write_of_ours_counts_for_access() -> None:
    _, stage = update(outcome=Outcome.ENROLLED, lms_id="x", attempts=1)

    assert written(stage)["retryCount"]["$add"][1] == {"$literal": 1}


def test_many_are_updated_as_one_by_one_with_their_values_looked_up() -> None:
    verdicts = [Verdict(outcome=Outcome.ENROLLED, lms_id=name, attempts=1) for name in ("x", "$y")]
    items = [WriteBack(enrollment_id=f"e{each.lms_id}", verdict=each, at=NOON) for each in verdicts]

    gone, stage = sync_updates([(7, items[0]), ("e", items[1])])

    assert gone == sync_update(items[0])[0]
    _, fields, retries = stage["$set"]["frappeSync"]["$cond"][2]["$mergeObjects"]
    place = {"$indexOfArray": [{"$literal": [7, "e"]}, "$_id"]}
    values, at = fields["$arrayElemAt"]
    assert at == place
    assert [each["enrollmentId"] for each in values["$literal"]] == ["x", "$y"]
    assert retries["retryCount"]["$add"][1] == {"$arrayElemAt": [{"$literal": [1, 1]}, place]}


def test_what_is_updated_together() -> None:
    def way(**verdict: Any) -> tuple[bool, bool]:
        return same_way(WriteBack(enrollment_id="e1", verdict=Verdict(**verdict), at=NOON))

    assert way(outcome=Outcome.RECOVERED, lms_id="x") != way(outcome=Outcome.ENROLLED, lms_id="x", attempts=1)
    assert way(outcome=Outcome.FAILED, attempts=1) == way(outcome=Outcome.RETRYING, attempts=2)
    assert way(outcome=Outcome.FAILED) != way(outcome=Outcome.RECOVERED, lms_id="x")
