"""The storefront's payment ids, before and after the payment."""

from __future__ import annotations

import pytest

from reconcile.domain.payments import is_unpaid_id, spellings


@pytest.mark.parametrize(
    ("payment_id", "unpaid"),
    [
        ("PENDING_1764300000000", True),
        ("PARTIAL_PENDING_1764300000000", True),
        ("STRIPE_cs_live_a1", True),
        ("STRIPE_PARTIAL_cs_live_a1", True),
        ("pi_3OzT4kLk9", False),
        ("free_1764300000000_x1", False),
        ("pending_1", False),
        (None, False),
    ],
)
def test_an_id_of_an_order_that_is_not_paid_yet(payment_id: str | None, unpaid: bool) -> None:
    assert is_unpaid_id(payment_id) is unpaid


def test_a_session_may_stand_inside_the_payment_id() -> None:
    assert spellings(" cs_1 ") == ("cs_1", "STRIPE_cs_1", "STRIPE_PARTIAL_cs_1")
    assert spellings("pi_1") == ("pi_1",)
