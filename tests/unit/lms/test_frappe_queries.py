"""What is asked of Frappe for a page of learners, and how lists of its rows are read."""

from __future__ import annotations

from typing import Any

from reconcile.domain.model import EffectKey
from reconcile.lms import pages

KEYS = [
    EffectKey("b@example.com", "python"),
    EffectKey("a@example.com", "sql"),
    EffectKey("b@example.com", "sql"),
]


def row(name: str, member: str, course: str = "python") -> dict[str, Any]:
    return {"name": name, "member": member, "course": course}


def test_a_page_of_learners_is_three_questions() -> None:
    assert pages.enrollments_query(KEYS) == {
        "doctype": "LMS Enrollment",
        "fields": ["name", "member", "course"],
        "filters": [
            ["member", "in", ["a@example.com", "b@example.com"]],
            ["course", "in", ["python", "sql"]],
        ],
        "limit_page_length": 0,
        "order_by": "creation asc",
    }
    assert pages.users_query(KEYS) == {
        "doctype": "User",
        "fields": ["name", "enabled"],
        "filters": [["name", "in", ["a@example.com", "b@example.com"]]],
        "limit_page_length": 0,
    }
    assert pages.courses_query({"sql", "python"}) == {
        "doctype": "LMS Course",
        "fields": ["name", "published"],
        "filters": [["name", "in", ["python", "sql"]]],
        "limit_page_length": 0,
    }


def test_what_else_is_asked() -> None:
    titles = pages.titles_query({"sql", "python"})
    assert titles["fields"] == ["name", "title"]
    assert titles["filters"] == [["name", "in", ["python", "sql"]]]
    assert pages.sample_query(7) == {
        "doctype": "LMS Enrollment",
        "fields": ["name", "member"],
        "limit_page_length": 7,
    }
    first, next_one = pages.roster_query("", 9), pages.roster_query("a@example.com", 9)
    assert first["filters"] == []
    assert next_one["filters"] == [["member", ">", "a@example.com"]]
    assert {each["limit_page_length"] for each in (first, next_one)} == {9}
    assert {each["order_by"] for each in (first, next_one)} == {"member asc, creation asc"}


def test_flags_and_titles_are_told_by_name() -> None:
    rows = [
        {"name": " Python ", "published": 1, "title": "Python"},
        {"name": "sql", "published": 0, "title": None},
    ]

    assert pages.flags_by_name(rows, "published") == {"python": True, "sql": False}
    assert pages.titles_by_name(rows, ["PYTHON", "sql", "gone"]) == {"PYTHON": "Python"}


def test_a_roster_is_cut_between_members() -> None:
    rows = [row("e1", "a@example.com"), row("e2", "B@example.com"), row("e3", "b@example.com", "sql")]

    assert pages.whole_members(rows, 4) == (rows, None), "fewer than asked for: the end"
    assert pages.whole_members(rows, 3) == (rows[:1], "a@example.com"), "the last member may go on"
    assert pages.whole_members(rows[1:], 2) == ([], ""), "one member alone: more must be asked for"


def test_a_roster_names_every_enrollment() -> None:
    rows = [row(" e1 ", "A@example.com"), row("e2", "a@example.com"), row("e3", "a@example.com", "sql")]

    assert pages.names_by_key(rows) == {
        EffectKey("a@example.com", "python"): ["e1", "e2"],
        EffectKey("a@example.com", "sql"): ["e3"],
    }
