"""What a write to the LMS carries. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from reconcile.domain.model import Enrollment
from reconcile.lms.pages import ENROLLMENT


def enrolling(enrollment: Enrollment) -> dict[str, Any]:
    """The fields of one LMS Enrollment, and no other (FRAPPE 5.1)."""
    return {"member": enrollment.member, "course": enrollment.course}


def enrolling_many(enrollments: Sequence[Enrollment]) -> dict[str, Any]:
    """The documents of `frappe.client.insert_many`: each what the single write carries (FRAPPE 5.4)."""
    return {"docs": [{"doctype": ENROLLMENT} | enrolling(item) for item in enrollments]}


def payment(enrollment: Enrollment) -> dict[str, Any]:
    """The fields of confirm_payment that the storefront sends, and no other (FRAPPE, point 13)."""
    amount = enrollment.amount
    optional = {
        "payment_id": enrollment.payment_id,
        "amount": None if amount is None else _number(amount),
        "currency": enrollment.currency,
        "referral_code": enrollment.referral_code,
    }
    body: dict[str, Any] = {
        "user_email": enrollment.member,
        "course_id": enrollment.course,
        "paid_status": True,
    }
    return body | {name: value for name, value in optional.items() if value not in (None, "")}


def _number(amount: Decimal) -> int | float:
    return int(amount) if amount == amount.to_integral_value() else float(amount)
