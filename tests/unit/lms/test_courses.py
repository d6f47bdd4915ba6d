"""What is remembered of courses, and for how long."""

from __future__ import annotations

from collections.abc import Mapping

from reconcile.lms.courses import SeenCourses
from tests.fakes.world import FakeClock


class Lms:
    """Answers what there is, and notes what it was asked."""

    def __init__(self, **courses: bool) -> None:
        self.courses: dict[str, bool] | None = courses
        self.asked: list[list[str]] = []

    def __call__(self, asked: list[str]) -> Mapping[str, bool] | None:
        self.asked.append(asked)
        return self.courses


def test_what_was_seen_is_not_asked_for_again() -> None:
    courses, lms = SeenCourses(FakeClock().monotonic), Lms(python=True, sql=False)

    assert courses.look(["sql", "python", "SQL ", "nowhere"], lms) == {"python": True, "sql": False}
    assert courses.look(["sql", "Nowhere", "new"], lms) == {"sql": False}

    assert [len(asked) for asked in lms.asked] == [3, 1]
    assert lms.asked[1] == ["new"]


def test_a_run_looks_for_itself() -> None:
    courses, lms = SeenCourses(), Lms(python=True)
    courses.look(["python"], lms)

    courses.forget()

    assert courses.look(["python"], lms) == {"python": True}
    assert lms.asked == [["python"], ["python"]]


def test_a_run_that_lasts_asks_again() -> None:
    clock = FakeClock()
    courses, lms = SeenCourses(clock.monotonic), Lms(python=True, sql=True)
    courses.look(["python"], lms)
    clock.advance(299)
    courses.look(["sql", "python"], lms)
    clock.advance(2)
    lms.courses = {"sql": True}

    assert courses.look(["python", "sql"], lms) == {"sql": True}
    assert lms.asked == [["python"], ["sql"], ["python"]]


def test_where_the_lms_does_not_tell_nothing_is_learnt() -> None:
    courses, lms = SeenCourses(), Lms()
    lms.courses = None

    assert courses.look(["python"], lms) is None
    lms.courses = {"python": True}
    assert courses.look(["python"], lms) == {"python": True}


def test_what_another_thread_lets_be_forgotten_is_still_part_of_the_answer() -> None:
    """A refused write forgets all courses, while somebody looks: else a course would seem to be gone."""
    courses, lms = SeenCourses(), Lms(python=True, sql=True)
    courses.look(["python"], lms)

    def refused_meanwhile(asked: list[str]) -> Mapping[str, bool] | None:
        courses.forget()
        return lms(asked)

    assert courses.look(["python", "sql"], refused_meanwhile) == {"python": True, "sql": True}
