"""The Frappe client against the stand-in: keys, sight, and looks at many learners."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from reconcile.base import log
from reconcile.base.errors import (
    AuthenticationFailed,
    ProtocolViolation,
    RateLimited,
    ReconcileError,
    ServiceUnavailable,
)
from reconcile.domain.model import (
    CourseMissing,
    CourseUnpublished,
    EffectKey,
    Enrolled,
    MemberDisabled,
    MemberMissing,
    NotEnrolled,
    Unknown,
)
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from tests.integration.lms_clients import HANGING, KEY, Clients, order


@pytest.fixture
def stand_in() -> Iterator[FrappeStandIn]:
    with FrappeStandIn() as server:
        yield server


@pytest.fixture
def lms(stand_in: FrappeStandIn) -> Iterator[Clients]:
    with Clients(stand_in.url) as clients:
        yield clients


# Ping and sight.


def test_a_ping(lms: Clients) -> None:
    lms().ping()
    lms(None).ping()


def test_a_wrong_key_fails_everything(lms: Clients) -> None:
    platform = lms("wrong")
    for ask in (
        platform.ping,
        platform.prove_sight,
        lambda: platform.observe([KEY]),
        lambda: platform.enroll(order()),
    ):
        with pytest.raises(AuthenticationFailed) as caught:
            ask()
        assert caught.value.reason == "unauthorized"


def test_an_empty_lms_proves_nothing(lms: Clients) -> None:
    assert not lms().prove_sight().proven


@pytest.mark.parametrize("role", ["integration", "sysman", "creator"])
def test_a_key_that_sees(lms: Clients, stand_in: FrappeStandIn, role: str) -> None:
    stand_in.site.enroll(*KEY)

    sight = lms(role).prove_sight()

    assert sight.proven
    assert sight.total == 1


def test_a_blind_key_is_told_from_an_empty_lms(lms: Clients, stand_in: FrappeStandIn) -> None:
    stand_in.site.enroll(*KEY)
    stand_in.site.enroll("student@example.com", "web-dev", owner="student@example.com")

    with pytest.raises(AuthenticationFailed) as caught:
        lms("student").prove_sight()

    assert caught.value.reason == "blind"
    assert "Moderator" in caught.value.hint


def test_a_list_of_ones_own_enrollments_proves_nothing(lms: Clients, stand_in: FrappeStandIn) -> None:
    stand_in.site.enroll("student@example.com", "web-dev", owner="student@example.com")

    assert not lms("student").prove_sight().proven


def test_where_nobody_says_who_the_key_is_the_list_is_believed(lms: Clients, stand_in: FrappeStandIn) -> None:
    stand_in.site.enroll(*KEY)
    stand_in.faults.add(Fault(kind="refuse", operation="whoami"))

    assert lms().prove_sight().proven


def test_a_key_without_a_role_is_forbidden(lms: Clients, stand_in: FrappeStandIn) -> None:
    stand_in.site.enroll(*KEY)

    with pytest.raises(AuthenticationFailed) as caught:
        lms("lowpriv").prove_sight()

    assert caught.value.reason == "forbidden"
    assert "Moderator" in caught.value.hint


@pytest.mark.parametrize(("members", "proven"), [(["student1"], False), (["student1", "student2"], True)])
def test_where_counting_is_refused_the_list_must_show_two_people(
    lms: Clients, stand_in: FrappeStandIn, members: list[str], *, proven: bool
) -> None:
    for member in members:
        stand_in.site.enroll(f"{member}@example.com", "web-dev")
    stand_in.faults.add(Fault(kind="refuse", operation="count", exc_type="PermissionError"))

    assert lms().prove_sight().proven is proven


def test_an_enrollment_that_goes_while_looking_is_no_blindness(lms: Clients, stand_in: FrappeStandIn) -> None:
    for number in range(1, 4):
        stand_in.site.enroll(f"student{number}@example.com", "web-dev")

    def unenroll_after_the_count(operation: str, _status: int | None, _seconds: float) -> None:
        if operation.startswith("count"):
            stand_in.site.unenroll("student1@example.com", "web-dev")

    platform = lms(on_request=unenroll_after_the_count)

    assert platform.prove_sight().proven
    assert stand_in.counters["list:LMS Enrollment"] == 2


def test_more_enrollments_than_the_sample(lms: Clients, stand_in: FrappeStandIn) -> None:
    for number in range(1, 151):
        stand_in.site.enroll(f"student{number}@example.com", "web-dev")

    assert lms().prove_sight().proven
    assert stand_in.counters["list:LMS Enrollment"] == 1


def test_without_a_key_nothing_is_looked_up(lms: Clients, stand_in: FrappeStandIn) -> None:
    platform = lms(None)

    assert not platform.verified
    assert not platform.prove_sight().proven
    assert isinstance(platform.observe([KEY])[KEY], Unknown)
    assert platform.requests == 0


# Observing.


def test_a_page_in_three_requests(lms: Clients, stand_in: FrappeStandIn) -> None:
    stand_in.site.enroll("student1@example.com", "python-basics")
    stand_in.site.enroll("student2@example.com", "python-basics")
    last = stand_in.site.enroll("student2@example.com", "python-basics")
    expected = {
        EffectKey("student1@example.com", "python-basics"): Enrolled,
        EffectKey("student1@example.com", "web-dev"): NotEnrolled,
        EffectKey("student2@example.com", "python-basics"): Enrolled,
        EffectKey("stúdent1@example.com", "python-basics"): MemberMissing,
        EffectKey("ghost@example.com", "python-basics"): MemberMissing,
        EffectKey("disabled1@example.com", "python-basics"): MemberDisabled,
        EffectKey("student3@example.com", "nowhere"): CourseMissing,
        EffectKey("ghost@example.com", "nowhere"): CourseMissing,
        EffectKey("student3@example.com", "unpublished"): CourseUnpublished,
        EffectKey("o'brien+x@example.com", "web-dev"): NotEnrolled,
    }
    platform = lms()

    seen = platform.observe(list(expected))

    assert {key: type(value) for key, value in seen.items()} == expected
    twice = seen[EffectKey("student2@example.com", "python-basics")]
    assert isinstance(twice, Enrolled)
    assert twice.copies == 2
    assert twice.lms_id != last["name"]
    assert platform.requests == 3


def test_where_everybody_is_enrolled_one_request_is_enough(lms: Clients, stand_in: FrappeStandIn) -> None:
    row = stand_in.site.enroll(*KEY)
    platform = lms()

    assert platform.observe([KEY, KEY]) == {KEY: Enrolled(row["name"])}
    assert platform.requests == 1
    assert platform.observe([]) == {}


def test_many_learners_take_more_requests(lms: Clients, stand_in: FrappeStandIn) -> None:
    for number in range(1, 201):
        stand_in.site.enroll(f"student{number}@example.com", "web-dev")
    keys = [EffectKey(f"student{number}@example.com", "web-dev") for number in range(1, 701)]

    seen = lms(timeout=5.0).observe(keys)

    assert sum(isinstance(value, Enrolled) for value in seen.values()) == 200
    assert sum(isinstance(value, MemberMissing) for value in seen.values()) == 500
    assert stand_in.counters["list:LMS Enrollment"] == 2


def test_a_refused_course_list_degrades_and_is_said_once(lms: Clients, stand_in: FrappeStandIn) -> None:
    stand_in.site.switches.variant = "2024"  # a Moderator may not list courses there (FRAPPE 4)
    stream = io.StringIO()
    log.configure("warning", "json", stream=stream)
    platform = lms()
    try:
        for _ in range(3):
            seen = platform.observe([EffectKey(KEY.member, "nowhere"), EffectKey("ghost@example.com", "x")])
    finally:
        log.configure("warning", "json")
        logging.captureWarnings(False)

    assert list(seen.values()) == [NotEnrolled(), MemberMissing()]
    assert stand_in.counters["list:LMS Course"] == 1
    (warning,) = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert (warning["doctype"], warning["http_status"]) == ("LMS Course", 403)


def test_titles_that_the_key_may_not_read_are_not_told(lms: Clients, stand_in: FrappeStandIn) -> None:
    stand_in.site.switches.variant = "2024"

    assert lms().titles(["python-basics"]) == {}


@pytest.mark.parametrize("doctype", ["User", "LMS Course"])
def test_a_hidden_field_degrades_too(lms: Clients, stand_in: FrappeStandIn, doctype: str) -> None:
    stand_in.faults.add(Fault(kind="refuse", operation="list", doctype=doctype, exc_type="DataError"))

    assert lms().observe([KEY]) == {KEY: NotEnrolled()}


def test_a_refused_enrollment_list_degrades_nothing(lms: Clients) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        lms("lowpriv").observe([KEY])
    assert caught.value.reason == "forbidden"


#: What goes wrong while looking, and what that is.
OBSERVE_FAULTS: dict[str, type[ReconcileError]] = {
    "500_json": ServiceUnavailable,
    "500_html": ServiceUnavailable,
    "502_html": ServiceUnavailable,
    "504_html": ServiceUnavailable,
    "503_maintenance": ServiceUnavailable,
    "429": RateLimited,
    "garbage": ProtocolViolation,
    "wrong_shape": ProtocolViolation,
    "html_200": ProtocolViolation,
    "bad_utf8": ProtocolViolation,
    "empty_body": ProtocolViolation,
    "huge": ProtocolViolation,
    "redirect": ProtocolViolation,
    "refuse": ProtocolViolation,
    "cut_before": ServiceUnavailable,
    "timeout_before": ServiceUnavailable,
}


@pytest.mark.parametrize("kind", OBSERVE_FAULTS)
def test_a_broken_look_concludes_nothing(lms: Clients, stand_in: FrappeStandIn, kind: str) -> None:
    stand_in.faults.add(Fault(kind=kind, times=None, operation="list", delay=HANGING * (kind[:4] == "time")))

    with pytest.raises(OBSERVE_FAULTS[kind]):
        lms().observe([KEY])


@pytest.mark.parametrize("kind", ["502_html", "503_maintenance", "504_html", "cut_before", "timeout_before"])
def test_what_passes_in_a_moment_is_asked_again(lms: Clients, stand_in: FrappeStandIn, kind: str) -> None:
    delay = HANGING if kind == "timeout_before" else 0.0
    stand_in.faults.add(Fault(kind=kind, times=2, operation="read", delay=delay))

    assert lms().observe([KEY]) == {KEY: NotEnrolled()}


@pytest.mark.parametrize("kind", ["500_html", "503_maintenance"])
def test_a_ping_that_fails_blames_the_lms(lms: Clients, stand_in: FrappeStandIn, kind: str) -> None:
    stand_in.faults.add(Fault(kind=kind, times=None))

    with pytest.raises(ServiceUnavailable) as caught:
        lms().ping()
    assert caught.value.certain


@pytest.mark.parametrize("kind", ["html_200", "redirect", "garbage", "empty_body", "wrong_shape"])
def test_a_ping_without_a_pong_ends_the_run(lms: Clients, stand_in: FrappeStandIn, kind: str) -> None:
    stand_in.faults.add(Fault(kind=kind, times=None))

    with pytest.raises(ProtocolViolation) as caught:
        lms().ping()
    assert caught.value.ends_run


def test_an_unknown_site_ends_the_run(lms: Clients, stand_in: FrappeStandIn) -> None:
    stand_in.site.switches.host = "lms.localhost"

    for ask in (lms().ping, lambda: lms().enroll(order())):
        with pytest.raises(ProtocolViolation) as caught:
            ask()
        assert caught.value.ends_run
        assert "FRAPPE_LMS_BASE_URL" in caught.value.hint
