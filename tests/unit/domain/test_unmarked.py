"""Orders that somebody has paid and that nobody has marked."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from reconcile.domain.unmarked import Unmarked
from reconcile.storefront.documents import parse_enrollment
from reconcile.storefront.order_times import PAID_EVENT, is_unmarked
from tests.fakes.world import NOON, any_text_with_at, order

MINUTE = timedelta(minutes=1)


def paid(minutes: float | None, **changes: Any) -> dict[str, Any]:
    at = None if minutes is None else NOON - minutes * MINUTE
    return {"eventType": PAID_EVENT, "processedAt": at, "status": "processing"} | changes


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"status": "pending", "stripeEvents": [paid(15)]}, True),
        ({"status": "failed", "stripeEvents": [paid(600)]}, True),
        ({"stripeEvents": [paid(600)]}, True),
        ({"status": "pending", "stripeEvents": [paid(14)]}, False),  # the webhook may be at it
        ({"status": "pending", "stripeEvents": [paid(1), paid(600)]}, True),
        ({"status": "pending", "stripeEvents": [paid(None)]}, True),
        ({"status": "pending", "stripeEvents": [paid(-600)]}, True),  # a broken date is an old one
        ({"status": "pending", "stripeEvents": [paid(-5)]}, False),
        ({"status": "pending", "stripeEvents": [paid(600, eventType="checkout.session.expired")]}, False),
        ({"status": "pending", "stripeEvents": []}, False),
        ({"status": "pending", "stripeEvents": ["x", None]}, False),
        ({"status": "pending", "stripeEvents": "x"}, False),
        ({"status": "pending"}, False),
        ({"status": "paid", "stripeEvents": [paid(600)]}, False),
    ],
)
def test_what_is_unmarked(document: dict[str, Any], expected: bool) -> None:
    assert is_unmarked(document, NOON) is expected


def test_they_are_counted_with_their_money_and_the_oldest_are_named() -> None:
    found = Unmarked()
    for number in range(25):
        document = order(f"e{number:02}", amount=49.5, stripeEvents=[paid(20 + number)])
        if number == 3:
            document |= {"currency": "eur", "timestamp": None, "stripeEvents": []}
        if number == 4:
            document["amount"] = None
        found.add(parse_enrollment(document, enrollment_id=document["_id"], email_rule=any_text_with_at))

    assert found.count == 25
    assert found.amounts == (("eur", Decimal("49.5")), ("usd", Decimal("1138.5")))
    assert found.oldest_paid_at == NOON - 44 * MINUTE
    assert [each.id for each in found.samples] == [f"e{number:02}" for number in range(24, 4, -1)]
