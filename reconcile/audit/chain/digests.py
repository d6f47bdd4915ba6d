"""The arithmetic of the audit's chain: what is hashed, in which form. Pure; format 1.

Anybody can compute these again with SHA-256 and JSON:

    digest(columns, row)  SHA-256 of the JSON object {column: value, ...}
    link                  SHA-256 of ["link", previous link, seq, kind, attempt_id, flags, digest]
    the link before the first of a run     SHA-256 of ["run", run_id]
    seal                  SHA-256 of ["seal", previous seal, seal_number, kind, subject, links,
                                      last_link, digest, detail, sealed_at]
    the seal before the first              64 zeros

JSON here has no white space, keys in alphabetical order, everything beyond ASCII as \\uXXXX. A text is
what the database holds (`plain`), a whole number is itself, an instant is 2026-11-24T12:00:00.000000Z,
an absent value is null. All of these read the same from SQLite and PostgreSQL.

What a released version has hashed must be computable for ever: the lists of columns below never
change. A column that comes later needs a list, and a kind of event, of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

#: An attempt as it begins. `flags` is what the link holds: the row's own may grow until the end.
INTENT = (
    *("attempt_id", "run_id", "enrollment_id", "payment_id", "email_key", "member_key", "course"),
    *("number", "action", "started_at", "flags", "amount_e4", "currency", "paid_at"),
)
#: What the end of an attempt adds.
ENDING = (
    *("attempt_id", "finished_at", "outcome", "reason", "http_status", "lms_enrollment_id", "error"),
    *("flags", "counted"),
)
#: Both. `email_masked` is in none: it goes when its person is forgotten (verify holds it against `people`).
WHOLE = (*INTENT, *(name for name in ENDING if name not in INTENT))
#: An attempt as it begins under a lease. The token tells later whether its write may have been sent.
LEASED_INTENT = (*INTENT, "lease_token")
#: The end of an attempt of which nothing was sent, and what that was read from.
UNSENT_ENDING = (*ENDING, "never_sent", "lease_token")
#: A run as it begins: only its heartbeat changes until it ends. And with its end.
OPENING = (
    *("run_id", "mode", "started_at", "host", "pid", "process_started", "version", "status", "reason"),
    *("finished_at", "scanned", "lms_requests", "lms_total", "exit_code", "outcomes", "reasons"),
)
CLOSING = (*OPENING, "heartbeat_at")
NO_SEAL = "0" * 64


class Event(StrEnum):
    """What happened to an attempt: the kinds of links."""

    BEGAN = "began"
    LEASED = "leased"  #: began, under a lease
    ENDED = "ended"
    UNSENT = "unsent"  #: ended, and proven that no request left for it
    RECORDED = "recorded"  #: a verdict without a write: begun and ended at once
    REDACTED = "redacted"  #: an address was taken out of a finished attempt's texts
    REDACTED_OPEN = "redacted_open"  #: the same for one that has no end yet


#: Which columns an event fixes.
COVERED = {
    Event.BEGAN: INTENT,
    Event.LEASED: LEASED_INTENT,
    Event.ENDED: ENDING,
    Event.UNSENT: UNSENT_ENDING,
    Event.RECORDED: WHOLE,
    Event.REDACTED: WHOLE,
    Event.REDACTED_OPEN: INTENT,
}


#: Events after which an attempt has no outcome yet: their links hold its flags.
OPENING_EVENTS = frozenset({Event.BEGAN, Event.LEASED, Event.REDACTED_OPEN})
#: Events that give an attempt of its own its end.
ENDS = (Event.ENDED, Event.UNSENT)


class SealKind(StrEnum):
    """What a seal is about."""

    FOUNDED = "founded"  #: the chain begins; digest of the secret of the keys
    OPENED = "opened"  #: a run; subject: its id
    CLOSED = "closed"  #: a run, with its links; again where something was added later
    PRUNED = "pruned"  #: `db prune`; links: how many seals it has marked
    FORGOTTEN = "forgotten"  #: `db forget`; subject: the person's key


class Seal(NamedTuple):
    """A seal's number and value: what people keep elsewhere, as `NUMBER:HEX`."""

    number: int
    value: str

    def __str__(self) -> str:
        return f"{self.number}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> Seal:
        """From `NUMBER:HEX`. Raises ValueError."""
        number, separator, value = text.strip().partition(":")
        well_formed = separator and number.isascii() and number.isdecimal() and len(number) < 12
        if not well_formed or len(value) != len(NO_SEAL) or set(value.lower()) - set("0123456789abcdef"):
            raise ValueError("a seal is a number, a colon and 64 hex digits")
        return cls(int(number), value.lower())


def plain(text: str) -> str:
    """Text that every database takes: NUL and lone surrogates, which JSON may carry, become `\\ufffd`."""
    if text.isascii():
        return text.replace("\x00", "\ufffd")
    encodable = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return encodable.replace("\x00", "\ufffd")


def digest(columns: Iterable[str], row: Mapping[Any, Any]) -> str:
    """The digest of a row's columns; a column that the row lacks is null."""
    get = row.get
    return _sha256("{" + ",".join([key + _json(get(name)) for name, key in _keys(tuple(columns))]) + "}")


def first_link(run_id: str) -> str:
    """What stands before a run's first link."""
    return _hash(["run", plain(run_id)])


def link(previous: str, *, seq: int, kind: str, attempt_id: int, flags: str | None, digest: str) -> str:
    """A link's value, from the one before it."""
    # Nothing is made plain here: all of it comes from the link's own row.
    said = (previous, seq, kind, attempt_id, flags, digest)
    return _sha256('["link",' + ",".join(map(_encoded, said)) + "]")


def seal(previous: str, row: Mapping[Any, Any]) -> str:
    """A seal's value, from the one before it and its own row."""
    names = ("seal_number", "kind", "subject", "links", "last_link", "digest", "detail", "sealed_at")
    return _hash(["seal", previous, *(_value(row[name]) for name in names)])


def digest_of_secret(secret: bytes) -> str:
    """What the first seal says about the secret of the keys; tells nothing of it."""
    return _hash(["secret", secret.hex()])


def digest_of_numbers(numbers: Iterable[int]) -> str:
    """The seals that one pruning has marked, in ascending order; in constant memory."""
    hashed = hashlib.sha256(b'["pruned"')
    for number in numbers:
        hashed.update(b",%d" % number)
    hashed.update(b"]")
    return hashed.hexdigest()


@cache
def _keys(columns: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Each column with what stands before its value, in the order of their names."""
    return tuple((name, f"{encode_basestring_ascii(name)}:") for name in sorted(set(columns)))


def _json(value: Any) -> str:
    """The JSON of a column's value; the usual kinds first, because this is run a dozen times a row."""
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(plain(value))
    if value is None:
        return "null"
    if kind is int:
        return str(value)
    if kind is datetime and value.tzinfo is UTC:
        return f'"{value.isoformat(timespec="microseconds")[:-_ZONE]}Z"'
    return _encoded(_value(value))


def _encoded(value: Any) -> str:
    """A value's JSON as it is."""
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(value)
    if kind is int:
        return str(value)
    return _encoder.encode(value)


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(value, bytes):
        # No column holds bytes: somebody has put them there.
        return {"bytes": value.hex()}
    return plain(value) if isinstance(value, str) else value


#: The letters of `+00:00`.
_ZONE = 6
_encoder = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def _hash(value: object) -> str:
    return _sha256(_encoder.encode(value))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
