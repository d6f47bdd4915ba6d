"""Parameter types and options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from reconcile.domain.instants import as_utc

Function = TypeVar("Function", bound=Callable[..., Any])

_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s?([smhd])(?:\s+ago)?")
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s?([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Instant(click.ParamType[datetime]):
    """ISO 8601 (naive means UTC), or `24h` for so long ago."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """An aware UTC instant."""
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        ago = _AGO.fullmatch(text)
        try:
            if ago is not None:
                return datetime.now(UTC) - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]])
            instant = datetime.fromisoformat(text)
            return as_utc(instant)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no time: use 2026-11-24, 2026-11-24T12:00Z or 24h (ago)", param, ctx)


class Deadline(click.ParamType[datetime]):
    """ISO 8601 (naive means UTC), or `7d` from now; it must lie ahead."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """An aware UTC instant after now."""
        if isinstance(value, datetime):
            return value
        text, now = str(value).strip(), datetime.now(UTC)
        ahead = _SPAN.fullmatch(text)
        try:
            if ahead is not None:
                instant = now + timedelta(seconds=float(ahead[1]) * _SECONDS[ahead[2]])
            else:
                instant = datetime.fromisoformat(text)
                instant = as_utc(instant)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no time: use 2027-01-31, 2027-01-31T12:00Z or 7d (from now)", param, ctx)
        if instant <= now:
            self.fail(f"{text!r} lies in the past", param, ctx)
        return instant


INSTANT = Instant()
DEADLINE = Deadline()

#: Said where a selection finds nothing: a mistyped id must not look like a learner who has access.
NO_MATCH = "no order that is paid and not synced matches"


class Duration(click.ParamType[float]):
    """`90s`, `5m`, `2h`, `365d`; in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        from reconcile.settings import rules

        try:
            return rules.duration(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


DURATION = Duration()


def selection_options(function: Function) -> Function:
    """Which orders: --limit --enrollment --email --course --since."""
    for option in reversed(
        [
            click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Look at N orders."),
            click.option(
                "--enrollment",
                "enrollments",
                multiple=True,
                metavar="ID",
                help="Only this one; repeatable.",
            ),
            click.option("--email", metavar="E", help="Only this learner."),
            click.option("--course", metavar="SLUG", help="Only this course."),
            click.option("--since", type=INSTANT, metavar="T", help="Paid since (24h, 2026-11-24)."),
            click.option("--include-failed", is_flag=True, help="Also those whose visits are used up."),
        ]
    ):
        function = option(function)
    return function


def json_option(function: Function) -> Function:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")(
        function
    )


def emails_option(function: Function) -> Function:
    """--with-emails."""
    return click.option(
        "--with-emails", is_flag=True, help="Show e-mail addresses in full (they are masked otherwise)."
    )(function)
