"""Many enrollments in one request, against the stand-in: all or nothing, and everything that breaks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconcile.base.errors import (
    AmbiguousWrite,
    AuthenticationFailed,
    ProtocolViolation,
    RateLimited,
    ReconcileError,
    ServiceUnavailable,
)
from reconcile.domain.model import Enrolled, Enrollment, NotEnrolled
from reconcile.run.answers import CreatedMany, RefusedMany
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from tests.integration.lms_clients import HANGING, Clients, order


@pytest.fixture
def stand_in() -> Iterator[FrappeStandIn]:
    with FrappeStandIn() as server:
        yield server


@pytest.fixture
def lms(stand_in: FrappeStandIn) -> Iterator[Clients]:
    with Clients(stand_in.url) as clients:
        yield clients


def orders(*numbers: int, course: str = "web-dev") -> list[Enrollment]:
    return [order(member=f"student{number}@example.com", course=course) for number in numbers]


def test_as_many_as_the_lms_takes(lms: Clients, stand_in: FrappeStandIn) -> None:
    for number in range(1, 201):
        stand_in.site.add_user(f"learner{number}@example.com")
    many = [order(member=f"learner{number}@example.com") for number in range(1, 201)]

    answer = lms(via="rest", timeout=5).enroll_many(many)

    assert isinstance(answer, CreatedMany)
    assert answer.http_status == 200
    by_name = {row["name"]: row["member"] for row in stand_in.site.enrollments()}
    assert [by_name[lms_id] for lms_id in answer.lms_ids] == [item.member for item in many]
    assert stand_in.calls.counters()["insert_many"] == 1


@pytest.mark.parametrize("variant", ["head", "2024"])
def test_one_who_is_there_already_keeps_all_out(lms: Clients, stand_in: FrappeStandIn, variant: str) -> None:
    stand_in.site.switches.variant = variant
    stand_in.site.enroll("student3@example.com", "web-dev")

    answer = lms(via="rest").enroll_many(orders(1, 2, 3, 4, 5))

    assert isinstance(answer, RefusedMany)
    assert answer.error
    assert len(stand_in.site.enrollments()) == 1


def test_an_lms_without_the_check_enrolls_twice(lms: Clients, stand_in: FrappeStandIn) -> None:
    """FRAPPE, point 14: only the look and the lease keep learners single."""
    stand_in.site.switches.variant = "head-oldfw"
    stand_in.site.enroll("student3@example.com", "web-dev")

    answer = lms(via="rest").enroll_many(orders(3, 4, 4))

    assert isinstance(answer, CreatedMany)
    assert len(set(answer.lms_ids)) == 3
    assert len(stand_in.site.enrollments_of("student3@example.com", "web-dev")) == 2
    assert len(stand_in.site.enrollments_of("student4@example.com", "web-dev")) == 2


@pytest.mark.parametrize(("via", "role"), [("confirm_payment", "integration"), ("rest", None)])
def test_only_the_lms_own_way_takes_many_and_only_with_a_key(
    lms: Clients, stand_in: FrappeStandIn, via: str, role: str | None
) -> None:
    platform = lms(role, via=via)

    assert not platform.batches
    with pytest.raises(ValueError, match="2 at once"):
        platform.enroll_many(orders(1, 2))
    assert platform.requests == 0


def test_a_key_that_may_not_ends_the_run(lms: Clients, stand_in: FrappeStandIn) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        lms("lowpriv", via="rest").enroll_many(orders(1, 2))

    assert caught.value.reason == "forbidden"
    assert stand_in.site.enrollments() == []


#: What breaks, what follows, and whether it was done.
FAULTS: dict[str, tuple[type[ReconcileError], int | None, bool]] = {
    "429": (RateLimited, 429, False),
    "503_maintenance": (ServiceUnavailable, 503, False),
    "503_readonly": (ServiceUnavailable, 503, False),
    "500_json": (ServiceUnavailable, 500, False),
    "500_html": (AmbiguousWrite, 500, False),
    "502_html": (AmbiguousWrite, 502, False),
    "504_html": (AmbiguousWrite, 504, False),
    "cut_before": (AmbiguousWrite, None, False),
    "cut_after_write": (AmbiguousWrite, None, True),
    "timeout_before": (AmbiguousWrite, None, False),
    "timeout_after_write": (AmbiguousWrite, None, True),
    "wrong_shape": (ProtocolViolation, 200, False),
    "html_200": (ProtocolViolation, 200, False),
    "empty_body": (ProtocolViolation, 200, False),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_one_fault_is_one_error_and_the_look_tells(lms: Clients, stand_in: FrappeStandIn, kind: str) -> None:
    error, status, done = FAULTS[kind]
    delay = HANGING if kind.startswith("timeout") else 0.0
    stand_in.faults.add(Fault(kind=kind, operation="insert_many", delay=delay))
    platform = lms(via="rest")
    wanted = orders(1, 2, 3)

    with pytest.raises(error) as caught:
        platform.enroll_many(wanted)

    assert platform.requests == 1
    assert getattr(caught.value, "http_status", None) == status
    assert len(stand_in.site.enrollments()) == (3 if done else 0)
    assert "@example.com" not in f"{caught.value} {caught.value.hint}"
    seen = platform.observe([item.key for item in wanted])
    assert all(isinstance(value, Enrolled if done else NotEnrolled) for value in seen.values())
