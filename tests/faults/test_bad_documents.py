"""Bad documents in whole runs: never an exception, never a wrong write, never a secret shown.

They come out of the embedded MongoDB, which stores no broken UTF-8; a test of the source reads that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconcile.base.redaction import register_secret
from reconcile.run.summary import RunStatus
from tests.fakes.lines import ADDRESS, SECRET, everything_logged, shows_no_secret
from tests.fakes.world import order
from tests.faults.bench import COURSE, Bench

FIELDS = (
    *("courseId", "email", "paymentId", "amount", "currency", "status", "timestamp", "createdAt"),
    *("lmsContext", "affiliateData", "stripeEvents", "frappeSync"),
)
SYNC_FIELDS = ("synced", "syncStatus", "enrollmentId", "errorMessage", "retryCount", "lastSyncAttempt")


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.binary(max_size=8),
    st.sampled_from(
        [
            *("", " ", "\x00", "a\x00b@example.com", "\x1b[31m", "=1+1", "🎓@example.com", "x" * 70_000),
            *(f"{ADDRESS}\n", "python-basics\u202e", "../../etc", "$set", "\ufffd@example.com"),
            *(
                Int64(2**63 - 1),
                Decimal128("NaN"),
                Decimal128("1E+6144"),
                datetime(1, 1, 1, tzinfo=UTC),
                Timestamp(1, 1),
            ),
            *(Regex("a+"), MaxKey(), ObjectId(), [], {}, [[]], nested(80), {"$where": "1"}, {"": 1}),
        ]
    ),
    st.lists(st.integers(0, 3) | st.none(), max_size=3),
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """An order with one to four fields spoiled."""
    document = order("placeholder", courseId=COURSE)
    for field in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4, unique=True)):
        document[field] = draw(JUNK)
    if draw(st.booleans()):
        document["frappeSync"] = {
            name: draw(JUNK) for name in draw(st.lists(st.sampled_from(SYNC_FIELDS), max_size=4))
        }
    if draw(st.integers(0, 4)) == 0:
        document["status"] = draw(st.sampled_from(["pending", "failed", "PAID", "paid ", None, True]))
    return document


def insert(bench: Bench, found: Sequence[dict[str, Any]]) -> None:
    for number, document in enumerate(found):
        document["_id"] = ObjectId()
        if document["email"] == "placeholder@example.com":
            document["email"] = f"learner{number}@example.com"
        if isinstance(document["email"], str) and "\x00" not in document["email"]:
            bench.lms.site.add_user(document["email"])
    bench.database["enrollments"].insert_many(found)


def a_run_survives(bench: Bench, found: list[dict[str, Any]]) -> None:
    bench.database["enrollments"].delete_many({})
    bench.database["reconcile_leases"].delete_many({})
    if bench.lms.site.course(COURSE) is None:
        bench.lms.site.add_course(COURSE)
    insert(bench, found)
    bench.lms.calls.reset()
    unpaid = {str(item["_id"]): item for item in found if item["status"] != "paid"}

    with everything_logged() as lines:
        result = bench.run(RECONCILE_TIMEOUT="5s", RECONCILE_CONCURRENCY="4", RECONCILE_MIN_AGE="0s")

    assert result.summary.status is RunStatus.COMPLETED, result.failure
    shows_no_secret(lines.text)
    shows_no_secret(str([tuple(row) for row in bench.audit("SELECT * FROM attempts")]))
    assert bench.lms.site.duplicates() == {}
    assert bench.open_attempts() == []
    attempted = {row["enrollment_id"] for row in bench.attempts()}
    assert not attempted & set(unpaid)
    named = {row["name"] for row in bench.lms.site.enrollments()}
    recorded = {row["lms_enrollment_id"] for row in bench.audit("SELECT * FROM attempts")}
    assert recorded - {None} <= named


@pytest.fixture
def clean(bench: Bench) -> Bench:
    register_secret(SECRET)
    return bench


_ONE_BENCH = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=12, deadline=None, suppress_health_check=_ONE_BENCH)
@given(st.lists(documents(), min_size=10, max_size=25))
def test_no_document_breaks_a_run(clean: Bench, found: list[dict[str, Any]]) -> None:
    a_run_survives(clean, found)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=_ONE_BENCH)
@given(st.lists(documents(), min_size=10, max_size=25))
def test_no_document_of_thousands_breaks_a_run(clean: Bench, found: list[dict[str, Any]]) -> None:
    a_run_survives(clean, found)
