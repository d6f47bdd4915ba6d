"""What Frappe's answers mean: tables over recorded ones, and properties over arbitrary ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconcile.base.errors import (
    AuthenticationFailed,
    ProtocolViolation,
    RateLimited,
    ReconcileError,
    ServiceUnavailable,
)
from reconcile.domain.model import (
    EffectKey,
    Reason,
)
from reconcile.lms import answers, pages
from reconcile.lms.errors import error_text, exc_type
from reconcile.lms.http.answer import Answer
from reconcile.run.answers import AlreadyThere, Created, Refused

RECORDINGS = Path(__file__).parents[2] / "contract" / "recordings"
KEY = EffectKey("student1@example.com", "python-basics")


def recorded(case: str) -> Answer:
    response = json.loads((RECORDINGS / f"{case}.json").read_text())["response"]
    body = response["body"]
    raw = body if isinstance(body, str) else json.dumps(body)
    return Answer.of(response["status"], dict(response["headers"]), raw.encode())


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


Read = Callable[[Answer], Any]

# Recorded answers: success and refusal are values.


@pytest.mark.parametrize(
    "case", ["05_confirm_success", "05_confirm_with_token", "05_confirm_email_case", "s24_confirm_success"]
)
def test_recorded_confirmations(case: str) -> None:
    found = recorded(case)

    assert (
        confirmed(found)
        == keyless(found)
        == Created(lms_id=found.json["message"]["enrollment_id"], http_status=200)
    )


@pytest.mark.parametrize(
    "case",
    [
        "05_rest_success",
        "05_rest_course_case",
        "05_rest_new_email_case",
        "s24_rest_success",
        "h24_rest_duplicate",
    ],
)
def test_recorded_creations(case: str) -> None:
    found = recorded(case)
    document = found.json["data"]
    key = EffectKey(document["member"].lower(), document["course"])

    assert answers.created(found, key) == Created(lms_id=document["name"], http_status=200)


@pytest.mark.parametrize(
    ("case", "with_key", "without"),
    [
        ("05_confirm_duplicate", Reason.LMS_REJECTED, None),
        ("05_confirm_no_user", Reason.LMS_REJECTED, Reason.MEMBER_MISSING),
        ("05_confirm_no_course", Reason.LMS_REJECTED, Reason.COURSE_MISSING),
    ],
)
def test_recorded_refusals_of_the_vendor(case: str, with_key: Reason, without: Reason | None) -> None:
    found = recorded(case)

    refused = confirmed(found)
    assert isinstance(refused, Refused)
    assert refused.reason is with_key
    assert refused.error == found.json["message"]["error"]
    told = keyless(found)
    assert isinstance(told, AlreadyThere) if without is None else told.reason is without


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("05_rest_duplicate", "Student is already enrolled in this course."),
        ("s24_rest_duplicate", "Student 1 is already a Student of the course Python Basics"),
        ("05_rest_missing_user", "Could not find Member: g***@example.com"),
        ("05_rest_missing_course", "Could not find Course: no-such-course"),
        ("05_rest_missing_both", "Could not find Course: no-such-course, Member: g***@example.com"),
        ("05_rest_unpublished_as_sysman", "You cannot enroll in an unpublished course."),
        ("08_notrace_duplicate", "Student is already enrolled in this course."),
        ("08_notrace_missing_user", "Could not find Member: g***@example.com"),
        ("08_acceptlang_de_missing_user", "Member: g***@example.com konnte nicht gefunden werden"),
    ],
)
def test_recorded_refusals_of_frappe_are_looked_at_again(case: str, words: str) -> None:
    refused = rest(recorded(case))

    assert refused == Refused(reason=Reason.LMS_REJECTED, error=words, http_status=417)


# Recorded answers: everything else is one of our errors.


@pytest.mark.parametrize(
    ("case", "read", "error", "attributes"),
    [
        ("02_allow_guest_method_bad_token", confirmed, AuthenticationFailed, {"reason": "unauthorized"}),
        (
            "02_whoami_bad_secret",
            listed,
            AuthenticationFailed,
            {"reason": "unauthorized", "http_status": 401},
        ),
        ("02_whoami_absent", listed, AuthenticationFailed, {"reason": "forbidden", "http_status": 403}),
        ("03_as_student_low_getlist", listed, AuthenticationFailed, {"reason": "forbidden"}),
        ("05_rest_bad_token", rest, AuthenticationFailed, {"reason": "unauthorized"}),
        ("05_rest_guest", rest, AuthenticationFailed, {"reason": "forbidden"}),
        ("05_rest_as_student_low", rest, AuthenticationFailed, {"reason": "forbidden"}),
        ("05_method_not_whitelisted", confirmed, AuthenticationFailed, {"reason": "forbidden"}),
        (
            "01_ping_host_unknown",
            answers.check_ping,
            ProtocolViolation,
            {"ends_run": True, "http_status": 404},
        ),
        ("05_api_unknown_route", confirmed, ProtocolViolation, {"ends_run": True, "http_status": 404}),
        ("03_get_unknown_doctype", listed, ProtocolViolation, {"ends_run": True}),
        ("05_rest_method_not_allowed", rest, ProtocolViolation, {"ends_run": True, "http_status": 405}),
        ("05_rest_body_26MB", rest, ProtocolViolation, {"ends_run": False, "http_status": 413}),
        ("03_get_url_too_long", listed, ProtocolViolation, {"ends_run": False, "http_status": 400}),
        ("03_get_bad_field", listed, ProtocolViolation, {"ends_run": False, "http_status": 417}),
        ("07_rate_429_confirm", confirmed, RateLimited, {"retry_after": 54.0, "http_status": 429}),
        ("07_rate_429_post", rest, RateLimited, {"retry_after": 54.0}),
        ("07_rate_429_html", answers.check_ping, RateLimited, {"retry_after": 54.0}),
        (
            "07_maintenance_ping",
            answers.check_ping,
            ServiceUnavailable,
            {"certain": True, "http_status": 503},
        ),
        ("07_maintenance_confirm", confirmed, ServiceUnavailable, {"certain": True, "retry_after": None}),
        ("07_maintenance_readonly_post", rest, ServiceUnavailable, {"certain": True}),
        ("07_maintenance_html", listed, ServiceUnavailable, {"certain": True}),
        ("07_dbdown_ping", answers.check_ping, ServiceUnavailable, {"certain": True, "http_status": 500}),
        ("07_dbdown_confirm", confirmed, ServiceUnavailable, {"certain": False, "http_status": 500}),
        ("07_dbdown_post", rest, ServiceUnavailable, {"certain": False}),
        ("07_db_killed_mid_request", rest, ServiceUnavailable, {"certain": False}),
        ("07_deadlock_confirm", confirmed, ServiceUnavailable, {"certain": False}),
        ("07_lock_wait_timeout_rest", rest, ServiceUnavailable, {"certain": False}),
        ("05_confirm_missing_arg", confirmed, ServiceUnavailable, {"certain": False}),
    ],
)
def test_recorded_errors(
    case: str, read: Read, error: type[ReconcileError], attributes: dict[str, object]
) -> None:
    with pytest.raises(error) as caught:
        read(recorded(case))

    assert {name: getattr(caught.value, name) for name in attributes} == attributes


def recorded_answers() -> list[str]:
    """All recordings that hold an answer; some are tables, or tell that none came."""
    texts = {path.stem: json.loads(path.read_text()) for path in sorted(RECORDINGS.glob("*.json"))}
    return [
        case
        for case, text in texts.items()
        if isinstance(text, dict) and (text.get("response") or {}).get("status")
    ]


@pytest.mark.parametrize("case", recorded_answers())
def test_no_recorded_answer_escapes_the_classification(case: str) -> None:
    found = recorded(case)
    for read in (confirmed, keyless, rest, listed, answers.check_ping):
        try:
            result = read(found)
        except ReconcileError as error:
            assert "Traceback" not in str(error)  # noqa: PT017  what the message holds, not that it came
            assert "@example.com" not in str(error).replace("***@example.com", "")  # noqa: PT017
        else:
            assert not isinstance(result, Created) or result.lms_id


# The method of the vendor may be absent, in any language.


@pytest.mark.parametrize(
    "case",
    [
        "05_method_missing_module",
        "05_method_missing_module_auth",
        "08_notrace_missing_method",
        "08_lang_de_missing_method",
        "08_lang_fr_missing_method",
        "08_acceptlang_fr_missing_method_guest",
    ],
)
def test_a_missing_method_ends_the_run(case: str) -> None:
    text = (RECORDINGS / f"{case}.json").read_text()
    # Recorded with a name that exists nowhere; on a stock LMS ours is the one that does not.
    body = json.loads(text.replace("payment_confirmation_x", "payment_confirmation"))["response"]["body"]

    with pytest.raises(ProtocolViolation) as caught:
        confirmed(answer(417, body))

    assert caught.value.ends_run
    assert "RECONCILE_ENROLL_VIA=rest" in caught.value.hint


# Lists, and words.


def test_recorded_lists_and_counts() -> None:
    assert listed(recorded("03_post_no_match")) == []
    assert len(listed(recorded("03_as_sysman_getlist"))) >= 1
    assert answers.count(recorded("03_count"), "count") == 1
    users = answers.rows(recorded("04_users"), "list", texts=("name",), flag="enabled")
    assert pages.flags_by_name(users, "enabled")["disabled1@example.com"] is False
    courses = answers.rows(recorded("04_courses"), "list", texts=("name",), flag="published")
    assert pages.flags_by_name(courses, "published")["python-basics"] is True
    assert answers.user(recorded("02_whoami_token"), "whoami") == "integration@example.com"


def test_words_are_redacted_and_without_tags() -> None:
    found = recorded("08_notrace_forbidden")

    assert exc_type(found) == "PermissionError"
    assert error_text(found).startswith("User l***@example.com does not have doctype access")


def test_the_user_of_the_key_is_told_or_is_no_answer() -> None:
    assert answers.user(answer(body={"message": "sam@example.com"}), "whoami") == "sam@example.com"
    for odd in ("", None, 7, ["sam@example.com"]):
        with pytest.raises(ProtocolViolation, match="no user"):
            answers.user(answer(body={"message": odd}), "whoami")
