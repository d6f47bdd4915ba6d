"""What people are told of the shop's own side, in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconcile.domain.model import AnyEnrollment
from reconcile.domain.shop_queue import ShopQueue
from reconcile.domain.unmarked import Unmarked
from reconcile.storefront.documents import parse_enrollment
from reconcile.story.shop_texts import idle_line, money, paid_word, queue_line, unmarked_line
from tests.fakes.world import any_text_with_at, order

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
OPENED = "2026-11-24T08:00:00Z"
EVENT = {"eventType": "checkout.session.completed", "processedAt": "2026-11-24T09:30:00Z"}


def parsed(**changes: Any) -> AnyEnrollment:
    document = order("e1", timestamp=OPENED) | changes
    return parse_enrollment(document, enrollment_id="e1", email_rule=any_text_with_at)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"stripeEvents": [EVENT]}, "paid"),
        ({"stripeEvents": [EVENT], "email": 7}, "paid"),
        ({}, "ordered"),
        ({"stripeEvents": [EVENT | {"processedAt": "soon"}]}, "ordered"),
        ({"timestamp": None}, "paid"),  # nothing is told: no instant stands beside the word
    ],
)
def test_the_word_says_what_the_instant_is(changes: dict[str, Any], word: str) -> None:
    assert paid_word(parsed(**changes)) == word


def unmarked(*items: AnyEnrollment) -> Unmarked:
    found = Unmarked()
    for item in items:
        found.add(item)
    return found


def test_unmarked_orders_with_count_money_and_the_oldest() -> None:
    item = parsed(stripeEvents=[EVENT], amount=199)

    assert unmarked_line(unmarked()) == ""
    assert unmarked_line(unmarked(item)) == (
        "1 order is paid at Stripe and never marked as paid in the shop, 199.00 USD; "
        "the oldest was paid 2026-11-24 09:30 UTC (e1)"
    )
    assert unmarked_line(unmarked(item, item)).startswith("2 orders are paid at Stripe")


def test_unmarked_orders_that_tell_nothing_else() -> None:
    item = parsed(timestamp=None, amount=None)

    assert unmarked_line(unmarked(item)) == "1 order is paid at Stripe and never marked as paid in the shop"


def test_a_queue_that_is_not_there_is_not_told_and_an_empty_one_is() -> None:
    assert queue_line(ShopQueue()) == ""
    assert queue_line(ShopQueue(collection="retry_jobs", last_completed_at=NOON)).endswith(
        "0 open, 0 in work, 0 overdue; last completed: 2026-11-24 12:00 UTC"
    )


def test_a_queue_in_a_line() -> None:
    due = NOON - timedelta(hours=3)
    queue = ShopQueue(collection="retry_jobs", open=12, in_work=1, overdue=9, oldest_due_at=due)
    waiting = ShopQueue(collection="retryjobs", open=1, last_completed_at=NOON)

    assert queue_line(queue) == (
        "the shop's own retry queue (retry_jobs): 12 open, 1 in work, 9 overdue since 2026-11-24 09:00 UTC; "
        "last completed: never"
    )
    assert queue_line(waiting) == (
        "the shop's own retry queue (retryjobs): 1 open, 0 in work, 0 overdue; "
        "last completed: 2026-11-24 12:00 UTC"
    )


def test_a_worker_that_does_not_run() -> None:
    idle = ShopQueue(collection="retry_jobs", open=1, overdue=1, oldest_due_at=NOON - timedelta(hours=3))

    assert idle_line(idle, NOON) == "the shop's own worker has not run since 2026-11-24 09:00 UTC"
    assert idle_line(ShopQueue(), NOON) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"oldest_due_at": NOON - timedelta(minutes=59)},
        {"in_work": 1},
        {"worker_seen_at": NOON - timedelta(minutes=59)},
    ],
)
def test_a_worker_that_gives_a_sign_of_life_is_left_in_peace(changes: dict[str, Any]) -> None:
    idle = ShopQueue(collection="retry_jobs", open=2, overdue=1, oldest_due_at=NOON - timedelta(hours=3))

    assert idle_line(replace(idle, **changes), NOON) == ""


def test_a_worker_that_ran_once_is_missed_since_then() -> None:
    due, seen = NOON - timedelta(hours=3), NOON - timedelta(hours=30)
    idle = ShopQueue(collection="retry_jobs", open=1, overdue=1, oldest_due_at=due, worker_seen_at=seen)

    assert idle_line(idle, NOON).endswith("since 2026-11-23 06:00 UTC")


def test_sums_of_nothing_are_left_out() -> None:
    assert money(unmarked(parsed(amount=0)).amounts) == ""
