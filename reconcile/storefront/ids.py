"""Between `_id` as MongoDB holds it and the enrollment id that people use: reversible, never raises.

Also how long a list of them one query may hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

#: `$in` lists are cut to this: long ones are slow on small servers and gain nothing on large ones.
CHUNK = 200
#: How many documents one answer may hold where a `$in` list bounds them: all that it finds, as a rule. A
#: server's first answer has 101 otherwise.
AT_ONCE = 10 * CHUNK

_TEXT = "str:"
_NUMBER = "int:"


def enrollment_id(raw: object) -> str:
    """The enrollment id of a document: 24 hex digits for an ObjectId, and never ambiguous."""
    if isinstance(raw, str):
        ambiguous = ObjectId.is_valid(raw) or raw.startswith((_TEXT, _NUMBER))
        return _TEXT + raw if ambiguous else raw
    if isinstance(raw, int) and not isinstance(raw, bool):
        return f"{_NUMBER}{raw}"
    return str(raw)


def document_id(enrollment_id: str) -> object:
    """The `_id` that `enrollment_id` stands for."""
    if enrollment_id.startswith(_TEXT):
        return enrollment_id.removeprefix(_TEXT)
    if enrollment_id.startswith(_NUMBER) and enrollment_id.removeprefix(_NUMBER).lstrip("-").isdecimal():
        return int(enrollment_id.removeprefix(_NUMBER))
    return ObjectId(enrollment_id) if ObjectId.is_valid(enrollment_id) else enrollment_id


def order_of_job(job: Mapping[str, Any]) -> str:
    """The order that a retry job is for, whether its id was stored as ObjectId or as text."""
    raw = job.get("enrollmentId")
    if isinstance(raw, str) and ObjectId.is_valid(raw):
        return raw.lower()
    return enrollment_id(raw)


def names_in_jobs(order_id: str) -> list[object]:
    """How a retry job may name the order."""
    raw = document_id(order_id)
    return [raw, str(raw)] if isinstance(raw, ObjectId) else [raw]
