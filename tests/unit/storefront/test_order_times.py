"""When an order was opened, paid and touched, by what its document tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.storefront.order_times import PAID_EVENT, instant, order_times
from tests.fakes.world import NOON

HOUR = timedelta(hours=1)
OPENED = NOON - 30 * HOUR


def event(at: Any, kind: str = PAID_EVENT) -> dict[str, Any]:
    return {"eventId": "evt_1", "eventType": kind, "processedAt": at, "status": "processed"}


@pytest.mark.parametrize(
    ("document", "ordered", "paid"),
    [
        ({"timestamp": OPENED.isoformat()}, OPENED, OPENED),
        ({"createdAt": OPENED}, OPENED, OPENED),
        ({"timestamp": OPENED.isoformat(), "createdAt": NOON}, OPENED, OPENED),
        ({"timestamp": "soon", "createdAt": OPENED + HOUR}, OPENED + HOUR, OPENED + HOUR),
        ({}, OPENED, OPENED),  # what the id itself tells
        # the payment is the first event of a completed checkout, wherever it stands in the list
        (
            {"createdAt": OPENED, "stripeEvents": [event(NOON), event(NOON - HOUR)]},
            OPENED,
            NOON - HOUR,
        ),
        (
            {"createdAt": OPENED, "stripeEvents": [event(NOON, "payment_intent.succeeded"), "x", {}]},
            OPENED,
            OPENED,
        ),
        ({"createdAt": OPENED, "stripeEvents": "none"}, OPENED, OPENED),
        # a date that is long after the document itself was made is broken
        ({"timestamp": "2099-01-01T00:00:00Z", "createdAt": OPENED}, OPENED, OPENED),
        # the success page leaves no event: then nothing tells the payment
        ({"createdAt": OPENED, "updatedAt": NOON}, OPENED, OPENED),
    ],
)
def test_the_opening_and_the_payment(document: dict[str, Any], ordered: datetime, paid: datetime) -> None:
    times = order_times(document, created_at=OPENED)

    assert (times.ordered_at, times.paid_at) == (ordered, paid)


@pytest.mark.parametrize(
    ("document", "touched"),
    [
        ({"timestamp": OPENED.isoformat(), "createdAt": OPENED + HOUR}, {OPENED, OPENED + HOUR}),
        ({"createdAt": OPENED, "stripeEvents": [event(NOON, "charge.updated")]}, {OPENED, NOON}),
        # paid by the success page: only `updatedAt` tells
        ({"createdAt": OPENED, "updatedAt": OPENED + 5 * HOUR}, {OPENED, OPENED + 5 * HOUR}),
        ({"createdAt": OPENED, "updatedAt": OPENED + 24 * HOUR}, {OPENED, OPENED + 24 * HOUR}),
        # later it cannot be paid any more: the shop has touched it for another reason
        ({"createdAt": OPENED, "updatedAt": OPENED + 25 * HOUR}, {OPENED}),
        # nor if the opening is a broken date: a shop that touches its orders keeps nobody out
        ({"timestamp": "2099-01-01T00:00:00Z", "updatedAt": NOON}, {datetime(2099, 1, 1, tzinfo=UTC)}),
        # where nothing tells the opening, no update can be told from a payment
        ({"updatedAt": NOON}, set()),
        ({}, set()),
    ],
)
def test_what_may_be_a_payment(document: dict[str, Any], touched: set[datetime]) -> None:
    assert set(order_times(document).touched) == touched


def test_the_ids_own_instant_is_the_opening_where_nothing_else_tells_it() -> None:
    times = order_times({"updatedAt": NOON}, created_at=NOON - HOUR)

    assert set(times.touched) == {NOON - HOUR, NOON}


values = st.one_of(
    st.none(), st.integers(), st.text(max_size=8), st.datetimes(), st.lists(st.integers(), max_size=2)
)


@given(
    st.dictionaries(st.sampled_from(["timestamp", "createdAt", "updatedAt"]), values),
    st.lists(st.one_of(values, st.dictionaries(st.sampled_from(["eventType", "processedAt"]), values))),
)
def test_any_document_has_times_and_all_of_them_are_aware(document: dict[str, Any], events: Any) -> None:
    times = order_times(document | {"stripeEvents": events})

    told = [at for at in (times.ordered_at, times.paid_at, *times.touched) if at is not None]
    assert all(at.tzinfo is not None for at in told)


def test_an_instant_is_a_date_or_an_iso_string() -> None:
    assert instant(" 2026-11-24T12:00:00Z ") == NOON
    assert instant(NOON.replace(tzinfo=None)) == NOON
    assert instant(0) is None
