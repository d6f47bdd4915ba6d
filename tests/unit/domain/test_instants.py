"""Instants become aware UTC ones, whatever the database has said of their zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from reconcile.domain.instants import as_utc

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "given",
    [
        NOON,
        NOON.replace(tzinfo=None),
        NOON.astimezone(timezone(timedelta(hours=5, minutes=30))),
    ],
)
def test_the_same_instant_in_utc(given: datetime) -> None:
    found = as_utc(given)
    assert found == NOON
    assert found.tzinfo is UTC


def test_no_instant_stays_none() -> None:
    assert as_utc(None) is None
