"""What Frappe's answers mean, beyond the recorded ones: statuses, odd shapes, and anything at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.base.errors import (
    AmbiguousWrite,
    AuthenticationFailed,
    ProtocolViolation,
    ReconcileError,
    ServiceUnavailable,
)
from reconcile.domain.model import (
    EffectKey,
)
from reconcile.lms import answers
from reconcile.lms.errors import error_text
from reconcile.lms.http.answer import Answer
from reconcile.run.answers import AlreadyThere, Created, Refused

KEY = EffectKey("student1@example.com", "python-basics")


def answer(status: int = 200, body: Any = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer.of(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def confirmed(given_answer: Answer) -> Any:
    return answers.confirmed(given_answer, keyless=False)


def keyless(given_answer: Answer) -> Any:
    return answers.confirmed(given_answer, keyless=True)


def rest(given_answer: Answer) -> Any:
    return answers.created(given_answer, KEY)


def listed(given_answer: Answer) -> Any:
    return answers.rows(given_answer, "list", texts=("name", "member", "course"))


def refusal(message: str, *, kind: str = "ValidationError", trace: bool = True) -> dict[str, Any]:
    body = {"exc_type": kind, "_server_messages": json.dumps([json.dumps({"message": message})])}
    return body | ({"exception": f"frappe.exceptions.{kind}: {message}"} if trace else {})


# Statuses.


@pytest.mark.parametrize("status", [502, 503, 504, 520, 521, 522, 523, 524])
def test_what_a_gateway_gave_up_on_may_still_be_done(status: int) -> None:
    for read in (confirmed, keyless, rest):
        with pytest.raises(AmbiguousWrite):
            read(answer(status, b"<html>"))
    with pytest.raises(ServiceUnavailable) as caught:
        listed(answer(status, b"<html>"))
    assert caught.value.certain


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_means_another_address(status: int) -> None:
    for read in (confirmed, rest, listed, answers.check_ping):
        with pytest.raises(ProtocolViolation) as caught:
            read(answer(status, b"", Location="https://elsewhere.example.com/login"))
        assert caught.value.ends_run
        assert "FRAPPE_LMS_BASE_URL" in caught.value.hint


def test_a_refusal_by_a_firewall_is_told_from_a_missing_role() -> None:
    with pytest.raises(AuthenticationFailed) as wall:
        rest(answer(403, b"<html>blocked</html>"))
    with pytest.raises(AuthenticationFailed) as role:
        rest(answer(403, {"exc_type": "PermissionError"}))

    assert "firewall" in wall.value.hint
    assert "Moderator" in role.value.hint


def test_a_refusal_whose_traceback_names_the_method_is_a_refusal() -> None:
    body = refusal("Not now") | {"exc": json.dumps([f"Traceback … in {answers.CONFIRM_METHOD}"])}

    assert isinstance(confirmed(answer(417, body)), Refused)


# Shapes.


@pytest.mark.parametrize("body", [{"message": "pong"}, {"message": "pong", "session_expired": 1}])
def test_a_pong(body: object) -> None:
    answers.check_ping(answer(200, body))


@pytest.mark.parametrize(
    "body", [b"<html>Welcome</html>", b"", b"pong", {"message": "PING"}, {"data": "pong"}, [], None]
)
def test_no_pong_is_no_frappe(body: object) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        answers.check_ping(answer(200, body))

    assert caught.value.ends_run
    assert "FRAPPE_LMS_BASE_URL" in caught.value.hint


@pytest.mark.parametrize(
    "body", [b"<html>", b"", {}, [], None, "x", 1, {"message": None}, {"message": "done"}]
)
def test_a_success_without_the_shape_is_no_success(body: object) -> None:
    for read in (confirmed, keyless, rest):
        with pytest.raises(ProtocolViolation) as caught:
            read(answer(200, body))
        assert not caught.value.ends_run


@pytest.mark.parametrize("name", [None, "", "  ", 7, True, ["x"], "x" * 141, "a\nb", "\ud800"])
def test_a_success_that_names_no_document_is_looked_at_again(name: object) -> None:
    with pytest.raises(ProtocolViolation, match="named no document"):
        confirmed(answer(200, {"message": {"success": True, "enrollment_id": name}}))
    with pytest.raises(ProtocolViolation, match="named no document"):
        rest(answer(200, {"data": {"name": name, "member": KEY.member, "course": KEY.course}}))


def test_the_answer_may_be_unwrapped() -> None:
    assert confirmed(answer(200, {"success": True, "enrollment_id": "e1"})) == Created(
        lms_id="e1", http_status=200
    )
    assert isinstance(keyless(answer(200, {"success": False, "error": "already enrolled"})), AlreadyThere)


@pytest.mark.parametrize("success", ["true", 1, None, 0, "false"])
def test_success_is_a_boolean_or_nothing(success: object) -> None:
    with pytest.raises(ProtocolViolation):
        confirmed(answer(200, {"message": {"success": success, "enrollment_id": "e1"}}))


@pytest.mark.parametrize("error", [None, "", 7, {"a": 1}])
def test_a_refusal_without_words_is_still_a_refusal(error: object) -> None:
    assert isinstance(confirmed(answer(200, {"message": {"success": False, "error": error}})), Refused)
    assert isinstance(keyless(answer(200, {"message": {"success": False, "error": error}})), Refused)


@pytest.mark.parametrize(
    ("member", "course"),
    [
        ("other@example.com", KEY.course),
        (KEY.member, "other"),
        ("stúdent1@example.com", KEY.course),
        (None, KEY.course),
        (KEY.member, None),
        (7, 7),
    ],
)
def test_a_document_for_somebody_else_is_no_success(member: object, course: object) -> None:
    with pytest.raises(ProtocolViolation):
        rest(answer(200, {"data": {"name": "e1", "member": member, "course": course}}))


def test_case_and_blanks_of_the_stored_spelling_do_not_matter() -> None:
    body = {"data": {"name": "e1", "member": " Student1@Example.com ", "course": "Python-Basics"}}

    assert rest(answer(200, body)) == Created(lms_id="e1", http_status=200)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        {},
        {"data": []},
        {"message": None},
        {"message": {}},
        {"message": "x"},
        {"message": [1]},
        {"message": [["e1", "m", "c"]]},
        {"message": [{}]},
        {"message": [{"name": "e1", "member": "m"}]},
        {"message": [{"name": "e1", "member": "m", "course": None}]},
        {"message": [{"name": "e1", "member": 7, "course": "c"}]},
        {"message": [{"name": "", "member": "m", "course": "c"}]},
        {"message": [{"name": "e1", "member": "m", "course": "c"}, None]},
    ],
)
def test_a_list_of_another_shape_concludes_nothing(body: object) -> None:
    with pytest.raises(ProtocolViolation):
        listed(answer(200, body))


@pytest.mark.parametrize("flag", [None, "1", "", 2, [], {}])
def test_a_flag_is_0_or_1(flag: object) -> None:
    with pytest.raises(ProtocolViolation):
        answers.rows(
            answer(200, {"message": [{"name": "x", "enabled": flag}]}),
            "list",
            texts=("name",),
            flag="enabled",
        )


@pytest.mark.parametrize("value", [None, "1", True, -1, 1.5, [], {}])
def test_a_count_is_a_number(value: object) -> None:
    with pytest.raises(ProtocolViolation):
        answers.count(answer(200, {"message": value}), "count")


# Words.


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"exc_type": "DoesNotExistError"}, "DoesNotExistError"),
        ({"exception": "frappe.exceptions.X: some words"}, "some words"),
        ({"exception": "frappe.exceptions.X"}, "frappe.exceptions.X"),
        ({"_server_messages": "[broken", "exc_type": "X"}, "X"),
        ({"_server_messages": '["not json"]', "exc_type": "X"}, "X"),
        ({"_server_messages": '[{"message": "direct"}]'}, "direct"),
        ({"_server_messages": '["{\\"message\\": {\\"a\\": 1}}"]', "exc_type": "X"}, "X"),
        ({"_server_messages": 7, "exception": 7, "exc_type": 7}, ""),
        ([1], ""),
        (b"<html><h1>Bad  Gateway</h1>", "Bad Gateway"),
    ],
)
def test_where_the_words_stand(body: object, text: str) -> None:
    assert error_text(answer(500, body)) == text


# Anything at all.

WORDS = ["message", "data", "success", "enrollment_id", "name", "member", "course", "error", "enabled"]
WORDS += ["exc_type", "exception", "_server_messages"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(WORDS) | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
BODIES = st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "Date", "X-RateLimit-Reset", "Content-Type"]),
    st.text(max_size=40),
    max_size=4,
)


@given(status=st.integers(100, 999), body=BODIES, headers=HEADERS)
def test_any_answer_is_a_value_or_one_of_our_errors(
    status: int, body: bytes, headers: dict[str, str]
) -> None:
    found = Answer.of(status, headers, body)
    for read in (confirmed, keyless, rest, listed, answers.check_ping):
        try:
            result = read(found)
        except ReconcileError as error:
            assert str(error).isprintable() or "\n" not in str(error)  # noqa: PT017
            continue
        if isinstance(result, Created):
            assert 200 <= status < 300
            assert result.lms_id.strip() == result.lms_id != ""


@given(status=st.sampled_from([200, 417, 500]), body=JSON)
def test_no_write_is_created_without_an_id(status: int, body: object) -> None:
    for read in (confirmed, keyless, rest):
        try:
            result = read(answer(status, body))
        except ReconcileError:
            continue
        if isinstance(result, Created):
            shown = json.dumps(body)
            assert json.dumps(result.lms_id)[1:-1] in shown
