"""The lease's document and how it changes: what `storefront/leases.py` sends to MongoDB.

One document for each effect key in a collection of our own:

    _id            member and course
    token, run_id, host, pid      who has it; no token: nobody, it is kept for what stands below
    expires_at     free for others after this instant
    attempts       the ids that were fenced under this token: their writes may have been sent
    fence          the fence that marked it last, to tell which of many it reached
    owners         who had it before and did not give it back: token and attempts
    writing_until  set right before a write: should we die now, it may still be done until then
    hold_until     an unanswered write: others may look, nobody may write before this instant
    purge_at       when the document may go (TTL index), later than all of these

`attempts` is the only witness that a write was not sent, so it says nothing rather than too little: a
document of an earlier version has none, and gets none by a fence. A token without a list never becomes
an owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconcile.domain.model import EffectKey
from reconcile.run.leases import Lease, Owner

Document = dict[str, Any]

#: Nobody's, and no write of anybody in flight.
GIVEN_BACK: Document = {"expires_at": "$$NOW", "token": None, "attempts": [], "writing_until": "$$REMOVE"}


def document_name(key: EffectKey) -> str:
    """The document's `_id`. Neither part can hold a line break: both have passed the storefront's rules."""
    return f"{key.member}\n{key.course}"


def where(condition: Document, fields: Document) -> list[Document]:
    """The update: these fields where the condition holds, and as they are elsewhere.

    The condition stands in the update and not in the filter, where the key alone must lead to the
    document: some servers scan the collection for an `$expr`.
    """
    return [{"$set": {name: {"$cond": [condition, value, f"${name}"]} for name, value in fields.items()}}]


def ahead(field: str) -> Document:
    """The instant lies ahead of the server's clock. As numbers, which every server compares alike."""
    return {"$gt": [{"$toLong": field}, {"$toLong": "$$NOW"}]}


def passed(field: str) -> Document:
    """The instant has come by the server's clock."""
    return {"$lte": [{"$toLong": field}, {"$toLong": "$$NOW"}]}


def from_now(milliseconds: int) -> Document:
    """So long after the server's now."""
    return {"$add": ["$$NOW", milliseconds]}


def taken_from_the_dead() -> Document:
    """What a new owner changes beside its name and the times: the one before becomes an owner of the past.

    It died or lapsed: what it may have had in flight is on hold from now on.
    """
    has_witness = {"$and": [{"$eq": [{"$type": "$token"}, "string"]}, {"$isArray": "$attempts"}]}
    last = {"$cond": [has_witness, [{"token": "$token", "attempts": "$attempts"}], []]}
    before = {"$cond": [{"$isArray": "$owners"}, "$owners", []]}
    return {
        "owners": {"$concatArrays": [before, last]},
        "attempts": [],
        "hold_until": {"$max": ["$hold_until", "$writing_until"]},
        "writing_until": "$$REMOVE",
    }


class Named:
    """Many leases, each with its own token, in one update: the filter, and which of them a document is."""

    def __init__(self, leases: Sequence[Lease]) -> None:
        names = dict.fromkeys(document_name(lease.key) for lease in leases)
        tokens = dict.fromkeys(lease.token for lease in leases)
        self._pairs = list(dict.fromkeys(map(_pair, leases)))
        self.filter: Document = {"_id": {"$in": list(names)}, "token": {"$in": list(tokens)}}
        #: Literal: an address may begin with a dollar.
        self._place = {"$indexOfArray": [{"$literal": self._pairs}, {"$concat": ["$_id", "\n", "$token"]}]}
        self.ours: Document = {"$gte": [self._place, 0]}

    def __len__(self) -> int:
        return len(self._pairs)

    def marked(self, attempts: Sequence[tuple[Lease, int]]) -> Document:
        """The document's `attempts` with its own ones of these."""
        ids: dict[str, list[int]] = {pair: [] for pair in self._pairs}
        for lease, attempt in attempts:
            ids[_pair(lease)].append(attempt)
        more = {"$arrayElemAt": [{"$literal": list(ids.values())}, self._place]}
        return {"$cond": [{"$isArray": "$attempts"}, {"$setUnion": ["$attempts", more]}, None]}


def _pair(lease: Lease) -> str:
    return f"{document_name(lease.key)}\n{lease.token}"


def owners_of(document: Mapping[str, Any], *, expired: bool = False) -> tuple[Owner, ...]:
    """Who had it before; with `expired` also who has it, as a take-over would see it.

    An entry that is not as we write it proves nothing and is left out.
    """
    found = document.get("owners")
    entries = list(found) if isinstance(found, list) else []
    return tuple(_owners([*entries, document] if expired else entries))


def _owners(entries: Sequence[object]) -> Iterator[Owner]:
    for entry in entries:
        token, attempts = (
            (entry.get("token"), entry.get("attempts")) if isinstance(entry, Mapping) else (None, None)
        )
        if isinstance(token, str) and isinstance(attempts, list) and all(map(_is_id, attempts)):
            yield Owner(token=token, attempts=frozenset(attempts))


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
