"""What can go wrong on the way, on request: each `Fault` spoils the next requests that it fits.

The answers are those of FRAPPE 7, and of proxies, which were not measured there.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from reconcile.sandbox.lms.answers import (
    Answer,
    Refusal,
    dumped,
    gunicorn,
    invalid,
    read_only,
    stopped,
    wants_json,
)
from reconcile.sandbox.lms.api import Api
from reconcile.sandbox.lms.calls import Call
from reconcile.sandbox.lms.enroll import APP
from reconcile.sandbox.lms.request import CONFIRM, Request

KINDS = (
    # What acts on the connection; the server carries it out.
    "latency",
    "timeout_after_write",
    "timeout_before",
    "late_write",
    "cut_before",
    "cut_after_write",
    # What lets the request through and spoils its answer.
    "not_wrapped",
    # What answers instead of the site.
    "500_json",
    "500_html",
    "502_html",
    "504_html",
    "503_maintenance",
    "503_readonly",
    "429",
    "garbage",
    "wrong_shape",
    "huge",
    "html_200",
    "refuse",
    "bad_utf8",
    "empty_body",
    "redirect",
    "success_false",
)
OPERATIONS = ("any", "read", "write", "ping", "whoami", "list", "count", "enroll", "insert_many", "other")
#: Kinds that only an answer of confirm_payment can take.
_OF_CONFIRM = ("not_wrapped", "success_false")
_HUGE = 10 * 1024 * 1024
_DEADLOCK = "(1213, 'Deadlock found when trying to get lock; try restarting transaction')"


@dataclass(kw_only=True)
class Fault:
    """Spoils `times` requests (None: every one) that fit, after `after` that fit went through."""

    kind: str
    times: int | None = 1
    operation: str = "any"
    doctype: str | None = None
    #: Part of an address that the request names, one among many in a filter included.
    member: str | None = None
    after: int = 0
    delay: float = 0.0
    retry_after: float | None = None
    exc_type: str | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind}; there are {', '.join(KINDS)}")
        if self.operation not in OPERATIONS:
            raise ValueError(f"no such operation: {self.operation}; there are {', '.join(OPERATIONS)}")

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Fault:
        """A fault from JSON; raises ValueError for what it does not know."""
        known = {field.name for field in fields(cls)}
        if "kind" not in values or not known >= set(values):
            raise ValueError(f"a fault has kind and may have {', '.join(sorted(known - {'kind'}))}")
        return cls(**values)

    def fits(self, call: Call) -> bool:
        """Whether it spoils this request."""
        if self.kind == "503_readonly" and not call.write:
            return False
        if self.kind in _OF_CONFIRM and call.operation != "enroll:confirm":
            return False
        if self.doctype is not None and self.doctype != call.doctype:
            return False
        if self.member is not None and self.member.lower() not in call.members.lower():
            return False
        if self.operation in ("read", "write"):
            return call.write == (self.operation == "write")
        return self.operation in ("any", call.operation.partition(":")[0])


class Faults:
    """The faults that are armed. Thread-safe: of N requests at once, `times` are spoiled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Arm it, behind those armed before."""
        with self._lock:
            self._armed.append(fault)

    def clear(self) -> None:
        """Disarm all."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[Fault]:
        """Those still to come."""
        with self._lock:
            return list(self._armed)

    def take(self, call: Call) -> Fault | None:
        """The fault for this request, if any; uses it up."""
        with self._lock:
            for fault in self._armed:
                if not fault.fits(call):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._armed.remove(fault)
                return fault
        return None


def spoilt(fault: Fault, request: Request, api: Api) -> Answer:
    """The answer that a fault gives in place of the site's, or makes of it."""
    kind = fault.kind
    if kind == "latency":
        return api.answer(request)
    if kind == "not_wrapped":
        return _unwrapped(api.answer(request))
    if kind in ("500_json", "503_maintenance", "503_readonly", "refuse"):
        return api.refused(request, _refusal(fault, request))
    if kind == "redirect":
        return Answer(302, b"", "text/html", [("Location", fault.text or "/login")])
    if kind == "429":
        return _too_many(fault, as_json=wants_json(request.headers))
    if kind == "500_html":
        return gunicorn(500, "Internal Server Error", "")
    if kind in ("502_html", "504_html"):
        status = int(kind[:3])
        return Answer(status, _page(status).encode(), "text/html")
    method = request.segments[1:2] == ["method"] and request.version == "v1"
    body = _body(fault, "message" if method else "data")
    return Answer(200, body, "text/html" if kind == "html_200" else "application/json")


def _unwrapped(answer: Answer) -> Answer:
    """The same answer without `message` or `data` around it (FRAPPE, point 13)."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return answer
    if answer.status == 200 and isinstance(body, dict) and len(body) == 1:
        return Answer(200, dumped(next(iter(body.values()))))
    return answer


def _refusal(fault: Fault, request: Request) -> Refusal:
    """A Refusal for the site to word."""
    if fault.kind == "503_maintenance":
        return stopped()
    if fault.kind == "refuse":
        refusal = invalid(fault.text or "Not allowed today.", source=APP)
        refusal.exc_type = fault.exc_type or refusal.exc_type
        return refusal
    if fault.kind == "503_readonly":
        refusal = read_only()
    else:
        exc_type = fault.exc_type or "QueryDeadlockError"
        module = "pymysql.err." if exc_type == "OperationalError" else "frappe.exceptions."
        refusal = Refusal(500, exc_type, fault.text or _DEADLOCK, module=module, messages=[])
    if request.segments[1:3] == ["method", CONFIRM]:
        refusal.source = APP
    return refusal


def _too_many(fault: Fault, *, as_json: bool) -> Answer:
    """The budget is spent (FRAPPE 7). Without `retry_after` to the end of the minute, as the real one."""
    left = fault.retry_after if fault.retry_after is not None else 60 - int(time.time()) % 60
    seconds = f"{left:g}"
    refusal = Refusal(429, "TooManyRequestsError", messages=[])
    answer = refusal.answer(traceback=True)
    if not as_json:
        answer = Answer(429, b"Too Many Requests", "text/plain; charset=utf-8")
    answer.headers = [
        ("X-RateLimit-Reset", seconds),
        ("X-RateLimit-Limit", "5000000"),
        ("X-RateLimit-Remaining", "0"),
        ("Retry-After", seconds),
    ]
    return answer


def _body(fault: Fault, wrapper: str) -> bytes:
    bodies: dict[str, bytes] = {
        "garbage": b'{"message": {"succ',
        "wrong_shape": dumped({wrapper: {"unexpected": [1, 2, 3]}}),
        "html_200": _page(200).encode(),
        "bad_utf8": b'{"message": "\xff\xfe\xc3\x28"}',
        "empty_body": b"",
        "success_false": dumped({wrapper: {"success": False, "error": fault.text or "Something went wrong"}}),
    }
    if fault.kind == "huge":
        return b'{"' + wrapper.encode() + b'": "' + b"x" * _HUGE + b'"}'
    return bodies[fault.kind]


def _page(status: int) -> str:
    title = {
        200: "Sign in",
        502: "502 Bad Gateway",
        504: "504 Gateway Time-out",
    }[status]
    head = f"<html>\n<head><title>{title}</title></head>\n"
    return f"{head}<body>\n<center><h1>{title}</h1></center>\n</body>\n</html>\n"
