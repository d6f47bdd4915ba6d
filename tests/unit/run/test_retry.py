"""Backoff: the storefront's numbers, jitter without randomness, clamps for broken documents."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.run.retry import RetryPolicy, spread
from tests.fakes.world import NOON

POLICY = RetryPolicy()


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(0, 0), (-3, 0), (1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 32), (10**6, 32)]
)
def test_the_delay_doubles_up_to_its_maximum(attempts: int, minutes: float) -> None:
    delay = POLICY.delay("e1", attempts)

    assert delay == pytest.approx(minutes * 60, rel=0.1001)


@given(st.text(), st.integers(0, 10**6))
def test_the_spread_is_within_ten_percent_and_always_the_same(identity: str, attempts: int) -> None:
    assert 0.9 <= spread(identity, attempts) <= 1.1
    assert spread(identity, attempts) == spread(identity, attempts)


def test_orders_that_failed_together_do_not_come_back_together() -> None:
    delays = {round(POLICY.delay(f"e{number}", 1), 3) for number in range(100)}

    assert len(delays) > 90


def test_due_at() -> None:
    late = NOON - timedelta(days=1)

    assert POLICY.due_at("e1", visits=1, last_write=None, now=NOON) == NOON
    assert POLICY.due_at("e1", visits=1, last_write=late, now=NOON) < NOON
    assert POLICY.due_at("e1", visits=1, last_write=NOON, now=NOON) > NOON


def test_a_last_write_in_the_far_future_keeps_nobody_out() -> None:
    ahead = NOON + timedelta(days=365)

    assert POLICY.due_at("e1", visits=3, last_write=ahead, now=NOON) == NOON
