"""When the storefront's own worker counts as not running."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconcile.domain.shop_queue import ShopQueue
from tests.fakes.world import NOON

MINUTE = timedelta(minutes=1)
LONG_DUE = NOON - 61 * MINUTE


@pytest.mark.parametrize(
    ("queue", "since"),
    [
        (ShopQueue(), None),
        (ShopQueue(collection="retry_jobs", open=3), None),
        (ShopQueue(overdue=1, oldest_due_at=NOON - 59 * MINUTE), None),
        # nobody has ever been seen: since the oldest job was due
        (ShopQueue(overdue=1, oldest_due_at=LONG_DUE), LONG_DUE),
        (
            ShopQueue(overdue=1, oldest_due_at=LONG_DUE, worker_seen_at=NOON - 600 * MINUTE),
            NOON - 600 * MINUTE,
        ),
        # at it right now, or lately: slow, not dead
        (ShopQueue(overdue=9, oldest_due_at=LONG_DUE, worker_seen_at=NOON - 9 * MINUTE), None),
        (ShopQueue(overdue=9, oldest_due_at=LONG_DUE, in_work=1), None),
    ],
)
def test_since_when_due_jobs_are_left_alone(queue: ShopQueue, since: object) -> None:
    assert queue.idle_since(NOON) == since
