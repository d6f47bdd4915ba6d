"""Looking at many learners at once: the queries, and what their rows say about each key. Pure.

The filter `member in … and course in …` is a cross product, and the LMS's database compares without
regard to case, accents and trailing blanks: which row belongs to which key is decided here, letter
by letter (FRAPPE, points 1 and 9).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconcile.base.batched import batched
from reconcile.domain.identity import normalise_name
from reconcile.domain.model import (
    CourseMissing,
    CourseUnpublished,
    EffectKey,
    Enrolled,
    MemberDisabled,
    MemberMissing,
    NotEnrolled,
    Observation,
)

ENROLLMENT, USER, COURSE = "LMS Enrollment", "User", "LMS Course"

#: It takes 20,000, and 25 MB; but 500 keep a worker of the LMS for 27 ms, less than a write does, 5000 for 88
#: (FRAPPE 3.4).
_MEMBERS_PER_REQUEST = 500

#: Rows asked for beyond what is wanted: the last member's are dropped and come again.
SPARE = 100

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Page:
    """What was seen. `users` (enabled?) and `courses` (published?) are None where the key may not look."""

    enrolled: Mapping[EffectKey, Enrolled]
    users: Mapping[str, bool] | None = None
    courses: Mapping[str, bool] | None = None


def portions(keys: Sequence[EffectKey]) -> Iterator[list[EffectKey]]:
    """The distinct keys, as many at once as one request takes."""
    return batched(dict.fromkeys(keys), _MEMBERS_PER_REQUEST)


def enrollments_query(keys: Sequence[EffectKey]) -> dict[str, Any]:
    """The enrollments of these members in these courses, oldest first."""
    return {
        "doctype": ENROLLMENT,
        "fields": ["name", "member", "course"],
        "filters": [["member", "in", _members(keys)], ["course", "in", _courses(keys)]],
        # Without it: silently 20 rows; and without an order, any order (FRAPPE 3.2).
        "limit_page_length": 0,
        "order_by": "creation asc",
    }


def users_query(keys: Sequence[EffectKey]) -> dict[str, Any]:
    """The accounts of these members."""
    return _by_name(USER, "enabled", _members(keys))


def courses_query(courses: Collection[str]) -> dict[str, Any]:
    """These courses."""
    return _by_name(COURSE, "published", sorted(courses))


def titles_query(courses: Collection[str]) -> dict[str, Any]:
    """What these courses are called."""
    return _by_name(COURSE, "title", sorted(courses))


def sample_query(size: int) -> dict[str, Any]:
    """Anybody's enrollments, `size` at most."""
    return {"doctype": ENROLLMENT, "fields": ["name", "member"], "limit_page_length": size}


def roster_query(after: str, size: int) -> dict[str, Any]:
    """`size` enrollments of the members behind `after`, all of each member's together."""
    return {
        "doctype": ENROLLMENT,
        "fields": ["name", "member", "course"],
        "filters": [["member", ">", after]] if after else [],
        "limit_page_length": size,
        "order_by": "member asc, creation asc",
    }


def whole_members(rows: Sequence[Row], size: int) -> tuple[Sequence[Row], str | None]:
    """The rows without those of the last member, who may go on on the next page; whom to go on behind.

    Everything and None where fewer rows came than were asked for: that was the end.
    """
    if len(rows) < size:
        return rows, None
    cut = normalise_name(rows[-1]["member"])
    whole = [row for row in rows if normalise_name(row["member"]) != cut]
    # The spelling that the LMS has: it compares as it has sorted.
    return whole, str(whole[-1]["member"]) if whole else ""


def names_by_key(rows: Sequence[Row]) -> dict[EffectKey, list[str]]:
    """The names of each key's enrollments, oldest first."""
    found: dict[EffectKey, list[str]] = {}
    for row in rows:
        key = _normalised(row["member"], row["course"])
        found.setdefault(key, []).append(row["name"].strip())
    return found


def enrolled_by_key(rows: Sequence[Row]) -> dict[EffectKey, Enrolled]:
    """The rows by key: the oldest row names the enrollment, further ones are counted."""
    found: dict[EffectKey, Enrolled] = {}
    for row in rows:
        key = _normalised(row["member"], row["course"])
        first = found.get(key)
        found[key] = Enrolled(first.lms_id, first.copies + 1) if first else Enrolled(row["name"].strip())
    return found


def flags_by_name(rows: Sequence[Row], flag: str) -> dict[str, bool]:
    """Each row's name, with its flag."""
    return {normalise_name(row["name"]): bool(row[flag]) for row in rows}


def titles_by_name(rows: Sequence[Row], courses: Collection[str]) -> dict[str, str]:
    """The titles of these courses, by the names they were asked by."""
    titles = {normalise_name(row["name"]): row["title"] for row in rows if isinstance(row.get("title"), str)}
    return {course: titles[normalise_name(course)] for course in courses if normalise_name(course) in titles}


def conclude(key: EffectKey, page: Page) -> Observation:
    """What the page says about one key. Enrolled wins; then the course's trouble, then the account's."""
    # Most keys are spelt so already; only what is not found has to be looked for otherwise.
    enrolled = page.enrolled.get(key) or page.enrolled.get(_normalised(key.member, key.course))
    if enrolled is not None:
        return enrolled
    if page.courses is not None:
        published = page.courses.get(normalise_name(key.course))
        if published is None:
            return CourseMissing()
        if not published:
            return CourseUnpublished()
    if page.users is not None:
        enabled = page.users.get(normalise_name(key.member))
        if enabled is None:
            return MemberMissing()
        if not enabled:
            return MemberDisabled()
    return NotEnrolled()


def _normalised(member: str, course: str) -> EffectKey:
    return EffectKey(normalise_name(member), normalise_name(course))


def _by_name(doctype: str, field: str, names: list[str]) -> dict[str, Any]:
    return {
        "doctype": doctype,
        "fields": ["name", field],
        "filters": [["name", "in", names]],
        "limit_page_length": 0,
    }


def _members(keys: Sequence[EffectKey]) -> list[str]:
    return sorted({key.member for key in keys})


def _courses(keys: Sequence[EffectKey]) -> list[str]:
    return sorted({key.course for key in keys})
