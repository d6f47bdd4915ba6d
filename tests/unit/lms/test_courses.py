"""What is remembered of courses, and for how long."""

from __future__ import annotations

from reconcile.lms.courses import SeenCourses
from tests.fakes.world import FakeClock


def test_what_was_seen_is_not_asked_for_again() -> None:
    courses = SeenCourses(FakeClock().monotonic)
    assert courses.unknown(["sql", "python", "sql", "nowhere"]) == ["nowhere", "python", "sql"]

    courses.learn(["nowhere", "python", "SQL "], {"python": True, "sql": False})

    assert courses.published() == {"python": True, "sql": False}
    assert courses.unknown(["sql", "python", "Nowhere", "new"]) == ["new"]


def test_a_run_looks_for_itself() -> None:
    courses = SeenCourses()
    courses.learn(["python"], {"python": True})

    courses.forget()

    assert courses.unknown(["python"]) == ["python"]
    assert courses.published() == {}


def test_a_run_that_lasts_asks_again() -> None:
    clock = FakeClock()
    courses = SeenCourses(clock.monotonic)
    courses.learn(["python"], {"python": True})
    clock.advance(299)
    courses.learn(["sql"], {"sql": True})
    assert courses.unknown(["python", "sql"]) == []

    clock.advance(2)

    assert courses.unknown(["python", "sql"]) == ["python"]
    courses.learn(["python"], {})
    assert courses.published() == {"sql": True}
