"""Looking at thousands: how few requests that takes, and what may be remembered meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconcile.domain.model import CourseMissing, CourseUnpublished, EffectKey, NotEnrolled, Observation
from reconcile.run.answers import Refused, RefusedMany
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from tests.integration.lms_clients import KEY, Clients, order


@pytest.fixture
def stand_in() -> Iterator[FrappeStandIn]:
    with FrappeStandIn() as server:
        yield server


@pytest.fixture
def lms(stand_in: FrappeStandIn) -> Iterator[Clients]:
    with Clients(stand_in.url) as clients:
        yield clients


def test_ten_thousand_learners_take_few_requests(lms: Clients, stand_in: FrappeStandIn) -> None:
    """A tenth of them is not enrolled: they are put together, whichever request has shown them."""
    members = [f"learner{number:05d}@example.com" for number in range(10_000)]
    for number, member in enumerate(members):
        stand_in.site.add_user(member)
        if number % 10:
            stand_in.site.enroll(member, "web-dev")
    keys = [EffectKey(member, "web-dev") for member in members]
    platform = lms(timeout=30.0)

    at_once = platform.observe(keys)

    assert sum(isinstance(value, NotEnrolled) for value in at_once.values()) == 1000
    assert stand_in.counters["list:LMS Enrollment"] == 20
    assert (stand_in.counters["list:User"], stand_in.counters["list:LMS Course"]) == (2, 1)
    before = platform.requests
    in_pages: dict[EffectKey, Observation] = {}
    for start in range(0, len(keys), 500):
        in_pages |= platform.observe(keys[start : start + 500])
    assert in_pages == at_once
    assert platform.requests - before == 40


def test_a_course_is_asked_for_once_a_run(lms: Clients, stand_in: FrappeStandIn) -> None:
    platform = lms()
    nowhere, unpublished = EffectKey(KEY.member, "nowhere"), EffectKey(KEY.member, "unpublished")

    for _ in range(3):
        assert platform.observe([KEY, nowhere]) == {KEY: NotEnrolled(), nowhere: CourseMissing()}
    assert stand_in.counters["list:LMS Course"] == 1
    assert platform.observe([nowhere, unpublished])[unpublished] == CourseUnpublished()
    assert stand_in.counters["list:LMS Course"] == 2

    stand_in.site.add_course("nowhere")
    assert platform.observe([nowhere]) == {nowhere: CourseMissing()}
    platform.ping()
    assert platform.observe([nowhere]) == {nowhere: NotEnrolled()}


@pytest.mark.parametrize("many", [False, True])
def test_after_a_refusal_courses_are_asked_for_anew(
    lms: Clients, stand_in: FrappeStandIn, *, many: bool
) -> None:
    """The look that follows tells whose fault it was: the course may have gone meanwhile."""
    stand_in.site.add_course("short-lived")
    item = order(course="short-lived")
    platform = lms(via="rest")
    assert platform.observe([item.key]) == {item.key: NotEnrolled()}
    del stand_in.site.courses["short-lived"]

    refused = platform.enroll_many([item]) if many else platform.enroll(item)

    assert isinstance(refused, RefusedMany if many else Refused)
    assert platform.observe([item.key]) == {item.key: CourseMissing()}


def test_a_user_list_that_is_refused_in_the_middle_degrades(lms: Clients, stand_in: FrappeStandIn) -> None:
    keys = [EffectKey(f"nobody{number}@example.com", "web-dev") for number in range(501)]
    stand_in.faults.add(Fault(kind="refuse", doctype="User", after=1))

    seen = lms(timeout=5.0).observe(keys)

    assert set(seen.values()) == {NotEnrolled()}
