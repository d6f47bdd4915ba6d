"""Parameter types and options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, TypeVar

import click

from reconcile.domain.instants import as_utc
from reconcile.run.source import Selection

Function = TypeVar("Function", bound=Callable[..., Any])

_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s?([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Instant(click.ParamType[datetime]):
    """ISO 8601 (naive means UTC), or `24h` for so long ago.

    With `ahead` it is so long from now, and the instant must lie ahead.
    """

    name = "time"

    def __init__(self, *, ahead: bool = False) -> None:
        self._ahead = ahead

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """An aware UTC instant."""
        if isinstance(value, datetime):
            return value
        text, now = str(value).strip(), datetime.now(UTC)
        try:
            instant = self._read(text, now)
        except (ValueError, OverflowError):
            example = "2027-01-31, 2027-01-31T12:00Z or 7d (from now)"
            if not self._ahead:
                example = "2026-11-24, 2026-11-24T12:00Z or 24h (ago)"
            self.fail(f"{text!r} is no time: use {example}", param, ctx)
        if self._ahead and instant <= now:
            self.fail(f"{text!r} lies in the past", param, ctx)
        return instant

    def _read(self, text: str, now: datetime) -> datetime:
        span = _SPAN.fullmatch(text if self._ahead else re.sub(r"\s+ago$", "", text))
        if span is None:
            return as_utc(datetime.fromisoformat(text))
        length = timedelta(seconds=float(span[1]) * _SECONDS[span[2]])
        return now + length if self._ahead else now - length


INSTANT = Instant()
DEADLINE = Instant(ahead=True)

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


def selection_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Which orders, as `selection`: --limit --enrollment --email --course --since; --include-failed."""

    @wraps(function)
    def selecting(
        *,
        limit: int | None,
        enrollments: tuple[str, ...],
        email: str | None,
        course: str | None,
        since: datetime | None,
        **others: Any,
    ) -> Any:
        chosen = Selection(enrollment_ids=enrollments, email=email, course=course, since=since, limit=limit)
        return function(selection=chosen, **others)

    found: Callable[..., Any] = selecting
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
        found = option(found)
    return found


def json_option(function: Function) -> Function:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")(
        function
    )


def yes_option(function: Function) -> Function:
    """--yes."""
    return click.option("--yes", is_flag=True, help="Do not ask on a terminal.")(function)


def emails_option(function: Function) -> Function:
    """--with-emails."""
    return click.option(
        "--with-emails", is_flag=True, help="Show e-mail addresses in full (they are masked otherwise)."
    )(function)
