"""PyMongo's exceptions as ours, in one table, at the edge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo import errors as pymongo_errors

from reconcile.base.errors import ConfigurationError, ReconcileError, StoreUnavailable
from reconcile.base.redaction import mask_emails_in

#: Server codes that no waiting mends: the credentials or the rights are wrong.
AUTHENTICATION_FAILED = 18
UNAUTHORIZED = 13

URI_HINT = "It looks like mongodb://user:password@host:27017/database; escape what is special in a password."
_NEXT_RUN = "Nothing is lost: the next run looks again."
_UNSTORABLE = "A value cannot be stored in MongoDB (not Unicode, or too large a number). " + _NEXT_RUN
_REACH = "Check that MongoDB runs and that MONGODB_URI reaches it from here. " + _NEXT_RUN

#: The most specific class wins. Every class of `pymongo.errors` is covered by a row (a test walks them).
HINTS: tuple[tuple[type[Exception], str], ...] = (
    (pymongo_errors.ServerSelectionTimeoutError, _REACH),
    (pymongo_errors.NotPrimaryError, "MongoDB is electing a primary. " + _NEXT_RUN),
    (pymongo_errors.ConnectionFailure, _REACH),
    (pymongo_errors.ExecutionTimeout, "MongoDB is slow; `reconcile init` creates the indexes. " + _NEXT_RUN),
    (pymongo_errors.PyMongoError, _NEXT_RUN),
    (BSONError, _UNSTORABLE),
    # What the encoder lets through: text that is not Unicode, a number beyond 64 bits.
    (UnicodeError, _UNSTORABLE),
    (OverflowError, _UNSTORABLE),
)
#: What the edge catches.
CAUGHT = (pymongo_errors.PyMongoError, BSONError, UnicodeError, OverflowError)


def translate(error: Exception, doing: str) -> ReconcileError:
    """Ours for one of PyMongo's. `doing` says what was tried; the message names no address or password."""
    code = getattr(error, "code", None)
    if code in (AUTHENTICATION_FAILED, UNAUTHORIZED):
        what = "refuses the user or password" if code == AUTHENTICATION_FAILED else "denies the rights"
        return ConfigurationError(
            [f"MONGODB_URI: MongoDB {what} ({doing})"],
            hint="The user needs readWrite on the storefront's database.",
        )
    if isinstance(error, (pymongo_errors.ConfigurationError, pymongo_errors.InvalidURI)):
        # The text may quote the URI: it is left out.
        return ConfigurationError(
            [f"MONGODB_URI is not usable ({type(error).__name__})"],
            hint=URI_HINT,
        )
    hint = next(text for kind, text in HINTS if isinstance(error, kind))
    return StoreUnavailable(f"MongoDB failed while {doing}: {_words(error)}", hint=hint)


def _words(error: Exception) -> str:
    """What the driver says, without the time-outs and the topology that it appends."""
    text = str(error).split(", Timeout:")[0].split(" (configured timeouts:")[0].split("\n")[0]
    return mask_emails_in(text)[:300]


@contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Only our errors leave this block."""
    try:
        yield
    except CAUGHT as error:
        raise translate(error, doing) from error
