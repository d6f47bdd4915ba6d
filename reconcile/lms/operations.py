"""What each request to the LMS is for, in monitoring's few words. The request's own name stays in errors."""

from __future__ import annotations

from collections.abc import Callable

from reconcile.lms.http.client import Observer

#: From the operation names of `frappe` to `domain.measures.OPERATIONS`.
PURPOSES = {
    "ping": "ping",
    "count LMS Enrollment": "sight",
    "sample LMS Enrollment": "sight",
    "whoami": "sight",
    "list LMS Enrollment": "enrollments",
    "list User": "users",
    "list LMS Course": "courses",
    "create LMS Enrollment": "enroll",
    "confirm_payment": "enroll",
}


def purpose_of(operation: str) -> str:
    """The purpose of a request by its operation's name; `other` for one that no run makes."""
    return PURPOSES.get(operation, "other")


def by_purpose(tell: Callable[[str, int | None, float], None]) -> Observer:
    """An observer for `Http` that tells the purpose instead of the operation's name."""

    def observe(operation: str, http_status: int | None, seconds: float) -> None:
        tell(purpose_of(operation), http_status, seconds)

    return observe
