"""What the LMS client's tests need: clients of a stand-in, and an order to send."""

from __future__ import annotations

from contextlib import ExitStack
from decimal import Decimal
from typing import Any

from reconcile.domain.model import EffectKey, Enrollment
from reconcile.lms.lms import FrappeLms

KEY = EffectKey("student1@example.com", "python-basics")
#: Seconds that the clients wait, and longer than that.
TIMEOUT, HANGING = 0.4, 3.0


class Clients(ExitStack):
    """Makes clients of one LMS, and closes them at the end."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def __call__(self, role: str | None = "integration", **options: Any) -> FrappeLms:
        """A client with the stand-in's key for this role, or without a key."""
        settings: dict[str, Any] = {
            "base_url": self._url,
            "authorization": f"token key_{role}:secret_{role}" if role else None,
            "timeout": TIMEOUT,
            "sleep": lambda _: None,
        }
        client = FrappeLms(**settings | options)
        self.callback(client.close)
        return client


def order(**values: Any) -> Enrollment:
    """A paid order for KEY."""
    fields: dict[str, Any] = {
        "id": "o1",
        "payment_id": "pi_1",
        "member": KEY.member,
        "email": KEY.member,
        "course": KEY.course,
        "amount": Decimal("49.00"),
        "currency": "usd",
        "paid": True,
        "paid_at": None,
    }
    return Enrollment(**fields | values)
