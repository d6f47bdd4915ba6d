"""What Frappe's answer to many enrollments at once means: all, none, or nobody knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.base.errors import (
    AmbiguousWrite,
    AuthenticationFailed,
    ProtocolViolation,
    RateLimited,
    ReconcileError,
    ServiceUnavailable,
)
from reconcile.domain.model import Reason
from reconcile.lms import answers, bodies
from reconcile.lms.errors import in_its_own_words
from reconcile.lms.http.answer import Answer
from reconcile.run.answers import CreatedMany, RefusedMany
from tests.integration.lms_clients import order

RECORDINGS = Path(__file__).parents[2] / "contract" / "recordings"
WORDS = {"exc_type": "ValidationError", "exception": "frappe.exceptions.ValidationError: no"}


def recorded(case: str) -> Answer:
    response = json.loads((RECORDINGS / f"{case}.json").read_text())["response"]
    body = response["body"]
    raw = body if isinstance(body, str) else json.dumps(body)
    return Answer.of(response["status"], dict(response["headers"]), raw.encode())


def answer(status: int, body: Any) -> Answer:
    return Answer.of(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("case", "count"),
    [("05_many_3", 3), ("05_many_docs_as_string", 2), ("s24_many_3", 3), ("h24_many_5_third_duplicate", 5)],
)
def test_recorded_successes_name_each_document_in_order(case: str, count: int) -> None:
    found = recorded(case)

    assert answers.created_many(found, count) == CreatedMany(
        lms_ids=tuple(found.json["message"]), http_status=200
    )


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("05_many_5_third_duplicate", "Student is already enrolled in this course."),
        ("s24_many_5_third_duplicate", "Student 1 is already a Student of the course Web Dev"),
        ("05_many_5_third_missing_user", "Could not find Member: g***@example.com"),
        ("05_many_dup_inside_batch", "Student is already enrolled in this course."),
        ("05_many_201", "Only 200 inserts allowed in one request"),
    ],
)
def test_recorded_refusals_are_of_all_together(case: str, words: str) -> None:
    refused = answers.created_many(recorded(case), 5)

    assert refused == RefusedMany(reason=Reason.LMS_REJECTED, error=words, http_status=417)


@pytest.mark.parametrize(
    ("case", "error", "attributes"),
    [
        ("05_many_lowpriv", AuthenticationFailed, {"reason": "forbidden", "http_status": 403}),
        ("05_many_guest", AuthenticationFailed, {"reason": "forbidden"}),
        ("05_rest_bad_token", AuthenticationFailed, {"reason": "unauthorized"}),
        ("07_rate_429_post", RateLimited, {"retry_after": 54.0}),
        ("07_maintenance_readonly_post", ServiceUnavailable, {"certain": True}),
        # In Frappe's own words: rolled back.
        ("07_lock_wait_timeout_rest", ServiceUnavailable, {"certain": False, "http_status": 500}),
        ("07_deadlock_rest", ServiceUnavailable, {"certain": False}),
        # In nobody's: for a single write the run takes it for not done.
        ("07_db_killed_mid_request", AmbiguousWrite, {"http_status": 500}),
        ("07_dbdown_post", AmbiguousWrite, {}),
        ("05_rest_body_26MB", ProtocolViolation, {"ends_run": False, "http_status": 413}),
    ],
)
def test_recorded_errors(case: str, error: type[ReconcileError], attributes: dict[str, object]) -> None:
    with pytest.raises(error) as caught:
        answers.created_many(recorded(case), 3)

    assert type(caught.value) is error
    assert {name: getattr(caught.value, name) for name in attributes} == attributes


@pytest.mark.parametrize("status", [408, 409, 417, 500, 501, 502, 503, 504, 524, 599])
@pytest.mark.parametrize("body", [b"<html>Gateway</html>", b"", {"error": "no"}, ["no"], {"exc_type": ""}])
def test_what_is_not_in_frappes_own_words_is_no_answer(status: int, body: object) -> None:
    with pytest.raises(AmbiguousWrite) as caught:
        answers.created_many(answer(status, body), 3)

    assert caught.value.http_status == status


@pytest.mark.parametrize("name", ["exc_type", "exception", "_server_messages"])
def test_any_of_its_words_will_do(name: str) -> None:
    assert in_its_own_words(answer(417, {name: "ValidationError"}))
    assert isinstance(answers.created_many(answer(409, {name: "ValidationError"}), 2), RefusedMany)


@pytest.mark.parametrize(
    "message",
    [
        None,
        "a1",
        {"name": "a1"},
        [],
        ["a1"],
        ["a1", "a2", "a3"],
        ["a1", None],
        ["a1", ""],
        ["a1", " "],
        ["a1", 2],
        ["a1", "a1"],
        ["a1", "x" * 141],
    ],
)
def test_a_success_that_does_not_name_all_is_no_success(message: object) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        answers.created_many(answer(200, {"message": message}), 2)

    assert not caught.value.ends_run


@pytest.mark.parametrize("body", [b"", b"<html>", ["a1", "a2"], {"data": ["a1", "a2"]}, "a1"])
def test_a_success_of_another_shape_is_no_success(body: object) -> None:
    with pytest.raises(ProtocolViolation):
        answers.created_many(answer(200, body), 2)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["message", "exc_type", "exception", "data"]), inner, max_size=3)
    ),
    max_leaves=8,
)
BODIES: st.SearchStrategy[bytes] = st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode())


@given(status=st.integers(100, 999), body=BODIES, count=st.integers(1, 3))
def test_any_answer_is_all_none_or_one_of_our_errors(status: int, body: bytes, count: int) -> None:
    found = Answer.of(status, {}, body)
    try:
        result = answers.created_many(found, count)
    except ReconcileError:
        return
    if isinstance(result, CreatedMany):
        assert 200 <= status < 300
        assert len(set(result.lms_ids)) == count
    else:
        assert in_its_own_words(found)
        assert status in (409, 417)


def test_each_document_carries_what_the_single_write_does() -> None:
    orders = [order(), order(member="student2@example.com", referral_code="friend")]

    body = bodies.enrolling_many(orders)

    assert body == {"docs": [bodies.enrolling(item) | {"doctype": "LMS Enrollment"} for item in orders]}
    assert set(bodies.enrolling(orders[1])) == {"member", "course"}
