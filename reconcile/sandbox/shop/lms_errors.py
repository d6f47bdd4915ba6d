"""The storefront's words for a call to the LMS that failed: what stands in `errorMessage`. No I/O.

The bare error, as JavaScript or the LMS worded it. There is no code to tell them apart by.
"""

from __future__ import annotations

import json

TIMEOUT = "The operation was aborted due to timeout"
UNREACHABLE = "fetch failed"
#: The LMS's own words: an answer with 200 and `success: false`.
NO_USER = "User not found"
NO_COURSE = "Course not found"
ENROLLED = "User is already enrolled in this course"
UNPUBLISHED = "You cannot enroll in an unpublished course."

_PAGE = (
    "<!DOCTYPE html>\n<html>\n<head>\n<title>{title}</title>\n</head>\n"
    "<body>\n<h1>{title}</h1>\n<p>{text}</p>\n</body>\n</html>\n"
)


def api_error(status: int, reason: str, body: str) -> str:
    """An answer that is not 2xx, with the whole body behind it."""
    return f"FrappeLMS API returned {status}: {reason}. Details: {body}"


def refused(exc_type: str, text: str) -> str:
    """Frappe's own 417, which can mean nearly anything."""
    line = f"frappe.exceptions.{exc_type}: {text}"
    body = {"exception": line, "exc_type": exc_type, "exc": json.dumps([f"{line}\n"])}
    return api_error(417, "EXPECTATION FAILED", json.dumps(body, separators=(",", ":")))


#: What the shop stores while the LMS, or what stands before it, is down.
DOWN = (
    TIMEOUT,
    UNREACHABLE,
    api_error(502, "Bad Gateway", _PAGE.format(title="502 Bad Gateway", text="nginx")),
    api_error(
        503,
        "Service Unavailable",
        _PAGE.format(title="Updating", text="The system is being updated. Please refresh again."),
    ),
)
