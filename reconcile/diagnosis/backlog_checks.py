"""The backlog against the LMS: which courses it names, who waits, who failed and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from reconcile.bootstrap import App
from reconcile.diagnosis.checks import Check, ok, warning
from reconcile.domain.backlog import Backlog
from reconcile.domain.model import MalformedEnrollment, SyncStatus
from reconcile.ports import Selection

_COURSES, _BACKLOG = "courses", "backlog"
#: Causes of failure that are named one by one.
_MOST = 10


def backlog_checks(app: App) -> Iterator[Check]:
    """Every course of the backlog, the statuses, the failed ones by cause. Raises what the ports raise."""
    backlog, courses, causes = Backlog(), Counter[str](), Counter[str]()
    for item in app.ports.source.scan(Selection()):
        backlog.add(item)
        if isinstance(item, MalformedEnrollment):
            causes[item.reason.value] += 1
            continue
        courses[item.course] += 1
        if item.sync.status == SyncStatus.FAILED:
            causes[_short(item.sync.error)] += 1
    yield from _courses(courses, app.lms.probe().courses() if app.ports.platform.verified else None)
    statuses = ", ".join(f"{count} {name}" for name, count in backlog.statuses().items() if count)
    yield ok(_BACKLOG, "sync status", statuses or "every paid order is synced")
    for cause, count in causes.most_common(_MOST):
        yield warning(
            _BACKLOG,
            "failed",
            f"{count} x {cause}",
            "`reconcile report --view enrollments --outcome failed`, then `reconcile explain ID`",
        )


def _courses(wanted: Mapping[str, int], there: Mapping[str, bool] | None) -> Iterator[Check]:
    if there is None:
        yield ok(_COURSES, "courses", "the key may not list them; what is missing shows when enrolling")
        return
    by_name = {name.strip().lower(): (name, published) for name, published in there.items()}
    fine = 0
    for course, count in sorted(wanted.items(), key=lambda item: (-item[1], item[0])):
        found = by_name.get(course)
        if found is None:
            near = get_close_matches(course, by_name, n=1, cutoff=0.6)
            meant = f"; did you mean {by_name[near[0]][0]}?" if near else ""
            says = f"the LMS has no course {course} ({count} orders){meant}"
            yield warning(_COURSES, course, says, "correct `courseId`, or create or rename the course")
        elif not found[1]:
            yield warning(_COURSES, course, f"is not published ({count} orders)", "publish it")
        elif found[0] != course:
            says = f"the LMS writes it {found[0]} ({count} orders)"
            yield warning(_COURSES, course, says, "nothing: the LMS does not tell upper from lower case")
        else:
            fine += 1
    yield ok(_COURSES, "courses", f"{fine} of {len(wanted)} courses of the backlog are there and published")


def _short(error: str | None) -> str:
    """What failures have in common: the sentence without what stands in brackets behind it."""
    return (error or "no error was written down").partition(" (")[0][:120]
