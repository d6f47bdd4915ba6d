"""LearningPlatform: the in-memory fake and the Frappe client over the stand-in through one suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from reconcile.domain.model import (
    CourseMissing,
    CourseUnpublished,
    EffectKey,
    Enrolled,
    Enrollment,
    MemberDisabled,
    MemberMissing,
    NotEnrolled,
    Unknown,
)
from reconcile.lms.lms import FrappeLms
from reconcile.run.answers import LARGEST_BATCH, AlreadyThere, Created, CreatedMany, RefusedMany
from reconcile.run.ports import LearningPlatform
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.storefront.documents import parse_enrollment
from tests.fakes.world import FakeLms, any_text_with_at, order

KEY = "token key_integration:secret_integration"


@dataclass
class Case:
    lms: LearningPlatform
    enroll_aside: Callable[[EffectKey], str]
    copies: Callable[[EffectKey], int]


def paid(name: str, course: str = "python-basics") -> Enrollment:
    item = parse_enrollment(
        order("e1", email=f"{name}@example.com", courseId=course),
        enrollment_id="e1",
        email_rule=any_text_with_at,
    )
    assert isinstance(item, Enrollment)
    return item


@pytest.fixture(params=["fake", "confirm_payment", "rest", "confirm_payment without a key"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    keyless = "without" in request.param
    if request.param == "fake":
        fake = FakeLms()
        fake.batches = True
        fake.everybody = False
        fake.members = {f"student{number}@example.com" for number in range(1, 20)} | {"disabled1@example.com"}
        fake.disabled = {"disabled1@example.com"}
        fake.courses["unpublished"] = False
        yield Case(fake, fake.add, lambda key: sum(row == key for _, row in fake.rows))
        return
    with FrappeStandIn() as server:
        lms = FrappeLms(
            base_url=server.url,
            authorization=None if keyless else KEY,
            via="rest" if request.param == "rest" else "confirm_payment",
            timeout=5,
        )
        yield Case(
            lms,
            lambda key: str(server.site.enroll(key.member, key.course)["name"]),
            lambda key: len(server.site.enrollments_of(key.member, key.course)),
        )
        lms.close()


def test_an_enrollment_is_made_once_and_seen(case: Case) -> None:
    order = paid("student3")
    case.lms.ping()

    answer = case.lms.enroll(order)

    assert isinstance(answer, Created)
    assert case.copies(order.key) == 1
    seen = case.lms.observe([order.key])[order.key]
    if case.lms.verified:
        assert seen == Enrolled(answer.lms_id)
    else:
        assert isinstance(seen, Unknown)


def test_a_page_is_looked_at_in_bulk(case: Case) -> None:
    there, absent = paid("student1").key, paid("student2").key
    ghost, disabled = paid("ghost").key, paid("disabled1").key
    missing, unpublished = paid("student2", "no-such-course").key, paid("student2", "unpublished").key
    lms_id = case.enroll_aside(there)
    keys = [there, absent, ghost, disabled, missing, unpublished]
    before = case.lms.requests

    seen = case.lms.observe(keys)

    assert set(seen) == set(keys)
    if not case.lms.verified:
        assert all(isinstance(value, Unknown) for value in seen.values())
        return
    assert case.lms.requests - before <= 3
    assert seen == {
        there: Enrolled(lms_id),
        absent: NotEnrolled(),
        ghost: MemberMissing(),
        disabled: MemberDisabled(),
        missing: CourseMissing(),
        unpublished: CourseUnpublished(),
    }


def test_several_copies_are_counted(case: Case) -> None:
    key = paid("student5").key
    first = case.enroll_aside(key)
    case.enroll_aside(key)

    seen = case.lms.observe([key])[key]

    if case.lms.verified:
        assert isinstance(seen, Enrolled)
        assert seen.copies == 2
        assert seen.lms_id == first


def test_sight_is_proven_by_other_peoples_enrollments(case: Case) -> None:
    empty = case.lms.prove_sight()
    for number in range(1, 4):
        case.enroll_aside(paid(f"student{number}").key)
    seen = case.lms.prove_sight()

    assert not empty.proven
    assert seen.proven == case.lms.verified
    if case.lms.verified:
        assert (empty.total, seen.total) == (0, 3)


def test_nobody_is_looked_at_in_vain(case: Case) -> None:
    before = case.lms.requests

    assert case.lms.observe([]) == {}
    assert case.lms.requests == before


def test_courses_are_called_by_their_titles(case: Case) -> None:
    before = case.lms.requests

    titles = case.lms.titles(["python-basics", "no-such-course"])

    assert titles == ({"python-basics": "Python Basics"} if case.lms.verified else {})
    assert case.lms.requests - before == case.lms.verified
    assert case.lms.titles([]) == {}


def test_without_a_key_the_lms_says_that_somebody_is_there(case: Case) -> None:
    order = paid("student7")
    case.enroll_aside(order.key)
    if case.lms.verified:
        return  # with a key the second look says it; clients may answer as the LMS does

    assert isinstance(case.lms.enroll(order), AlreadyThere)
    assert case.copies(order.key) == 1


def test_an_lms_that_need_not_be_spared_asks_for_no_pause(case: Case) -> None:
    case.lms.enroll(replace(paid("student9"), referral_code="p@example.com"))

    assert case.lms.breather() == 0


def test_many_are_enrolled_in_one_request_in_order(case: Case) -> None:
    orders = [paid(f"student{number}") for number in (11, 3, 12)]
    before = case.lms.requests
    if not case.lms.batches:
        with pytest.raises(ValueError, match="3 at once"):
            case.lms.enroll_many(orders)
        assert case.lms.requests == before
        return

    answer = case.lms.enroll_many(orders)

    assert isinstance(answer, CreatedMany)
    assert case.lms.requests - before == 1
    assert case.lms.observe([order.key for order in orders]) == {
        order.key: Enrolled(lms_id) for order, lms_id in zip(orders, answer.lms_ids, strict=True)
    }


@pytest.mark.parametrize("course", ["python-basics", "no-such-course"])
def test_one_who_cannot_be_enrolled_keeps_all_others_out(case: Case, course: str) -> None:
    good, ghost = paid("student13"), paid("ghost" if course == "python-basics" else "student14", course)
    if not case.lms.batches:
        return

    answer = case.lms.enroll_many([good, ghost])

    assert isinstance(answer, RefusedMany)
    assert answer.error
    assert case.copies(good.key) == case.copies(ghost.key) == 0


@pytest.mark.parametrize("count", [0, LARGEST_BATCH + 1])
def test_no_more_than_the_lms_takes_are_asked_for(case: Case, count: int) -> None:
    before = case.lms.requests

    with pytest.raises(ValueError, match=f"{count} at once"):
        case.lms.enroll_many([paid(f"student{number}") for number in range(count)])

    assert case.lms.requests == before
