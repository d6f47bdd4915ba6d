"""What people are told of the shop's own side: orders that it never marked, its queue, its worker. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from reconcile.domain.model import AnyEnrollment
from reconcile.domain.shop_queue import ShopQueue
from reconcile.domain.unmarked import Unmarked

#: What an order's instant is: that of its payment, or of the checkout's opening where no payment is told.
PAID, ORDERED = "paid", "ordered"

#: What a person does about an order that is paid and was never marked, as docs/operations.md has it.
UNMARKED_REMEDY = (
    "Look the payment up in Stripe. If it was paid, set status: paid and paymentId in the order, and the "
    "next run gives access; coupon, commission and mail are then to be done by hand, because the webhook "
    "does nothing more for it. If it was refunded, or is none, `reconcile ignore` it until a far day."
)
#: What a person does about a worker of the shop that does not run.
WORKER_REMEDY = (
    "Have its cron POST to the worker's endpoint: a GET only answers statistics. reconcile gives the access "
    "meanwhile, nothing is lost."
)


def paid_word(item: AnyEnrollment) -> str:
    """`paid` where the order tells of its payment, `ordered` where it tells of its checkout alone."""
    is_told = item.paid_at is None or item.paid_at != item.ordered_at
    return PAID if is_told else ORDERED


def money(amounts: Iterable[tuple[str, Decimal]]) -> str:
    """`12,345.00 USD, 10.00 EUR`; empty where there is none."""
    return ", ".join(f"{amount:,.2f} {currency.upper()}" for currency, amount in amounts if amount)


def unmarked_line(found: Unmarked) -> str:
    """How many, how much money, since when, as a sentence; empty where there are none."""
    if not found.count:
        return ""
    orders = "1 order is" if found.count == 1 else f"{found.count:,} orders are"
    sums = money(found.amounts)
    oldest = ""
    if found.oldest_paid_at is not None and found.samples:
        word = paid_word(found.samples[0])
        oldest = f"; the oldest was {word} {minute(found.oldest_paid_at)} ({found.samples[0].id})"
    return (
        f"{orders} paid at Stripe and never marked as paid in the shop{f', {sums}' if sums else ''}{oldest}"
    )


def queue_line(queue: ShopQueue) -> str:
    """How the shop's own retry queue stands, as a sentence; empty where there is none."""
    if queue.collection is None:
        return ""
    return f"the shop's own retry queue ({queue.collection}): {queue_counts(queue)}"


def queue_counts(queue: ShopQueue) -> str:
    """`12 open, 0 in work, 9 overdue since …; last completed …`."""
    overdue = f"{queue.overdue:,} overdue"
    if queue.oldest_due_at is not None:
        overdue += f" since {minute(queue.oldest_due_at)}"
    last = minute(queue.last_completed_at) if queue.last_completed_at is not None else "never"
    return f"{queue.open:,} open, {queue.in_work:,} in work, {overdue}; last completed: {last}"


def idle_line(queue: ShopQueue, now: datetime) -> str:
    """That the shop's own worker does not run, as a sentence; empty where it does or has nothing to do."""
    since = queue.idle_since(now)
    return f"the shop's own worker has not run since {minute(since)}" if since is not None else ""


def minute(instant: datetime) -> str:
    """`2026-11-24 14:05 UTC`."""
    return f"{instant:%Y-%m-%d %H:%M} UTC"
