"""The backlog against the LMS: which courses it names, who waits, who failed and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from heapq import nlargest

from reconcile.base.redaction import mask_email
from reconcile.diagnosis.checks import Check, ok, warning
from reconcile.diagnosis.systems import Systems
from reconcile.domain.identity import normalise_course
from reconcile.domain.model import MalformedEnrollment, SyncStatus
from reconcile.domain.unmarked import Unmarked
from reconcile.run.unmarked import find_unmarked
from reconcile.story.backlog import Backlog
from reconcile.story.shop_texts import UNMARKED_REMEDY, money, unmarked_line
from reconcile.story.unsynced import unsynced

_COURSES, _BACKLOG = "courses", "backlog"
#: Causes of failure that are named one by one.
_MOST = 10
#: Unmarked orders that are named, the oldest first.
_NAMED = 5


def backlog_checks(systems: Systems, *, page_size: int) -> Iterator[Check]:
    """Courses, statuses, the failed ones by cause, what was never marked. Raises what the ports raise."""
    backlog, given_up, courses = Backlog(), Backlog(), Counter[str]()
    causes: dict[str, Backlog] = {}
    for item, history in unsynced(systems.source, systems.audit, page_size=page_size):
        backlog.add(item)
        if isinstance(item, MalformedEnrollment):
            causes.setdefault(item.reason.value, Backlog()).add(item)
            continue
        courses[item.course] += 1
        if item.sync.status != SyncStatus.FAILED:
            continue
        if history.visits:
            causes.setdefault(_short(item.sync.error), Backlog()).add(item)
        else:
            given_up.add(item)
    yield from _courses(courses, systems.lms.probe().courses() if systems.lms.verified else None)
    statuses = ", ".join(f"{count} {name}" for name, count in backlog.statuses().items() if count)
    yield ok(_BACKLOG, "sync status", statuses or "every paid order is synced")
    if given_up.unsynced:
        says = f"{_with_money(given_up, 'given up on by the shop')}; the next run tries them"
        yield ok(_BACKLOG, "given up", says)
    for cause, these in nlargest(_MOST, causes.items(), key=lambda found: found[1].unsynced):
        yield warning(
            _BACKLOG,
            "failed",
            _with_money(these, cause),
            "`reconcile report --view enrollments --outcome failed`, then `reconcile explain ID`",
        )
    yield _unmarked(find_unmarked(systems.source, systems.audit, systems.clock.now()))


def _with_money(these: Backlog, what: str) -> str:
    sums = money(these.amounts.items())
    return f"{these.unsynced} x {what}" + (f", {sums}" if sums else "")


def _unmarked(found: Unmarked) -> Check:
    if not found.count:
        return ok(_BACKLOG, "unmarked", "every order that was paid at Stripe is marked as paid")
    named = [f"{item.id} ({mask_email(item.email or '') or 'no e-mail'})" for item in found.samples[:_NAMED]]
    more = f" and {found.count - len(named)} more" if found.count > len(named) else ""
    return warning(_BACKLOG, "unmarked", f"{unmarked_line(found)}: {', '.join(named)}{more}", UNMARKED_REMEDY)


def _courses(wanted: Mapping[str, int], there: Mapping[str, bool] | None) -> Iterator[Check]:
    if there is None:
        yield ok(_COURSES, "courses", "the key may not list them; what is missing shows when enrolling")
        return
    by_name = {normalise_course(name): (name, published) for name, published in there.items()}
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
    return " ".join((error or "no error was written down").split()).partition(" (")[0][:120]
