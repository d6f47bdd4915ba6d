"""From order documents to orders: the fields that are read, and the one place that reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from reconcile.base.batched import batched
from reconcile.domain.identity import is_placeholder, normalise_course, normalise_email
from reconcile.domain.model import AnyEnrollment, EffectKey, Enrollment
from reconcile.domain.payments import spellings
from reconcile.domain.shop_queue import NO_JOB
from reconcile.storefront.documents import EmailRule, parse_enrollment
from reconcile.storefront.errors import store_errors
from reconcile.storefront.ids import AT_ONCE, CHUNK, document_id, enrollment_id
from reconcile.storefront.retry_queue import RetryQueue

Document = dict[str, Any]

#: What the job reads of an order; the rest of the document never leaves the server.
PROJECTION = {
    "courseId": 1,
    "email": 1,
    "paymentId": 1,
    "amount": 1,
    "currency": 1,
    "status": 1,
    "timestamp": 1,
    "createdAt": 1,
    "updatedAt": 1,
    "lmsContext.frappeEmail": 1,
    "affiliateData.affiliateEmail": 1,
    "stripeEvents.eventType": 1,
    "stripeEvents.processedAt": 1,
    "frappeSync": 1,
}


class OrderReader:
    """Reads documents by one shop's rules. Raises StoreUnavailable where the retry queue must be asked."""

    def __init__(self, *, email_rule: EmailRule, placeholders: Sequence[str], queue: RetryQueue) -> None:
        self._email_rule = email_rule
        self._placeholders = placeholders
        self._queue = queue

    def read(self, documents: Iterable[Document], *, at_once: int = CHUNK) -> Iterator[AnyEnrollment]:
        """Read a stream, `at_once` documents in memory.

        Where an address was made up, the retry queue may know what the shop itself has sent: it is asked
        once for all such orders of a portion.
        """
        for portion in batched(documents, at_once):
            made_up = [enrollment_id(each.get("_id")) for each in portion if self._is_made_up(each)]
            jobs = self._queue.jobs_of(made_up) if made_up else {}
            for document in portion:
                name = enrollment_id(document.get("_id"))
                yield self._parse(document, name, jobs.get(name, NO_JOB).addresses)

    def read_one(self, document: Document) -> AnyEnrollment:
        """Read one."""
        return next(self.read([document]))

    def _is_made_up(self, document: Mapping[str, Any]) -> bool:
        email = document.get("email")
        return isinstance(email, str) and is_placeholder(email, self._placeholders)

    def _parse(self, document: Document, name: str, addresses: Sequence[str]) -> AnyEnrollment:
        raw = document.get("_id")
        return parse_enrollment(
            document,
            enrollment_id=name,
            email_rule=self._email_rule,
            created_at=raw.generation_time if isinstance(raw, ObjectId) else None,
            placeholders=self._placeholders,
            job_addresses=addresses,
        )


def ids_named(names: Sequence[str], orders: Collection[Document], queue: RetryQueue) -> list[object]:
    """The `_id`s of the orders that people mean: by their own, a payment, a checkout session or a retry job.

    Some that no order has may be among them.
    """
    found = [document_id(name) for name in (*names, *queue.orders_of_jobs(names))]
    wanted = [spelling for name in names for spelling in spellings(name)]
    with store_errors("reading orders"):
        for chunk in batched(wanted, CHUNK):
            paid = orders.find({"paymentId": {"$in": chunk}}, {"_id": 1})
            found += [document["_id"] for document in paid]
    return found


def by_address(
    orders: Collection[Document], reader: OrderReader, keys: Set[EffectKey], only: Mapping[str, Any]
) -> Iterator[AnyEnrollment]:
    """The orders of the learners of these keys, of other courses too, some twice; `only` narrows them."""
    for query in _of_members(keys):
        yield from reader.read(orders.find({**query, **only}, PROJECTION, batch_size=AT_ONCE))


def _of_members(keys: Set[EffectKey]) -> Iterator[Document]:
    """An account may carry another address than the buyer's: both fields, each by its own index."""
    members = sorted({key.member for key in keys})
    for field in ("email", "lmsContext.frappeEmail"):
        for chunk in batched(members, CHUNK):
            yield {field: {"$in": chunk}}


def orders_for(
    orders: Collection[Document], reader: OrderReader, keys: Set[EffectKey], only: Mapping[str, Any]
) -> dict[EffectKey, dict[str, Enrollment]]:
    """The readable orders for these learners and courses, by id; `only` narrows them."""
    found: dict[EffectKey, dict[str, Enrollment]] = {}
    for item in by_address(orders, reader, keys, only):
        if isinstance(item, Enrollment) and item.key in keys:
            found.setdefault(item.key, {})[item.id] = item
    return found


#: What tells whose an order may be.
_WHOSE = {"email": 1, "courseId": 1, "lmsContext.frappeEmail": 1}


def paid_ids(orders: Collection[Document], keys: Set[EffectKey]) -> dict[EffectKey, set[str]]:
    """The ids of the paid orders that may be of these learners and courses, and are unless they are odd.

    For counting: nothing else of them is read.
    """
    found: dict[EffectKey, set[str]] = {}
    for query in _of_members(keys):
        for document in orders.find({**query, "status": "paid"}, _WHOSE, batch_size=AT_ONCE):
            course, context = document.get("courseId"), document.get("lmsContext")
            account = context.get("frappeEmail") if isinstance(context, Mapping) else None
            for address in {each for each in (document.get("email"), account) if isinstance(each, str)}:
                key = EffectKey(normalise_email(address), normalise_course(str(course)))
                if key in keys:
                    found.setdefault(key, set()).add(enrollment_id(document["_id"]))
    return found
