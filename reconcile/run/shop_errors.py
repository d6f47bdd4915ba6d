"""What the storefront's `errorMessage` proves about its own last call to the LMS. Pure.

An *answer* says that the LMS has done nothing with that call: it refused it, or it never got it. Of
anything else (a time-out, a cut connection, a gateway's page) the LMS may still commit it minutes later
(FRAPPE, point 4). What is not in this table is no answer: waiting costs minutes, a second row is for ever.

    errorMessage                                                    answer
    FrappeLMS API returned 4xx: … Details: {Frappe's own JSON}      yes: an object with `exc_type`,
                                                                    `exception` or `_server_messages`
    … 413, 414, 429, 431, whatever stands behind                    yes: refused before it was read
    … any other 4xx (a firewall's page), any 5xx                    no
    frappe.exceptions.…, or the LMS's own words (`_WORDS`)          yes
    connection refused, a name that does not exist                  yes: it never left
    The operation was aborted due to timeout, fetch failed, …       no
    nothing at all                                                  no
"""

from __future__ import annotations

import re

_STATUS = re.compile(r"(?:returned|status code|HTTP)\s+(\d{3})\b", re.IGNORECASE)
_FRAPPES_OWN = re.compile(r"[\"'](?:exc_type|exception|_server_messages)[\"']\s*:")
#: Statuses by which a server refuses a request without having read it.
_UNREAD = frozenset({413, 414, 429, 431})
#: The LMS's and the vendor's own refusals (FRAPPE 5), as they begin; the last two end so.
_WORDS = re.compile(
    r"(?:user not found|course not found|user is disabled|user is already enrolled in this course"
    r"|could not find (?:member|course|user)\b|student is already enrolled"
    r"|you cannot enroll in (?:an unpublished|this) course"
    r"|you need to complete the payment for this course|frappe\.exceptions\.\w+"
    r"|.{1,140} is already a student of the course )",
    re.IGNORECASE,
)
_NEVER_LEFT = re.compile(r"\b(?:ECONNREFUSED|ENOTFOUND)\b")


def was_answered(error: str | None) -> bool:
    """Whether this text proves that the LMS does nothing more with the call that it tells of."""
    said = (error or "").strip()
    status = _STATUS.search(said)
    if status is not None:
        code = int(status[1])
        return code in _UNREAD or (400 <= code < 500 and _FRAPPES_OWN.search(said) is not None)
    return _WORDS.match(said) is not None or _NEVER_LEFT.search(said) is not None
