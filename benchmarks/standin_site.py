"""What the stand-in LMS of the benchmarks knows and answers: learners, courses, enrollments. No sockets.

It answers the requests that reconcile and the storefront send, in Frappe's shapes, and as cheaply as it can:
what is measured is who asks. It keeps no uniqueness, as a real one does not.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

ENROLLMENT, USER, COURSE = "LMS Enrollment", "User", "LMS Course"
CONFIRM = "lms.lms.payment_confirmation.confirm_payment"
#: Frappe's own limit of `frappe.client.insert_many`.
_MANY = 200

#: Status and JSON.
Answer = tuple[int, Any]


class Row(NamedTuple):
    """One LMS Enrollment."""

    name: str
    member: str
    course: str


class Site:
    """The data. Everybody has an account but `missing`; `refused` are told no by the vendor's method."""

    def __init__(self) -> None:
        self.courses: dict[str, str] = {}
        self.missing: set[str] = set()
        self.refused: set[str] = set()
        self._rows: dict[str, list[Row]] = {}
        self.count = 0

    def add(self, member: str, course: str) -> Row:
        """One more enrollment, whatever is there."""
        self.count += 1
        row = Row(f"lms{self.count:09d}", member, course)
        self._rows.setdefault(member, []).append(row)
        return row

    def has(self, member: str, course: str) -> bool:
        """Whether this learner is enrolled."""
        return any(row.course == course for row in self._rows.get(member, ()))

    def rows(self, members: Iterable[str] | None = None) -> Iterator[Row]:
        """The enrollments of these members, or all."""
        if members is None:
            for rows in self._rows.values():
                yield from rows
        else:
            for member in members:
                yield from self._rows.get(member, ())

    def duplicates(self) -> int:
        """Learners who are in one course more than once."""
        pairs = (Counter(row.course for row in rows) for rows in self._rows.values() if len(rows) > 1)
        return sum(copies > 1 for courses in pairs for copies in courses.values())


def kind(path: str, body: Mapping[str, Any]) -> str:
    """The word under which a request is counted."""
    name = path.partition("?")[0].rpartition("/")[2]
    doctype = body.get("doctype")
    if name == "frappe.client.get_list":
        looks = any(each[0] == "member" and each[1] == "in" for each in _conditions(body.get("filters")))
        return {ENROLLMENT: "look" if looks else "sample", USER: "users", COURSE: "courses"}.get(
            str(doctype), "other"
        )
    return {
        "ping": "ping",
        "frappe.auth.get_logged_user": "whoami",
        "frappe.core.doctype.user.user.get_roles": "roles",
        "frappe.client.get_count": "count",
        CONFIRM: "confirm",
        "LMS%20Enrollment": "create",
        "frappe.client.insert_many": "insert_many",
    }.get(name, "other")


#: The kinds that write.
WRITES = ("confirm", "create", "insert_many")


def answer(site: Site, what: str, body: Mapping[str, Any]) -> Answer:
    """The answer to a request of this kind."""
    return _ANSWERS.get(what, _unknown)(site, body)


def _unknown(_: Site, __: Mapping[str, Any]) -> Answer:
    return 404, {"exc_type": "DoesNotExistError"}


def _confirm(site: Site, body: Mapping[str, Any]) -> Answer:
    member, course = body["user_email"], body["course_id"]
    error = None
    if member in site.missing:
        error = "User not found"
    elif course not in site.courses:
        error = "Course not found"
    elif member in site.refused:
        error = "This learner is refused"
    elif site.has(member, course):
        error = "User is already enrolled in this course"
    if error is not None:
        return 200, {"message": {"success": False, "error": error}}
    row = site.add(member, course)
    return 200, {"message": {"success": True, "enrollment_id": row.name, "user_email": member}}


def _create(site: Site, body: Mapping[str, Any]) -> Answer:
    if (broken := _broken_link(site, body)) is not None:
        return broken
    row = site.add(body["member"], body["course"])
    return 200, {"data": {**row._asdict(), "doctype": ENROLLMENT}}


def _insert_many(site: Site, body: Mapping[str, Any]) -> Answer:
    docs = body["docs"]
    docs = json.loads(docs) if isinstance(docs, str) else docs
    if len(docs) > _MANY:
        return _refusal("ValidationError", f"Only {_MANY} inserts allowed in one request")
    for doc in docs:
        if (broken := _broken_link(site, doc)) is not None:
            return broken
    return 200, {"message": [site.add(doc["member"], doc["course"]).name for doc in docs]}


def _broken_link(site: Site, doc: Mapping[str, Any]) -> Answer | None:
    if doc["member"] in site.missing or doc["member"] in site.refused or doc["course"] not in site.courses:
        return _refusal("LinkValidationError", f"Could not find {doc['member']} or {doc['course']}")
    return None


def _refusal(word: str, text: str) -> Answer:
    said = json.dumps([json.dumps({"message": text})])
    return 417, {"exc_type": word, "exception": f"frappe.exceptions.{word}: {text}", "_server_messages": said}


def _enrollments(site: Site, body: Mapping[str, Any]) -> Answer:
    found: list[Row] = list(_matching(site, body))
    order = str(body.get("order_by") or "")
    if order.startswith("creation desc"):
        found.sort(reverse=True)  # names are given in turn
    elif order.startswith("member"):
        found.sort(key=lambda row: (row.member, row.name))
    size = int(body.get("limit_page_length", 20))
    fields = body.get("fields") or ["name"]
    shown = found[:size] if size else found
    return 200, {"message": [{field: getattr(row, field, None) for field in fields} for row in shown]}


def _count(site: Site, body: Mapping[str, Any]) -> Answer:
    if not body.get("filters"):
        return 200, {"message": site.count}
    return 200, {"message": sum(1 for _ in _matching(site, body))}


def _users(site: Site, body: Mapping[str, Any]) -> Answer:
    names = _values(body, "name")
    return 200, {"message": [{"name": name, "enabled": 1} for name in names if name not in site.missing]}


def _courses(site: Site, body: Mapping[str, Any]) -> Answer:
    names = _values(body, "name")
    there = (name for name in names if name in site.courses)
    return 200, {"message": [{"name": name, "published": 1, "title": site.courses[name]} for name in there]}


def _matching(site: Site, body: Mapping[str, Any]) -> Iterator[Row]:
    conditions = _conditions(body.get("filters"))
    members = next((value for field, how, value in conditions if (field, how) == ("member", "in")), None)
    alone = next((value for field, how, value in conditions if (field, how) == ("member", "=")), None)
    tests = [(field, _TESTS[how], _comparable(how, value)) for field, how, value in conditions]
    # Enough for a sample, without a walk through a million.
    enough = int(body.get("limit_page_length", 0)) if not tests and not body.get("order_by") else 0
    for number, row in enumerate(site.rows([alone] if alone is not None else members), 1):
        if all(test(getattr(row, field, None), value) for field, test, value in tests):
            yield row
        if enough and number >= enough:
            return


def _comparable(how: str, value: Any) -> Any:
    return frozenset(value) if how == "in" else value


def _conditions(filters: Any) -> list[tuple[str, str, Any]]:
    filters = json.loads(filters) if isinstance(filters, str) and filters else filters
    if isinstance(filters, Mapping):
        pairs = filters.items()
        return [
            (name, str(value[0]), value[1]) if isinstance(value, list) else (name, "=", value)
            for name, value in pairs
        ]
    return [(each[-3], each[-2], each[-1]) for each in filters or ()]


def _values(body: Mapping[str, Any], field: str) -> Sequence[str]:
    for name, how, value in _conditions(body.get("filters")):
        if name == field:
            return value if how == "in" else [value]
    return []


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "in": lambda found, wanted: found in wanted,
    "=": lambda found, wanted: found == wanted,
    "!=": lambda found, wanted: found != wanted,
    ">": lambda found, wanted: found > wanted,
    ">=": lambda found, wanted: found >= wanted,
    "<": lambda found, wanted: found < wanted,
    "<=": lambda found, wanted: found <= wanted,
}

_ANSWERS: dict[str, Callable[[Site, Mapping[str, Any]], Answer]] = {
    "ping": lambda _, __: (200, {"message": "pong"}),
    "whoami": lambda _, __: (200, {"message": "integration@example.org"}),
    "roles": lambda _, __: (200, {"message": ["Moderator", "LMS Student"]}),
    "count": _count,
    "sample": _enrollments,
    "look": _enrollments,
    "users": _users,
    "courses": _courses,
    "confirm": _confirm,
    "create": _create,
    "insert_many": _insert_many,
}
