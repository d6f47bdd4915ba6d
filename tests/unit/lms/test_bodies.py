"""What a write carries: what the storefront sends, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from reconcile.domain.model import Enrollment
from reconcile.lms.bodies import enrolling, enrolling_many, payment

ORDER = Enrollment(
    id="e1",
    payment_id="pi_1",
    member="sam@example.com",
    email="buyer@example.com",
    course="python-basics",
    amount=Decimal("249.5"),
    currency="usd",
    paid=True,
    paid_at=None,
    referral_code="kim@example.com",
)
ALWAYS = {"user_email": "sam@example.com", "course_id": "python-basics", "paid_status": True}


def test_an_enrollment_is_a_member_and_a_course() -> None:
    fields = {"member": "sam@example.com", "course": "python-basics"}

    assert enrolling(ORDER) == fields
    assert enrolling_many([ORDER, ORDER]) == {"docs": [{"doctype": "LMS Enrollment"} | fields] * 2}


def test_a_payment_carries_what_the_order_tells() -> None:
    assert payment(ORDER) == ALWAYS | {
        "payment_id": "pi_1",
        "amount": 249.5,
        "currency": "usd",
        "referral_code": "kim@example.com",
    }


@pytest.mark.parametrize(("amount", "sent"), [(Decimal("199.00"), 199), (Decimal(0), 0), (None, None)])
def test_what_is_not_told_is_not_sent(amount: Decimal | None, sent: int | None) -> None:
    bare = payment(replace(ORDER, payment_id=None, amount=amount, referral_code=None))

    assert bare == ALWAYS | {"currency": "usd"} | ({} if sent is None else {"amount": sent})
    assert isinstance(bare.get("amount"), int) == (sent is not None)
