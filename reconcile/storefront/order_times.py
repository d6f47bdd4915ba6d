"""What an order's document tells about when: the checkout, the payment, and who was at it last. Pure.

`timestamp` and `createdAt` are the opening of the checkout; the payment can be hours later. A webhook
leaves an event, the success page nothing but `updatedAt` (STOREFRONT: what the webhook does).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from reconcile.domain.instants import as_utc

#: The event by which Stripe says that a checkout was paid.
PAID_EVENT = "checkout.session.completed"
#: How long a checkout can be paid: later changes of its order are no payment.
CAN_BE_PAID = timedelta(hours=24)
#: A webhook that lives marks the order within seconds.
PATIENCE = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class OrderTimes:
    """The instants of one order; None and () where the document does not tell."""

    ordered_at: datetime | None  #: the checkout's opening
    paid_at: datetime | None  #: the first event of a completed checkout, else the opening
    touched: tuple[datetime, ...]  #: every instant at which the payment may have come in


def order_times(document: Mapping[str, Any], *, created_at: datetime | None = None) -> OrderTimes:
    """Read them. `created_at` is the instant that the document's id itself tells, if any. Never raises.

    `updatedAt` counts as a sign of the payment as long as the checkout can be paid, so that a shop which
    touches its orders all the time keeps nobody out.
    """
    opened, created = instant(document.get("timestamp")), instant(document.get("createdAt"))
    ordered = _opening(opened or created or created_at, created, created_at)
    events = list(_events(document.get("stripeEvents")))
    completed = [at for kind, at in events if kind == PAID_EVENT]
    touched = [at for at in (opened, created) if at is not None]
    if not touched and created_at is not None:
        touched.append(created_at)
    touched += [at for _, at in events]
    updated = instant(document.get("updatedAt"))
    if updated is not None and ordered is not None and abs(updated - ordered) <= CAN_BE_PAID:
        touched.append(updated)
    return OrderTimes(ordered_at=ordered, paid_at=min(completed, default=ordered), touched=tuple(touched))


def _opening(told: datetime | None, *others: datetime | None) -> datetime | None:
    """The opening as it is told, unless the document was there long before: then that date is broken."""
    before = min((at for at in others if at is not None), default=None)
    is_broken = told is not None and before is not None and told - before > CAN_BE_PAID
    return before if is_broken else told


def instant(value: object) -> datetime | None:
    """An aware UTC instant from a BSON date or an ISO 8601 string; None for anything else.

    Naive values are UTC: that is what BSON dates are and what the storefront's strings mean.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    try:
        return as_utc(value)
    except (OverflowError, ValueError):  # the year 1 or 9999 with an offset
        return None


def is_unmarked(document: Mapping[str, Any], now: datetime) -> bool:
    """Whether this order was paid long enough ago to be marked, and is not.

    An event that does not tell when it came, or that is to come, is old: no webhook writes such a one.
    """
    events = document.get("stripeEvents")
    if document.get("status") == "paid" or not isinstance(events, list):
        return False
    paid = [event for event in events if isinstance(event, Mapping) and event.get("eventType") == PAID_EVENT]
    came = [instant(event.get("processedAt")) for event in paid]
    return any(at is None or abs(now - at) >= PATIENCE for at in came)


def _events(events: object) -> Iterator[tuple[object, datetime]]:
    """Kind and instant of each Stripe event that tells when it was processed."""
    for event in events if isinstance(events, list) else ():
        at = instant(event.get("processedAt")) if isinstance(event, Mapping) else None
        if at is not None:
            yield event.get("eventType"), at
