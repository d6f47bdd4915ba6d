"""What requests do: their operation, learner and course, counted and logged for tests."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from reconcile.sandbox.lms.answers import Refusal
from reconcile.sandbox.lms.query import loaded
from reconcile.sandbox.lms.request import CONFIRM, Request, is_write
from reconcile.sandbox.lms.site import ENROLLMENT

_METHODS = {
    "ping": "ping",
    "frappe.auth.get_logged_user": "whoami",
    "frappe.client.get_count": "count",
    "frappe.client.insert_many": "insert_many",
    CONFIRM: "enroll:confirm",
}
_LOG_SIZE = 200_000


@dataclass(frozen=True, kw_only=True)
class Call:
    """What a request does, for counters, the log and faults."""

    #: "ping", "whoami", "list:User", "count", "enroll:rest", "enroll:confirm", "insert_many" or "other".
    operation: str
    write: bool = False
    doctype: str | None = None
    member: str | None = None
    course: str | None = None
    #: All the learners that the request names, those of a list's filter included.
    members: str = ""
    #: `time.monotonic()` when it had arrived.
    at: float = field(default_factory=time.monotonic)


class Calls:
    """How often what was asked, and in which order. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: Counter[str] = Counter()
        self._log: deque[Call] = deque(maxlen=_LOG_SIZE)

    def note(self, call: Call) -> None:
        """Count and log a request."""
        with self._lock:
            self._counters[call.operation] += 1
            self._log.append(call)

    def counters(self) -> Counter[str]:
        """Requests by operation; an operation never seen counts 0."""
        with self._lock:
            return Counter(self._counters)

    def log(self) -> list[Call]:
        """The requests, in the order in which they arrived."""
        with self._lock:
            return list(self._log)

    def reset(self) -> None:
        """Forget all."""
        with self._lock:
            self._counters.clear()
            self._log.clear()


def describe(request: Request) -> Call:
    """What the request does; what cannot be read is "other"."""
    try:
        args = request.args()
    except Refusal:
        args = {}
    route, name = (*request.segments[1:3], "", "")[:2]
    one = len(request.segments) > 3
    write = is_write(request)
    member, course = _text(args.get("member")), _text(args.get("course"))
    members = member or str(args.get("filters") or args.get("docs") or "")
    doctype = _text(args.get("doctype"))
    if route == "method":
        operation = _METHODS.get(name, "other")
        if name == "frappe.client.get_list":
            operation = f"list:{doctype}"
        elif name == CONFIRM:
            member, course = _text(args.get("user_email")), _text(args.get("course_id"))
            members, doctype = member or "", ENROLLMENT
        elif name == "frappe.client.insert":
            doc = _document(args)
            member, course, doctype = (_text(doc.get(key)) for key in ("member", "course", "doctype"))
            members = member or ""
            operation = "enroll:rest" if doctype == ENROLLMENT else "other"
    else:
        operation, doctype = "other", name or None
        if route == "doctype":
            operation = "count"
        elif route in ("resource", "document") and not one:
            if not write:
                operation = f"list:{name}"
            elif name == ENROLLMENT and request.method == "POST":
                operation = "enroll:rest"
    return Call(
        operation=operation, write=write, doctype=doctype, member=member, course=course, members=members
    )


def _document(args: dict[str, Any]) -> dict[str, Any]:
    try:
        doc = loaded(args.get("doc"))
    except Refusal:
        return {}
    return doc if isinstance(doc, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
