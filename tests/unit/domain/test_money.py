"""Money by currency: nothing is lost, nothing is mixed."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from reconcile.domain.money import Money

AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=4)
CURRENCIES = st.sampled_from(["usd", "eur", "inr", None])


@given(st.lists(st.tuples(CURRENCIES, AMOUNTS)))
def test_every_currency_is_summed_up_exactly_and_for_itself(paid: list[tuple[str | None, Decimal]]) -> None:
    money: Money[str | None] = Money()
    for currency, amount in paid:
        money.add(amount, currency)

    expected: dict[str | None, Decimal] = {}
    for currency, amount in paid:
        expected[currency] = expected.get(currency, Decimal(0)) + amount
    assert money.amounts == expected
    assert list(money.amounts) == sorted(expected, key=str)


def test_many_small_amounts_are_what_they_are() -> None:
    money: Money[str] = Money()
    for _ in range(100_000):
        money.add(Decimal("0.1"), "usd")

    assert money.of("usd") == 10_000


def test_an_unknown_amount_is_none_and_a_free_order_tells_its_currency() -> None:
    money: Money[str] = Money()
    money.add(None, "usd")
    money.add(Decimal(0), "eur")

    assert money.amounts == {"eur": 0}
    assert money.of("gbp") == 0
    assert money.amounts == {"eur": 0}, "asking for a currency makes none"
