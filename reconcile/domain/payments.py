"""The storefront's payment ids: what they look like before and after the payment (STOREFRONT). Pure."""

from __future__ import annotations

#: Before the payment; `STRIPE_…` carries the checkout session's id.
_PENDING, _CHECKOUT = ("PENDING_", "PARTIAL_PENDING_"), ("STRIPE_", "STRIPE_PARTIAL_")
_SESSION = "cs_"


def is_unpaid_id(payment_id: str | None) -> bool:
    """Whether this is the id of an order that is not paid yet: odd for one that is."""
    return payment_id is not None and payment_id.startswith((*_PENDING, *_CHECKOUT))


def spellings(text: str) -> tuple[str, ...]:
    """How an order may write the payment that a person names: itself, or inside `STRIPE_…` for a session."""
    name = text.strip()
    return (name, *(prefix + name for prefix in _CHECKOUT)) if name.startswith(_SESSION) else (name,)
