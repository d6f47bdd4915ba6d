"""Instants as everything here has them: aware, and in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def as_utc(instant: datetime) -> datetime: ...


@overload
def as_utc(instant: None) -> None: ...


def as_utc(instant: datetime | None) -> datetime | None:
    """The same instant in UTC; a naive one is in UTC already; None for None.

    SQLite and PyMongo give UTC without saying so, PostgreSQL answers in the session's zone.
    """
    if instant is None:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
