"""Finding the unsynced orders: one index-bounded query for each clause of "unsynced", streamed.

The storefront's definition (STOREFRONT) as one `$or` is answered by no index; as clauses that
exclude each other each is a range of one:

    syncStatus failed · retrying · pending · missing or null         UNSYNCED, in the order of _id
    syncStatus any other word but success                            UNSYNCED
    syncStatus success, but synced false, missing or null            HALF_SYNCED
    syncStatus success, synced, but enrollmentId missing, null, ""   HALF_SYNCED

`failed` comes first and the untouched last: a verdict moves an order towards what has been scanned.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pymongo import ASCENDING, IndexModel
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, CursorNotFound, ServerSelectionTimeoutError

from reconcile.base.batched import batched
from reconcile.domain.identity import normalise_email
from reconcile.domain.model import UNNAMED_LMS_ID
from reconcile.run.source import Selection
from reconcile.storefront.errors import store_errors
from reconcile.storefront.ids import CHUNK, document_id
from reconcile.storefront.order_times import PAID_EVENT
from reconcile.storefront.reading import PROJECTION

Document = dict[str, Any]

_PAID: Document = {"status": "paid"}

#: Real MongoDB allows only equality in a partial filter, and `status` is the only field always
#: there. It is not in the keys: the filter says it already.
UNSYNCED = IndexModel(
    [("frappeSync.syncStatus", ASCENDING), ("_id", ASCENDING)],
    name="reconcile_unsynced",
    partialFilterExpression=_PAID,
)
HALF_SYNCED = IndexModel(
    [
        ("frappeSync.syncStatus", ASCENDING),
        ("frappeSync.synced", ASCENDING),
        ("frappeSync.enrollmentId", ASCENDING),
    ],
    name="reconcile_half_synced",
    partialFilterExpression=_PAID,
)
#: Paid at Stripe and never marked. Only orders that carry a Stripe event of a completed checkout are in the
#: index: none of the abandoned ones, however many there are.
_PAID_AT_STRIPE: Document = {"stripeEvents.eventType": PAID_EVENT}
BY_UNMARKED = IndexModel(
    [("status", ASCENDING)], name="reconcile_unmarked", partialFilterExpression=_PAID_AT_STRIPE
)
INDEXES = (UNSYNCED, HALF_SYNCED, BY_UNMARKED)


def _clauses() -> Iterator[tuple[Document, bool]]:
    """Each clause's query, and whether it is read in the order of `_id`. `null` finds the missing too."""
    status, synced, lms_id = "frappeSync.syncStatus", "frappeSync.synced", "frappeSync.enrollmentId"
    for word in ("failed", "retrying", "pending", None):
        yield _PAID | {status: word}, True
    # Between the known words: the storefront's schema forbids others, an import may have made them.
    known = ["failed", "pending", "retrying", "success"]
    yield _PAID | {status: {"$lt": known[0]}}, False
    for low, high in pairwise(known):
        yield _PAID | {status: {"$gte": _after(low), "$lt": high}}, False
    yield _PAID | {status: {"$gte": _after(known[-1])}}, False
    for value in (False, None):
        yield _PAID | {status: "success", synced: value}, False
    for name in (None, ""):
        yield _PAID | {status: "success", synced: True, lms_id: name}, False


def _after(word: str) -> str:
    """The first text behind a word. Some servers walk all that equal the bound of a `$gt`."""
    return word + "\0"


CLAUSES: tuple[tuple[Document, bool], ...] = tuple(_clauses())

#: Synced by a run without a key, on the LMS's word alone (INTERFACE: a later run with a key names it).
UNNAMED: Document = _PAID | {
    "frappeSync.syncStatus": "success",
    "frappeSync.synced": True,
    "frappeSync.enrollmentId": UNNAMED_LMS_ID,
}

#: What may be unmarked: the storefront's other words for an order's status, and none at all.
UNMARKED: Document = {"status": {"$in": ["pending", "failed", None]}, **_PAID_AT_STRIPE}

#: How often one clause may lose its cursor before the run gives up.
_LOST_CURSORS = 3


class Scan:
    """Streams order documents. Constant memory: one batch of a cursor at a time."""

    def __init__(self, orders: Collection[Document], *, page_size: int) -> None:
        self._orders = orders
        self._page_size = page_size

    def documents(self, selection: Selection, *, sent_as: tuple[str, ...] = ()) -> Iterator[Document]:
        """The paid orders that may be unsynced, each once. Raises StoreUnavailable.

        `sent_as`: orders that belong to the address that is asked for, though they do not name it.
        """
        for query, ordered in _queries(selection, sent_as):
            with store_errors("reading orders"):
                yield from self._ordered(query) if ordered else self._find(query)

    def _ordered(self, query: Document) -> Iterator[Document]:
        """In the order of `_id`, resumed behind the last document when the server lost the cursor."""
        last: object = None
        for losses in range(_LOST_CURSORS + 1):
            try:
                for document in self._find(
                    query if last is None else query | {"_id": {"$gt": last}}, ordered=True
                ):
                    last = document["_id"]
                    yield document
                return
            except (CursorNotFound, AutoReconnect) as error:
                # A server that was waited for in vain (an AutoReconnect too) is down: no use to ask on.
                if losses == _LOST_CURSORS or isinstance(error, ServerSelectionTimeoutError):
                    raise

    def _find(self, query: Document, *, ordered: bool = False) -> Iterator[Document]:
        cursor = self._orders.find(query, PROJECTION, batch_size=self._page_size)
        with cursor.sort("_id", ASCENDING) if ordered else cursor as found:
            yield from found


def _queries(selection: Selection, sent_as: tuple[str, ...]) -> Iterator[tuple[Document, bool]]:
    if selection.enrollment_ids:
        for chunk in batched(map(document_id, dict.fromkeys(selection.enrollment_ids)), CHUNK):
            yield _PAID | {"_id": {"$in": chunk}}, False
    elif selection.email is not None:
        email = normalise_email(selection.email)
        yield _PAID | {"email": email}, False
        # The LMS account may carry another address than the buyer's; no index knows it.
        by_account = {"lmsContext.frappeEmail": email, "email": {"$ne": email}}
        yield _PAID | by_account, False
        neither = {"email": {"$ne": email}, "lmsContext.frappeEmail": {"$ne": email}}
        for chunk in batched(map(document_id, sent_as), CHUNK):
            yield _PAID | neither | {"_id": {"$in": chunk}}, False
    else:
        yield from CLAUSES
        if selection.unnamed:
            yield UNNAMED, False
