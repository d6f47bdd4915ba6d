"""The backlog as a fold over orders."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from reconcile.storefront.documents import parse_enrollment
from reconcile.story.backlog import Backlog
from tests.fakes.world import NOON, any_text_with_at, order


def test_counts_money_and_the_oldest() -> None:
    backlog = Backlog()
    documents = [
        order("e1", amount=199, frappeSync={"syncStatus": "pending"}),
        order("e2", amount=249.5, frappeSync={"syncStatus": "failed"}, timestamp=None),
        order("e3", amount=10, currency="eur", frappeSync=None),
        order(
            "e4",
            amount=None,
            frappeSync={"syncStatus": "odd"},
            timestamp=(NOON - timedelta(days=9)).isoformat(),
        ),
        order("e5", email=None, amount=1, frappeSync={"syncStatus": "retrying"}),
    ]
    for document in documents:
        backlog.add(parse_enrollment(document, enrollment_id=document["_id"], email_rule=any_text_with_at))

    assert backlog.statuses() == {"pending": 1, "retrying": 1, "failed": 1, "unset": 2}
    assert backlog.unsynced == 5
    assert backlog.amount("usd") == Decimal("449.5")
    assert backlog.amount("eur") == Decimal(10)
    assert (backlog.oldest_id, backlog.oldest_paid_at) == ("e4", NOON - timedelta(days=9))
