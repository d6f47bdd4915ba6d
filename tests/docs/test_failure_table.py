"""The failure table of docs/operations.md, held against the code that decides."""

from __future__ import annotations

import json
import re
import sqlite3
from types import ModuleType

import bson
import bson.errors
import pymongo.errors
import pytest
import requests.exceptions as theirs
import sqlalchemy.exc

from reconcile.audit.errors import Place, mapped
from reconcile.base.errors import (
    AmbiguousWrite,
    AuditUnavailable,
    AuthenticationFailed,
    ConfigurationError,
    ProtocolViolation,
    RateLimited,
    ReconcileError,
    ServiceUnavailable,
    StoreUnavailable,
)
from reconcile.domain.model import Enrolled, NotEnrolled, Reason
from reconcile.lms.answers import CONFIRM_METHOD, confirmed
from reconcile.lms.http.answer import Answer
from reconcile.lms.http.errors import MAPPING, Fault, to_error
from reconcile.run.answers import EnrollAnswer, Garbled, Unanswered, Unserved, WriteResult, conclude
from reconcile.storefront.errors import HINTS, store_errors, translate
from tests.docs.documents import OPERATIONS, section

ROWS = [
    line
    for line in section(OPERATIONS.read_text(encoding="utf-8"), "The failure table").splitlines()
    if "|" in line
]
HTML = b"<html><h1>trouble</h1></html>"


def _row(begin: str) -> list[str]:
    """The cells of the first row that begins with `begin`: what happens, not there, there, tried again."""
    line = next(line for line in ROWS if line.startswith(f"| {begin}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def _sent(status: int, body: bytes = HTML) -> EnrollAnswer | ReconcileError:
    try:
        return confirmed(Answer.of(status, {}, body), keyless=False)
    except ReconcileError as error:
        return error


def _result(found: EnrollAnswer | ReconcileError) -> WriteResult:
    """As `reconcile.run.writing` makes values of what a write raises."""
    match found:
        case RateLimited():
            return Unserved(reason=Reason.RATE_LIMITED, error="", certain=True)
        case AmbiguousWrite():
            return Unanswered(error="")
        case ServiceUnavailable():
            return Unserved(reason=Reason.LMS_UNAVAILABLE, error="", certain=found.certain)
        case ProtocolViolation():
            assert not found.ends_run
            return Garbled(error="")
        case ReconcileError():
            raise AssertionError(f"ends the run: {found!r}")
    return found


NO_METHOD = json.dumps(
    {
        "exc_type": "ValidationError",
        "exception": f"frappe.exceptions.ValidationError: Failed to get method for command {CONFIRM_METHOD}",
    }
).encode()
REFUSED = json.dumps({"message": {"success": False, "error": "no"}}).encode()
BROKEN = [theirs.ReadTimeout(), theirs.ChunkedEncodingError(), theirs.ConnectionError()]
NOT_SENT = [theirs.ConnectTimeout()]


@pytest.mark.parametrize(
    ("begin", "found"),
    [
        ("`confirm_payment` 200, `success: false`", _sent(200, REFUSED)),
        ("417 or 409", _sent(417, b'{"exc_type": "ValidationError"}')),
        ("417 or 409", _sent(409, b'{"exc_type": "DuplicateEntryError"}')),
        ("200 of another shape", _sent(200)),
        ("200 of another shape", _sent(200, b'{"message": {"success": true}}')),
        ("500, 501, 408", _sent(500)),
        ("500, 501, 408", _sent(501)),
        ("500, 501, 408", _sent(408)),
        ("503 of Frappe's own", _sent(503, b'{"exc_type": "SessionStopped"}')),
        ("503 of Frappe's own", _sent(525)),
        ("429", _sent(429)),
        *(("read time-out", _sent(status)) for status in (502, 503, 504, 520, 524)),
        *(("read time-out", to_error(error, "enroll", write=True)) for error in BROKEN),
        *(("503 of Frappe's own", to_error(error, "enroll", write=True)) for error in NOT_SENT),
        ("any other 5xx", _sent(507)),
        ("any other 4xx", _sent(413)),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_a_row_says_is_what_is_decided(begin: str, found: EnrollAnswer | ReconcileError) -> None:
    _, absent, present, again = _row(begin)

    not_there = conclude(_result(found), NotEnrolled(), can_look=True)
    there = conclude(_result(found), Enrolled("x"), can_look=True)

    assert not_there.verdict.reason is not None
    assert f"`{not_there.verdict.reason.value}`" in absent
    assert ("an attempt" in absent) == bool(not_there.verdict.attempts)
    assert ("**held**" in absent) == not_there.hold
    assert ("`RECONCILE_AMBIGUOUS_HOLD`" in again or again == "the same") or not not_there.hold
    if "no look" not in absent:
        assert f"`{there.verdict.outcome.value}`" in present


@pytest.mark.parametrize(
    ("begin", "status", "body", "reason"),
    [
        ("401, 403", 401, HTML, "unauthorized"),
        ("401, 403", 403, HTML, "forbidden"),
        ("3xx, 404, 405", 302, HTML, "protocol"),
        ("3xx, 404, 405", 404, HTML, "protocol"),
        ("3xx, 404, 405", 405, HTML, "protocol"),
        (
            "417 that names the method",
            417,
            NO_METHOD,
            "protocol",
        ),
    ],
)
def test_what_ends_the_run(begin: str, status: int, body: bytes, reason: str) -> None:
    found = _sent(status, body)

    assert isinstance(found, (AuthenticationFailed, ProtocolViolation))
    if isinstance(found, AuthenticationFailed):
        assert found.reason == reason
    else:
        assert found.ends_run
    assert "run aborted" in _row(begin)[1]
    assert f"`{reason}`" in _row(begin)[1]


_FAULTS = {
    Fault.NOT_SENT: "not sent",
    Fault.UNANSWERED: "not answered",
    Fault.DEPENDS: "not sent where a cause proves it",
    Fault.UNSENDABLE: "cannot be sent",
}


@pytest.mark.parametrize(
    "kind",
    [kind for kind in MAPPING if kind.__module__ == "requests.exceptions"],
    ids=lambda kind: kind.__name__,
)
def test_each_class_of_requests_is_told(kind: type[BaseException]) -> None:
    row = next(line for line in ROWS if f"`{kind.__name__}`" in line.split("|")[1])
    assert row.split("|")[2].strip().startswith(_FAULTS[MAPPING[kind]])


def test_the_table_of_requests_has_every_class_there_is() -> None:
    """Not only those that our own table knows."""
    there = {kind.__name__ for kind in errors_of(theirs, theirs.RequestException)}
    told = {name for row in ROWS for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert there - told == set()


def errors_of(module: ModuleType, *families: type[BaseException]) -> list[type[BaseException]]:
    """Every exception class that a library's module makes, warnings left out."""
    found = [
        member
        for member in vars(module).values()
        if isinstance(member, type)
        and issubclass(member, Exception)
        and not issubclass(member, Warning)
        and member.__module__ == module.__name__
    ]
    assert all(issubclass(member, families) for member in found), "a family that the edge does not catch"
    return found


STORE_ERRORS = [
    *errors_of(pymongo.errors, pymongo.errors.PyMongoError, bson.errors.BSONError),
    *errors_of(bson.errors, bson.errors.BSONError),
]


@pytest.mark.parametrize("kind", STORE_ERRORS, ids=lambda kind: kind.__name__)
def test_every_class_of_pymongo_becomes_what_the_table_says(kind: type[Exception]) -> None:
    """The rows name the exceptions to the rule; every class there is follows one of them or the rule."""
    settings = next(line for line in ROWS if "`InvalidURI`" in line)
    error = kind.__new__(kind)
    error.args = ("bob@example.com",)

    with pytest.raises(ReconcileError) as caught, store_errors("testing"):
        raise error

    expected = ConfigurationError if f"`{kind.__name__}`" in settings else StoreUnavailable
    assert type(caught.value) is expected
    assert caught.value.hint
    assert "bob@" not in str(caught.value)


def test_what_the_encoder_lets_through_is_caught_too() -> None:
    for spoiled in ("\ud800", 2**64):
        with pytest.raises(StoreUnavailable), store_errors("testing"):
            bson.encode({"value": spoiled})


AUDIT_ERRORS = [
    kind
    for kind in (
        *errors_of(sqlalchemy.exc, Exception),
        *errors_of(sqlite3, sqlite3.Error, sqlite3.Warning),
    )
    # The asynchronous drivers' own, which SQLAlchemy wraps.
    if kind.__name__ != "EmulatedDBAPIException"
]


@pytest.mark.parametrize("kind", AUDIT_ERRORS, ids=lambda kind: kind.__name__)
def test_every_class_of_the_audit_s_libraries_ends_as_unavailable(kind: type[Exception]) -> None:
    wraps = issubclass(kind, sqlalchemy.exc.StatementError)
    error = kind("it failed", {}, {}, sqlite3.Error("it failed")) if wraps else kind.__new__(kind)

    with pytest.raises(AuditUnavailable) as caught, mapped(Place(name="audit.db")):
        raise error

    assert caught.value.hint


def test_the_classes_of_pymongo_are_told() -> None:
    """As `translate` maps them: those that are the settings' fault, and all others."""
    settings = next(line for line in ROWS if "`InvalidURI`" in line)
    others = next(line for line in ROWS if "any other `PyMongoError`" in line)
    for row, expected, code in ((settings, ConfigurationError, "2"), (others, StoreUnavailable, "75")):
        names = [name for name in re.findall(r"`(\w+)`", row.split("|")[1]) if hasattr(pymongo.errors, name)]
        assert names
        assert all(
            isinstance(translate(getattr(pymongo.errors, name)("x"), "testing"), expected) for name in names
        )
        assert row.split("|")[3].strip() == code
    failure = pymongo.errors.OperationFailure
    assert isinstance(translate(failure("x", code=18), "testing"), ConfigurationError)
    assert isinstance(translate(failure("x", code=13), "testing"), ConfigurationError)
    told = {name for row in ROWS for name in re.findall(r"`(\w+)`", row)}
    assert {kind.__name__ for kind, _ in HINTS} <= told
