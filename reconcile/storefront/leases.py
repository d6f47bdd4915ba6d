"""Leases on MongoDB: who may write for which learner and course, over all processes and hosts.

One document for each effect key in a collection of our own (`storefront/lease_documents.py`).

Instants are the server's ($$NOW): clocks of different hosts differ. The LMS has no unique key
(FRAPPE, point 3), so this is all that keeps two processes from enrolling one learner twice.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Collection as Those
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pymongo import ASCENDING, IndexModel, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from reconcile.base.batched import batched
from reconcile.base.errors import StoreUnavailable
from reconcile.domain.model import EffectKey
from reconcile.run import leases as leasing
from reconcile.run.leases import Lease
from reconcile.run.ports import Origin
from reconcile.storefront.errors import store_errors
from reconcile.storefront.ids import AT_ONCE, CHUNK
from reconcile.storefront.lease_documents import (
    GIVEN_BACK,
    Document,
    Named,
    ahead,
    document_name,
    from_now,
    owners_of,
    passed,
    taken_from_the_dead,
    where,
)

COLLECTION = "reconcile_leases"
#: Documents that nobody released go away by themselves, a day after they have stopped to matter.
TTL_INDEX = IndexModel([("purge_at", ASCENDING)], name="reconcile_leases_ttl", expireAfterSeconds=0)
_PURGE_AFTER = timedelta(days=1)

_DUPLICATE_KEY = 11000


class MongoLeases:
    """The leases of one process. Thread-safe."""

    def __init__(self, database: Database[Document], *, origin: Origin, ttl: float, hold: float) -> None:
        """`ttl` and `hold` in seconds."""
        self._leases: Collection[Document] = database.get_collection(
            COLLECTION,
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern(w="majority", j=True),
        )
        self._database = database
        self._origin = origin
        self._ttl_ms = int(ttl * 1000)
        self._hold_ms = int(hold * 1000)
        self._in_flight_ms = int((hold + leasing.IN_FLIGHT) * 1000)
        #: Later than any instant in the document: a hold that is forgotten is a second enrollment.
        self._purge = timedelta(seconds=max(ttl, hold + leasing.IN_FLIGHT)) + _PURGE_AFTER
        self._lock = threading.Lock()
        self._mine: dict[str, str] = {}  #: document id -> token, of what is taken and not given back
        self._server_ahead = 0.0  #: seconds; server clock minus our monotonic clock, when last read

    def take(self, keys: Sequence[EffectKey], run_id: str) -> Mapping[EffectKey, Lease]:
        """Take what is free or expired: two round trips, four where some documents exist already."""
        if not keys:
            return {}
        token = secrets.token_hex(12)
        taken: dict[EffectKey, Lease] = {}
        with store_errors("taking leases"):
            self._read_server_clock()
            for chunk in batched(keys, CHUNK):
                taken |= self._take(chunk, token, run_id)
        with self._lock:
            self._mine |= {document_name(key): token for key in taken}
        return taken

    def peek(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Lease]:
        """What `take` would give, taking nothing."""
        by_name = {document_name(key): key for key in keys}
        free = {key: Lease(key=key, token="") for key in keys}
        with store_errors("reading leases"):
            self._read_server_clock()
            for chunk in batched(by_name, CHUNK):
                for document in self._leases.find({"_id": {"$in": chunk}}, batch_size=AT_ONCE):
                    key = by_name[document["_id"]]
                    holds = (document.get("hold_until"), document.get("writing_until"))
                    until = [hold for hold in map(self._by_our_clock, holds) if hold is not None]
                    if self._by_our_clock(document.get("expires_at")) is not None:
                        del free[key]
                    else:
                        owners = owners_of(document, expired=True)
                        hold = max(until, default=None)
                        free[key] = Lease(key=key, token="", hold_until=hold, owners=owners)
        return free

    def _take(self, keys: Sequence[EffectKey], token: str, run_id: str) -> dict[EffectKey, Lease]:
        by_name = {document_name(key): key for key in keys}
        owner = {"token": token, "run_id": run_id, "host": self._origin.host, "pid": self._origin.pid}
        now = self._server_now()
        fresh = [
            {
                "_id": name,
                "member": key.member,
                "course": key.course,
                "expires_at": now + timedelta(milliseconds=self._ttl_ms),
                "purge_at": now + self._purge,
                "attempts": [],
                "owners": [],
                **owner,
            }
            for name, key in by_name.items()
        ]
        existing = self._insert(fresh)
        taken = {key: Lease(key=key, token=token) for name, key in by_name.items() if name not in existing}
        if existing:
            for document in self._take_over_expired(existing, owner):
                key = by_name[document["_id"]]
                hold = self._by_our_clock(document.get("hold_until"))
                taken[key] = Lease(key=key, token=token, hold_until=hold, owners=owners_of(document))
        return taken

    def _insert(self, documents: list[Document]) -> list[str]:
        """Insert unordered; the names that exist already."""
        try:
            self._leases.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            failures = (error.details or {}).get("writeErrors", [])
            if any(failure.get("code") != _DUPLICATE_KEY for failure in failures):
                raise
            return [documents[failure["index"]]["_id"] for failure in failures]
        return []

    def _take_over_expired(self, names: list[str], owner: Document) -> Iterator[Document]:
        fields: Document = {field: {"$literal": value} for field, value in owner.items()}
        fields |= {"expires_at": from_now(self._ttl_ms), "purge_at": self._purge_at()}
        fields |= taken_from_the_dead()
        self._leases.update_many({"_id": {"$in": names}}, where(passed("$expires_at"), fields))
        mine = {"_id": {"$in": names}, "token": owner["token"]}
        yield from self._leases.find(mine, batch_size=AT_ONCE)

    def fence_all(self, attempts: Sequence[tuple[Lease, int]]) -> frozenset[EffectKey]:
        """One compare-and-set for each, in one round trip; a second one where some are not ours."""
        ours: set[EffectKey] = set()
        with store_errors("checking leases"):
            for chunk in batched(attempts, CHUNK):
                ours |= self._fence(chunk)
        return frozenset(ours)

    def _fence(self, attempts: Sequence[tuple[Lease, int]]) -> set[EffectKey]:
        named = Named([lease for lease, _ in attempts])
        # Of its own for each call: no document stays as it was, and those that were reached can be told.
        fence = secrets.token_hex(12)
        mark = {
            **self._in_flight(self._in_flight_ms),
            "attempts": named.marked(attempts),
            "fence": {"$literal": fence},
        }
        condition = {"$and": [named.ours, ahead("$expires_at")]}
        reached = self._leases.update_many(named.filter, where(condition, mark)).modified_count
        keys = {document_name(lease.key): lease.key for lease, _ in attempts}
        if reached == len(named):
            return set(keys.values())
        found = self._leases.find(
            {"_id": {"$in": list(keys)}, "fence": fence}, {"_id": 1}, batch_size=AT_ONCE
        )
        return {keys[document["_id"]] for document in found}

    def _in_flight(self, milliseconds: int) -> Document:
        return {"writing_until": from_now(milliseconds), "purge_at": self._purge_at()}

    def hold_all(self, leases: Sequence[Lease]) -> datetime:
        """Nobody writes for these keys until then; others may look at once. One round trip."""
        mark = {"hold_until": from_now(self._hold_ms), "purge_at": self._purge_at()}
        with store_errors("holding leases"):
            for chunk in batched(leases, CHUNK):
                named = Named(chunk)
                self._leases.update_many(named.filter, where(named.ours, mark))
        return datetime.now(UTC) + timedelta(milliseconds=self._hold_ms)

    def release(self, leases: Sequence[Lease], *, keep_owners: Those[EffectKey] = ()) -> None:
        """Give back: what is on hold or to be remembered stays, expired, for the next one; the rest goes."""
        with self._lock:
            for lease in leases:
                self._mine.pop(document_name(lease.key), None)
        kept = set(keep_owners)
        by_token: dict[str, list[Lease]] = {}
        for lease in leases:
            by_token.setdefault(lease.token, []).append(lease)
        with store_errors("releasing leases"):
            for token, these in by_token.items():
                for chunk in batched(these, CHUNK):
                    self._release(chunk, token, kept)

    def _release(self, leases: Sequence[Lease], token: str, kept: set[EffectKey]) -> None:
        names = [document_name(lease.key) for lease in leases]
        remembered = [document_name(lease.key) for lease in leases if lease.key in kept and lease.owners]
        mine: Document = {"_id": {"$in": names}, "token": token}
        # What loses its token here is not deleted with the rest.
        if remembered:
            back = {**GIVEN_BACK, "purge_at": self._purge_at()}
            self._leases.update_many({**mine, "_id": {"$in": remembered}}, [{"$set": back}])
        self._leases.update_many(mine, where(ahead("$hold_until"), {**GIVEN_BACK, "owners": []}))
        self._leases.delete_many(mine)

    def leave(self, leases: Sequence[Lease]) -> None:
        """Prolong these no more; asks nobody."""
        with self._lock:
            for lease in leases:
                self._mine.pop(document_name(lease.key), None)

    def renew(self) -> None:
        """Prolong what is ours and has not lapsed."""
        with self._lock:
            mine = dict(self._mine)
        with store_errors("renewing leases"):
            for token in set(mine.values()):
                names = [name for name, owner in mine.items() if owner == token]
                for chunk in batched(names, CHUNK):
                    times = {"expires_at": from_now(self._ttl_ms), "purge_at": self._purge_at()}
                    self._leases.update_many(
                        {"_id": {"$in": chunk}, "token": token}, where(ahead("$expires_at"), times)
                    )

    def take_over(self, run_ids: Sequence[str]) -> None:
        """Expire the leases of dead runs now; `writing_until` keeps what they may have had in flight."""
        with store_errors("taking over leases"):
            self._leases.update_many(
                {"run_id": {"$in": list(run_ids)}, "$expr": ahead("$expires_at")},
                [{"$set": {"expires_at": "$$NOW"}}],
            )

    def _by_our_clock(self, instant: object) -> datetime | None:
        """An instant of the server's as our own clock will show it; None when it has passed."""
        if not isinstance(instant, datetime):
            return None
        left = instant - self._server_now()
        return datetime.now(UTC) + left if left > timedelta(0) else None

    def _purge_at(self) -> Document:
        return from_now(int(self._purge.total_seconds() * 1000))

    def _read_server_clock(self) -> None:
        """Read anew for each page: a machine that slept, a clock that was set, another primary."""
        # Commands are not read with the database's options by themselves: without them the time is
        # naive, and a host outside UTC would take it for its own.
        reply = self._database.command(
            "hello", read_preference=ReadPreference.PRIMARY, codec_options=self._database.codec_options
        )
        local = reply.get("localTime")
        if not isinstance(local, datetime):
            raise StoreUnavailable("MongoDB does not tell its time", hint="Is this a MongoDB server?")
        self._server_ahead = local.timestamp() - time.monotonic()

    def _server_now(self) -> datetime:
        """The server's clock as it was just read, carried on by our monotonic one."""
        return datetime.fromtimestamp(time.monotonic() + self._server_ahead, UTC)
