"""What an answer of Frappe means: pure functions from an Answer to a value or to one of our errors.

The table is FRAPPE 8, "Classification". Nothing is decided by translated text: statuses, `exc_type`
and dotted names are reliable, sentences are not (FRAPPE, point 5). What is not known for certain to
be done or not done is left to the caller's second look.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from reconcile.base.errors import AmbiguousWrite, ProtocolViolation, ServiceUnavailable
from reconcile.base.redaction import excerpt
from reconcile.domain.identity import normalise_name
from reconcile.domain.model import EffectKey, Reason
from reconcile.lms.errors import (
    NOT_FRAPPE,
    and_said,
    check_status,
    error_text,
    exc_type,
    in_its_own_words,
    sentences,
)
from reconcile.lms.http.answer import Answer
from reconcile.run.answers import (
    AlreadyThere,
    Created,
    CreatedMany,
    EnrollAnswer,
    ManyAnswer,
    Refused,
    RefusedMany,
)

CONFIRM_METHOD = "lms.lms.payment_confirmation.confirm_payment"
_NAME_LIMIT = 140  # Frappe names are varchar(140)
#: Statuses that say of a single write that it was not done, whoever answered.
_NOT_DONE = frozenset({408, 409, 417, 500, 501})
_ALREADY = re.compile(r"already.*enrolled", re.IGNORECASE)
_NO_USER = re.compile(r"user.*not found", re.IGNORECASE)
_NO_COURSE = re.compile(r"course.*not found", re.IGNORECASE)


def check_ping(answer: Answer) -> None:
    """Return for a pong. Raises as `check_status`; whatever is no pong ends the run: it is no Frappe."""
    try:
        check_status(answer, "ping", write=False)
    except ServiceUnavailable as error:
        # Nothing is simpler than a ping: whatever is at fault, it is not an enrollment.
        error.certain = True
        raise
    except ProtocolViolation as error:
        error.ends_run = True
        raise
    if isinstance(answer.json, dict) and answer.json.get("message") == "pong":
        return
    raise ProtocolViolation(
        f"ping: the LMS answered {answer.status} and no pong{and_said(answer)}",
        ends_run=True,
        http_status=answer.status,
        hint=NOT_FRAPPE,
    )


def rows(
    answer: Answer, operation: str, *, texts: Sequence[str], flag: str | None = None
) -> list[dict[str, Any]]:
    """The rows of a `frappe.client.get_list`: each with `texts` as strings and `flag` as 0 or 1.

    Anything else is a ProtocolViolation: from a wrong shape nothing may be concluded. Otherwise
    raises as `check_status`; the caller has dealt with 409 and 417.
    """
    message = _message(answer, operation)
    if not isinstance(message, list):
        raise _shape(answer, operation, "no list")
    for row in message:
        for name in texts:
            if not isinstance(row, dict) or not _is_name(row.get(name)):
                raise _shape(answer, operation, f"rows without {' and '.join(texts)}")
        if flag is not None and row.get(flag) not in (0, 1):
            raise _shape(answer, operation, f"rows without {flag}")
    return message


def count(answer: Answer, operation: str) -> int:
    """The number that `frappe.client.get_count` answers. Raises as `rows`."""
    message = _message(answer, operation)
    if isinstance(message, bool) or not isinstance(message, int) or message < 0:
        raise _shape(answer, operation, "no number")
    return message


def user(answer: Answer, operation: str) -> str:
    """The user that `frappe.auth.get_logged_user` names. Raises as `rows`."""
    message = _message(answer, operation)
    if not _is_name(message):
        raise _shape(answer, operation, "no user")
    return str(message)


def confirmed(answer: Answer, *, keyless: bool) -> EnrollAnswer:
    """What `confirm_payment` answered (FRAPPE 5.3).

    Raises as `check_status`, and ProtocolViolation(ends_run=True) where the method does not exist.
    """
    operation = "confirm_payment"
    check_status(answer, operation, write=True)
    if answer.status in (409, 417):
        if exc_type(answer) == "ValidationError" and _names_method(answer):
            raise ProtocolViolation(
                f"{operation}: this LMS has no method {CONFIRM_METHOD}",
                ends_run=True,
                http_status=answer.status,
                hint="For a stock Frappe LMS set RECONCILE_ENROLL_VIA=rest.",
            )
        return _refused(answer)
    body = answer.json
    result = body.get("message", body) if isinstance(body, dict) else None
    if not isinstance(result, dict) or not isinstance(result.get("success"), bool):
        raise _shape(answer, operation, "neither success nor refusal")
    if result["success"]:
        return Created(
            lms_id=_document(answer, operation, result.get("enrollment_id")), http_status=answer.status
        )
    error = result.get("error")
    text = excerpt(error) if isinstance(error, str) else "refused without a reason"
    return _told_no(text, answer.status) if keyless else _no(Reason.LMS_REJECTED, text, answer.status)


def created(answer: Answer, key: EffectKey) -> EnrollAnswer:
    """What creating the LMS Enrollment answered (FRAPPE 5.1, 5.2). Raises as `check_status`."""
    operation = "create LMS Enrollment"
    check_status(answer, operation, write=True)
    if answer.status in (409, 417):
        return _refused(answer)
    document = answer.json.get("data") if isinstance(answer.json, dict) else None
    if not isinstance(document, dict):
        raise _shape(answer, operation, "no document")
    name = _document(answer, operation, document.get("name"))
    member, course = document.get("member"), document.get("course")
    if not isinstance(member, str) or not isinstance(course, str):
        raise _shape(answer, operation, "a document without member and course")
    if _names(member, course) != _names(key.member, key.course):
        raise _shape(answer, operation, "a document for somebody else or another course")
    return Created(lms_id=name, http_status=answer.status)


def created_many(answer: Answer, count: int) -> ManyAnswer:
    """What creating `count` LMS Enrollments in one request answered (FRAPPE 5.4).

    So much hangs on one answer that only Frappe's own words count as a refusal: whoever else answers
    (a worker that died, a proxy) leaves open what was done. Raises AmbiguousWrite then, ProtocolViolation
    for a success without a name of its own for each, otherwise as `check_status`.
    """
    operation = "create LMS Enrollments"
    if answer.status in _NOT_DONE and not in_its_own_words(answer):
        said = f"{operation}: the LMS answered {answer.status}{and_said(answer)}"
        raise AmbiguousWrite(said, http_status=answer.status)
    check_status(answer, operation, write=True)
    if answer.status in (409, 417):
        no = _refused(answer)
        return RefusedMany(reason=no.reason, error=no.error, http_status=no.http_status)
    named = answer.json.get("message") if isinstance(answer.json, dict) else None
    if not isinstance(named, list):
        raise _shape(answer, operation, "no list of documents")
    lms_ids = tuple(_document(answer, operation, name) for name in named)
    if len(lms_ids) != count or len(set(lms_ids)) != count:
        raise _shape(answer, operation, f"{len(set(lms_ids))} documents instead of {count}")
    return CreatedMany(lms_ids=lms_ids, http_status=answer.status)


def _told_no(text: str, status: int) -> AlreadyThere | Refused:
    """Without a key nobody can look again: the vendor's English sentence is all there is."""
    if _ALREADY.search(text):
        return AlreadyThere(http_status=status)
    if _NO_USER.search(text):
        return _no(Reason.MEMBER_MISSING, text, status)
    if _NO_COURSE.search(text):
        return _no(Reason.COURSE_MISSING, text, status)
    return _no(Reason.LMS_REJECTED, text, status)


def _refused(answer: Answer) -> Refused:
    return _no(Reason.LMS_REJECTED, error_text(answer) or f"HTTP {answer.status}", answer.status)


def _no(reason: Reason, text: str, status: int) -> Refused:
    return Refused(reason=reason, error=text, http_status=status)


def _names_method(answer: Answer) -> bool:
    # Not `exc`: a traceback through the method would name it too.
    return any(CONFIRM_METHOD in text for text in sentences(answer))


def _message(answer: Answer, operation: str) -> Any:
    check_status(answer, operation, write=False)
    if answer.status in (409, 417):
        raise _shape(answer, operation, "a refusal")
    if not isinstance(answer.json, dict) or "message" not in answer.json:
        raise _shape(answer, operation, "no message")
    return answer.json["message"]


def _document(answer: Answer, operation: str, name: object) -> str:
    """A success counts only with the document it made."""
    if not _is_name(name):
        raise _shape(answer, operation, "a success that named no document")
    return str(name).strip()


def _is_name(value: object) -> bool:
    """Something that can be a Frappe name, and be stored and shown as one."""
    return isinstance(value, str) and 0 < len(value.strip()) <= _NAME_LIMIT and value.isprintable()


def _shape(answer: Answer, operation: str, what: str) -> ProtocolViolation:
    return ProtocolViolation(
        f"{operation}: the LMS answered {answer.status} with {what}{and_said(answer)}",
        http_status=answer.status,
        hint=None if answer.is_json else NOT_FRAPPE,
    )


#: The part of the site's budget that is left to the learners.
_RESERVE = 0.1
_LONGEST_BREATHER = 60.0


def breather(headers: Mapping[str, str]) -> float:
    """Seconds to wait, from X-RateLimit-*: until the reset, when less than a tenth of the budget is left."""
    try:
        limit, remaining, reset = (
            float(headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset")
        )
    except (KeyError, ValueError):
        return 0.0
    if not all(map(math.isfinite, (limit, remaining, reset))) or remaining >= _RESERVE * limit:
        return 0.0
    return min(max(reset, 0.0), _LONGEST_BREATHER)


def _names(member: str, course: str) -> tuple[str, str]:
    return normalise_name(member), normalise_name(course)
