"""Numbers as people say them: the same words in sentences, tables and charts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

_UNITS = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))


def counted(number: int, what: str) -> str:
    """`1 order`, `2,500 orders`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def span(seconds: float) -> str:
    """A length of time in its two largest units: `42 s`, `3 h 10 min`, `12 days 4 h`."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    rest = round(seconds) if seconds < 3600 else round(seconds / 60) * 60
    counts = []
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        counts.append((count, name))
    largest = next((place for place, (count, _) in enumerate(counts) if count), len(counts) - 1)
    first, *others = counts[largest : largest + 2]
    return " ".join([_part(*first), *(_part(*other) for other in others if other[0])])


def _part(count: int, name: str) -> str:
    return f"{count:,} {name}s" if name == "day" and count != 1 else f"{count} {name}"


def money(amount: Decimal | int, currency: str | None) -> str:
    """`20,600.00 INR`: two places, or as many as the amount has."""
    places = -Decimal(amount).normalize().as_tuple().exponent  # type: ignore[operator]  # finite by contract
    return f"{amount:,.{max(places, 2)}f} {(currency or 'unknown').upper()}"


def moneys(amounts: Mapping[str | None, Decimal]) -> str:
    """Every currency for itself: `347.50 EUR and 109.00 GBP`; `nothing` for none."""
    shown = [money(amounts[currency], currency) for currency in sorted(amounts, key=str)]
    return listed(shown) or "nothing"


def moment(instant: datetime) -> str:
    """`2026-11-24 14:05`, in UTC, which is to be said beside it."""
    return f"{instant:%Y-%m-%d %H:%M}"


def between(start: datetime, end: datetime) -> str:
    """`between 14:05 and 16:40 on 2026-11-24`, or with both days."""
    if start.date() == end.date():
        return f"between {start:%H:%M} and {end:%H:%M} on {start:%Y-%m-%d}"
    return f"between {moment(start)} and {moment(end)}"


def listed(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else "".join(parts)


def share(part: int, whole: int) -> str:
    """`37 %`; `under 1 %` where it would round to nothing."""
    if not whole:
        return "0 %"
    percent = 100 * part / whole
    return "under 1 %" if 0 < percent < 0.5 else f"{percent:.0f} %"
