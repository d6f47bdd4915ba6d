"""The Frappe client against the stand-in: both ways to enroll, and everything that breaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from reconcile.base.errors import (
    AmbiguousWrite,
    AuthenticationFailed,
    ProtocolViolation,
    RateLimited,
    ReconcileError,
    ServiceUnavailable,
)
from reconcile.domain.model import (
    Enrolled,
    NotEnrolled,
    Reason,
)
from reconcile.lms.http.answer import Answer
from reconcile.run.answers import AlreadyThere, Created, Refused
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from tests.integration.lms_clients import HANGING, KEY, Clients, order

ALL_VIAS = ["confirm_payment", "rest"]


@pytest.fixture
def stand_in() -> Iterator[FrappeStandIn]:
    with FrappeStandIn() as server:
        yield server


@pytest.fixture
def lms(stand_in: FrappeStandIn) -> Iterator[Clients]:
    with Clients(stand_in.url) as clients:
        yield clients


def rows(stand_in: FrappeStandIn) -> int:
    return len(stand_in.site.enrollments_of(*KEY))


@pytest.mark.parametrize("via", ALL_VIAS)
def test_an_enrollment_is_created_and_then_seen(lms: Clients, stand_in: FrappeStandIn, via: str) -> None:
    platform = lms(via=via)

    answer = platform.enroll(order())

    assert isinstance(answer, Created)
    assert answer.http_status == 200
    assert platform.observe([KEY]) == {KEY: Enrolled(answer.lms_id)}
    assert rows(stand_in) == 1


def test_without_a_key_confirm_payment_works(lms: Clients, stand_in: FrappeStandIn) -> None:
    platform = lms(None)

    assert isinstance(platform.enroll(order()), Created)
    assert isinstance(platform.enroll(order()), AlreadyThere)
    assert platform.enroll(order(member="ghost@example.com")) == Refused(
        reason=Reason.MEMBER_MISSING, error="User not found", http_status=200
    )
    assert platform.enroll(order(course="nowhere")) == Refused(
        reason=Reason.COURSE_MISSING, error="Course not found", http_status=200
    )


@pytest.mark.parametrize("variant", ["head", "2024"])
@pytest.mark.parametrize("via", ALL_VIAS)
def test_a_refusal_is_a_value_and_its_words_decide_nothing(
    lms: Clients, stand_in: FrappeStandIn, via: str, variant: str
) -> None:
    stand_in.site.switches.variant = variant
    stand_in.site.enroll(*KEY)
    platform = lms(via=via)
    for refused in (order(), order(member="ghost@example.com"), order(course="nowhere")):
        answer = platform.enroll(refused)

        assert isinstance(answer, Refused)
        assert answer.reason is Reason.LMS_REJECTED
        assert answer.error
        assert "ghost@" not in answer.error


def test_what_confirm_payment_is_sent(lms: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    platform = lms()
    write = platform._http.write

    def spy(operation: str, path: str, *, body: Any) -> Answer:
        sent.append(body)
        return write(operation, path, body=body)

    monkeypatch.setattr(platform._http, "write", spy)

    platform.enroll(order(member="o'brien+x@example.com", referral_code="friend"))
    platform.enroll(order(amount=Decimal("0"), payment_id=None))
    platform.enroll(order(amount=Decimal("19.99"), course="web-dev", currency="eur"))
    platform.enroll(order(amount=None, course="data-science"))

    assert sent == [
        {
            "user_email": "o'brien+x@example.com",
            "course_id": "python-basics",
            "paid_status": True,
            "payment_id": "pi_1",
            "amount": 49,
            "currency": "usd",
            "referral_code": "friend",
        },
        {
            "user_email": KEY.member,
            "course_id": "python-basics",
            "paid_status": True,
            "amount": 0,
            "currency": "usd",
        },
        {
            "user_email": KEY.member,
            "course_id": "web-dev",
            "paid_status": True,
            "payment_id": "pi_1",
            "amount": 19.99,
            "currency": "eur",
        },
        {
            "user_email": KEY.member,
            "course_id": "data-science",
            "paid_status": True,
            "payment_id": "pi_1",
            "currency": "usd",
        },
    ]
    assert isinstance(sent[0]["amount"], int)


@pytest.mark.parametrize("traceback", [True, False])
@pytest.mark.parametrize("role", ["integration", None])
def test_a_stock_lms_without_the_method_ends_the_run(
    lms: Clients, stand_in: FrappeStandIn, role: str | None, *, traceback: bool
) -> None:
    stand_in.site.switches.confirm_payment = False
    stand_in.site.switches.allow_error_traceback = traceback

    with pytest.raises(ProtocolViolation) as caught:
        lms(role).enroll(order())

    assert caught.value.ends_run
    assert "RECONCILE_ENROLL_VIA=rest" in caught.value.hint


@pytest.mark.parametrize("role", ["lowpriv", "wrong"])
def test_a_key_that_may_not_create(lms: Clients, role: str) -> None:
    with pytest.raises(AuthenticationFailed):
        lms(role, via="rest").enroll(order())


#: Kind, the error, and what more it says.
ENROLL_FAULTS: dict[str, tuple[type[ReconcileError], dict[str, object]]] = {
    "500_json": (ServiceUnavailable, {"certain": False, "http_status": 500}),
    "500_html": (ServiceUnavailable, {"certain": False, "http_status": 500}),
    "502_html": (AmbiguousWrite, {"http_status": 502}),
    "504_html": (AmbiguousWrite, {"http_status": 504}),
    "503_maintenance": (ServiceUnavailable, {"certain": True, "http_status": 503}),
    "503_readonly": (ServiceUnavailable, {"certain": True, "http_status": 503}),
    "429": (RateLimited, {"retry_after": 7.0, "http_status": 429}),
    "garbage": (ProtocolViolation, {"ends_run": False}),
    "wrong_shape": (ProtocolViolation, {"ends_run": False}),
    "html_200": (ProtocolViolation, {"ends_run": False}),
    "bad_utf8": (ProtocolViolation, {"ends_run": False}),
    "empty_body": (ProtocolViolation, {"ends_run": False}),
    "huge": (ProtocolViolation, {"ends_run": False}),
    "redirect": (ProtocolViolation, {"ends_run": True, "http_status": 302}),
    "cut_before": (AmbiguousWrite, {"http_status": None}),
    "cut_after_write": (AmbiguousWrite, {"http_status": None}),
    "timeout_before": (AmbiguousWrite, {"http_status": None}),
    "timeout_after_write": (AmbiguousWrite, {"http_status": None}),
    "late_write": (AmbiguousWrite, {"http_status": None}),
}
WRITTEN = ("cut_after_write", "timeout_after_write")


@pytest.mark.parametrize("via", ALL_VIAS)
@pytest.mark.parametrize("kind", ENROLL_FAULTS)
def test_a_broken_write_is_sent_once_and_told_apart(
    lms: Clients, stand_in: FrappeStandIn, kind: str, via: str
) -> None:
    delay = {"timeout_before": HANGING, "timeout_after_write": HANGING, "late_write": 1.0}.get(kind, 0.0)
    stand_in.faults.add(Fault(kind=kind, times=None, operation="write", delay=delay, retry_after=7))
    error, attributes = ENROLL_FAULTS[kind]
    platform = lms(via=via)

    with pytest.raises(error) as caught:
        platform.enroll(order())

    assert {name: getattr(caught.value, name) for name in attributes} == attributes
    assert platform.requests == 1
    assert rows(stand_in) == (1 if kind in WRITTEN else 0)
    assert KEY.member not in f"{caught.value} {caught.value.hint}"
    assert "secret_integration" not in f"{caught.value} {caught.value.hint} {caught.value!r}"


@pytest.mark.parametrize("via", ALL_VIAS)
def test_a_late_write_comes_after_the_client_gave_up(lms: Clients, stand_in: FrappeStandIn, via: str) -> None:
    stand_in.faults.add(Fault(kind="late_write", operation="write", delay=0.8))
    platform = lms(via=via)

    with pytest.raises(AmbiguousWrite):
        platform.enroll(order())

    assert platform.observe([KEY]) == {KEY: NotEnrolled()}
    deadline = time.monotonic() + 5
    while not rows(stand_in) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert isinstance(platform.observe([KEY])[KEY], Enrolled)


def test_an_answer_without_its_wrapper_is_understood(lms: Clients, stand_in: FrappeStandIn) -> None:
    stand_in.faults.add(Fault(kind="not_wrapped", operation="enroll"))

    assert isinstance(lms().enroll(order()), Created)


def test_another_refusal_of_the_vendor(lms: Clients, stand_in: FrappeStandIn) -> None:
    stand_in.faults.add(
        Fault(kind="success_false", operation="enroll", text="No seats for student1@example.com")
    )

    answer = lms().enroll(order())

    assert answer == Refused(
        reason=Reason.LMS_REJECTED, error="No seats for s***@example.com", http_status=200
    )


def test_a_stopped_lms_was_sent_nothing(lms: Clients, stand_in: FrappeStandIn) -> None:
    platform = lms()
    stand_in.stop()

    with pytest.raises(ServiceUnavailable) as caught:
        platform.enroll(order())
    assert caught.value.certain


def test_who_the_key_is(lms: Clients) -> None:
    assert lms().whoami() == "integration@example.com"
    with pytest.raises(AuthenticationFailed):
        lms(None).whoami()
