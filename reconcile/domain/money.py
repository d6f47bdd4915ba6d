"""Money by currency: exact sums, and different currencies are never added up. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, TypeVar

#: As orders tell it: `usd`; None where one does not tell.
Currency = TypeVar("Currency", bound=str | None)

#: No order tells an amount more exactly.
PLACES = 4


@dataclass
class Money(Generic[Currency]):
    """Sums in ten-thousandths, as integers: no amount is lost in a million additions."""

    _sums: Counter[Currency] = field(default_factory=Counter)

    def add(self, amount: Decimal | None, currency: Currency) -> None:
        """One more amount in major units; one that nobody knows is none."""
        if amount is not None:
            self._sums[currency] += int(amount.scaleb(PLACES).to_integral_value())

    def of(self, currency: Currency) -> Decimal:
        """The sum in this currency, in major units; nothing where there is none."""
        return major_units(self._sums[currency])

    @property
    def amounts(self) -> dict[Currency, Decimal]:
        """Every sum by its currency, sorted, in major units."""
        return {currency: self.of(currency) for currency in sorted(self._sums, key=str)}


def major_units(ten_thousandths: int) -> Decimal:
    """Dollars, say, and not cents."""
    return Decimal(ten_thousandths).scaleb(-PLACES)
