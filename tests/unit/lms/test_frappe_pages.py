"""Which row belongs to whom, and what a page of rows says about each key."""

from __future__ import annotations

from typing import Any

import pytest

from reconcile.domain.model import (
    CourseMissing,
    CourseUnpublished,
    EffectKey,
    Enrolled,
    MemberDisabled,
    MemberMissing,
    NotEnrolled,
)
from reconcile.lms import pages

KEY = EffectKey("student1@example.com", "python-basics")


def page(rows: list[dict[str, Any]], users: Any = None, courses: Any = None) -> pages.Page:
    return pages.Page(enrolled=pages.enrolled_by_key(rows), users=users, courses=courses)


ROW = {"name": "e1", "member": KEY.member, "course": KEY.course}


@pytest.mark.parametrize(
    ("rows", "users", "courses", "seen"),
    [
        ([ROW], None, None, Enrolled("e1")),
        ([ROW], {}, {}, Enrolled("e1")),
        ([ROW, ROW | {"name": "e2"}], None, None, Enrolled("e1", 2)),
        ([ROW | {"member": " STUDENT1@example.com", "course": "Python-Basics "}], None, None, Enrolled("e1")),
        ([ROW | {"member": "stúdent1@example.com"}], None, None, NotEnrolled()),
        ([ROW | {"course": "other"}], None, None, NotEnrolled()),
        ([], None, None, NotEnrolled()),
        ([], {KEY.member: True}, {KEY.course: True}, NotEnrolled()),
        ([], {}, {}, CourseMissing()),
        ([], {}, {KEY.course: False}, CourseUnpublished()),
        ([], {}, {KEY.course: True}, MemberMissing()),
        ([], {KEY.member: False}, {KEY.course: True}, MemberDisabled()),
        ([], {}, None, MemberMissing()),
        ([], None, {}, CourseMissing()),
    ],
)
def test_what_a_page_says(rows: Any, users: Any, courses: Any, seen: object) -> None:
    assert pages.conclude(KEY, page(rows, users, courses)) == seen


def test_people_who_differ_in_more_than_case_stay_apart() -> None:
    rows = [ROW | {"member": "strasse@example.com"}]

    assert pages.conclude(EffectKey("straße@example.com", KEY.course), page(rows)) == NotEnrolled()


def test_keys_come_in_portions() -> None:
    keys = [EffectKey(f"m{number}@example.com", "c") for number in range(1201)]

    portions = list(pages.portions([*keys, *keys]))

    assert [len(portion) for portion in portions] == [500, 500, 201]
    assert [key for portion in portions for key in portion] == keys
    assert list(pages.portions([])) == []
