"""What each request to the LMS is for, in monitoring's few words. The request's own name stays in errors."""

from __future__ import annotations

from reconcile.lms.http.client import Observer

#: From the names of the LMS's requests to `metrics.measures.OPERATIONS`.
PURPOSES = {
    "ping": "ping",
    "count LMS Enrollment": "sight",
    "sample LMS Enrollment": "sight",
    "whoami": "sight",
    "list LMS Enrollment": "enrollments",
    "list User": "users",
    "list LMS Course": "courses",
    "create LMS Enrollment": "enroll",
    "create LMS Enrollments": "enroll",
    "confirm_payment": "enroll",
}


def by_purpose(tell: Observer) -> Observer:
    """An observer for `Http` that tells the purpose instead of the operation's name.

    It is `other` for a request that no run makes.
    """

    def observe(operation: str, http_status: int | None, seconds: float) -> None:
        tell(PURPOSES.get(operation, "other"), http_status, seconds)

    return observe
