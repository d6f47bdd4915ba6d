"""One cell as text and as JSON: the same words in every format."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

from reconcile.reports.model import Cell


def is_instant(column: str) -> bool:
    """Whether the columns of this name hold instants: where a format has no room for the zone, a head has."""
    return column.endswith("_at") or column in ("first_seen", "last_seen", "from", "until", "day")


def as_text(cell: Cell) -> str:
    """Plain text: nothing for None, ISO 8601 for an instant, digits without exponent for a number."""
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, tuple):
        return " ".join(cell)
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, bool):
        return str(cell).lower()
    return str(cell)


def as_short_text(cell: Cell) -> str:
    """For people: instants to the second."""
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return as_text(cell)


def _plain(cell: object) -> object:
    """What JSON does not know by itself: instants and decimals. Raises TypeError for others."""
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return float(cell)
    raise TypeError(f"not a cell: {type(cell).__name__}")


#: Rows, and what stands around them, as JSON in one line.
as_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain).encode
