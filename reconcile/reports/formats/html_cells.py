"""Cells, figures and charts as pieces of HTML, escaped; the machine's value stands beside the reader's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from markupsafe import Markup, escape

from reconcile.base.redaction import escape_controls
from reconcile.reports.formats.cells import as_text, is_instant
from reconcile.reports.formats.charts import COLOURS, draw
from reconcile.reports.model import Cell, Chart, Figure, Unit
from reconcile.reports.words import money, span

_NOTHING = Markup('<span class="nothing">–</span>')
#: Columns of numbers that nobody adds up: no thousands are parted.
_NAMES = frozenset({"attempt_id", "number", "http_status", "exit_code"})
_CODES = frozenset({"reason", "cause", "action", "mode", "runs_stopped_with"})
#: Longer texts get a measure of their own, and are broken anywhere.
_LONG = 40
_BACKTICKS = re.compile(r"`([^`]+)`")


def cell(value: Cell, column: str) -> Markup:
    """One cell of a table."""
    match value:
        case None | "" | ():
            return _NOTHING
        case bool():
            return Markup("yes") if value else Markup("no")
        case datetime():
            return _instant(value, shape="%Y-%m-%d" if column == "day" else "%Y-%m-%d %H:%M:%S")
        case int() | float() | Decimal():
            return _data(value, _number(value, column))
    text = escape_controls(as_text(value))
    if column in ("outcome", "status"):
        known = value if value in COLOURS else "other"
        return Markup('<span class="word {}">{}</span>').format(known, text)
    if len(text) > _LONG:
        return Markup('<span class="long">{}</span>').format(prose(text) if column == "meaning" else text)
    return Markup("<code>{}</code>").format(text) if column in _CODES else Markup("{}").format(text)


def prose(sentence: str) -> Markup:
    """A sentence; what stands in backticks as code."""
    return Markup(_BACKTICKS.sub(r"<code>\1</code>", str(escape(escape_controls(sentence)))))  # noqa: S704  escaped


def figure(one: Figure) -> Markup:
    """A figure in large letters."""
    value = one.value
    if value is None:
        return _NOTHING
    if isinstance(value, datetime):
        return _instant(value, shape="%Y-%m-%d %H:%M")
    if not isinstance(value, int | float | Decimal):
        raise TypeError(f"not a figure: {one.name}")
    if one.unit is Unit.MONEY:
        return _data(value, money(Decimal(str(value)), one.currency))
    return _data(value, span(float(value)) if one.unit is Unit.SECONDS else f"{value:,}")


def heading(column: str) -> str:
    """A column's name as words; durations lose their unit, which each cell has; instants get their zone."""
    words = column.removesuffix("_seconds").replace("_", " ")
    return f"{words} (UTC)" if is_instant(column) else words


def kind(column: str, *, numeric: bool) -> str:
    """The class of a column's cells."""
    return "number" if numeric else "instant" if is_instant(column) else "text"


def chart(one: Chart, name: str) -> Markup:
    """A chart as inline SVG."""
    return Markup(draw(one, name))  # noqa: S704  pygal's tree, serialised: what it holds of data is escaped


def _number(value: float | Decimal, column: str) -> str:
    if column.endswith("_seconds"):
        return span(float(value))
    if column.startswith("amount"):
        return money(Decimal(str(value)), None).rpartition(" ")[0]
    if column in _NAMES:
        return as_text(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}".rstrip("0").rstrip(".")


def _data(value: float | Decimal, shown: str) -> Markup:
    return Markup('<data value="{}">{}</data>').format(as_text(value), shown)


def _instant(value: datetime, *, shape: str) -> Markup:
    instant = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(instant.isoformat(), f"{instant:{shape}}")


FILTERS: Mapping[str, Callable[..., str]] = {
    "cell": cell,
    "chart": chart,
    "figure": figure,
    "heading": heading,
    "kind": kind,
    "prose": prose,
}
