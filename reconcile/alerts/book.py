"""Alerts in the audit database: what was told (AlertBook), and what earlier runs say."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update

from reconcile.alerts.decision import AlertState
from reconcile.alerts.memory import told
from reconcile.audit.store import Store, insert_new
from reconcile.audit.tables import alerts, runs
from reconcile.run.summary import RunStatus

#: So many successful runs tell the usual interval.
_FEW = 20
_MONTH = timedelta(days=30)
_STATE = ("first_seen_at", "told_at", "told_count", "gone_since", "cleared_at", "relapses")


class SqlAlertBook:
    """AlertBook on the audit database: rights are claimed by conditional updates."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self) -> Mapping[str, AlertState]:
        """Every cause that is remembered, by key."""
        with self._store.reading() as connection:
            return {
                row.alert_key: AlertState(**{name: getattr(row, name) for name in _STATE})
                for row in connection.execute(select(alerts))
            }

    def claim(self, key: str, before: AlertState | None, *, now: datetime, until: datetime) -> str | None:
        """Take the right to tell of this cause; None where somebody else has told it or is about to."""
        token = uuid.uuid4().hex
        with self._store.writing() as connection:
            if before is None:
                new = _row(AlertState(first_seen_at=now)) | {"alert_key": key}
                insert_new(connection, alerts, [new])
            changed = connection.execute(
                update(alerts)
                .where(_is(key, before), _is_free(now))
                .values(claimed_by=token, claimed_until=until)
            )
        return token if changed.rowcount == 1 else None

    def settle(self, key: str, token: str, after: AlertState) -> None:
        """It was told: keep what is remembered from now on."""
        self._update(_is_claimed_by(key, token), {**_row(after), "claimed_by": None, "claimed_until": None})

    def release(self, key: str, token: str) -> None:
        """It could not be told."""
        self._update(_is_claimed_by(key, token), {"claimed_by": None, "claimed_until": None})

    def change(self, key: str, before: AlertState, after: AlertState | None) -> None:
        """Remember or forget without telling; a cause that somebody is telling of stays."""
        condition = and_(_is(key, before), alerts.c.claimed_by.is_(None))
        if after is not None:
            self._update(condition, _row(after))
            return
        with self._store.writing() as connection:
            connection.execute(delete(alerts).where(condition))

    def _update(self, condition: ColumnElement[bool], values: Mapping[str, Any]) -> None:
        with self._store.writing() as connection:
            connection.execute(update(alerts).where(condition).values(**values))


class SqlRunHistory:
    """What earlier runs say of the schedule and of the orders. Raises AuditUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def successes(self) -> Sequence[datetime]:
        """When the last successful runs began, the newest first; a few."""
        query = select(runs.c.started_at).where(*_successful()).order_by(runs.c.started_at.desc()).limit(_FEW)
        with self._store.reading() as connection:
            return connection.execute(query).scalars().all()

    def found_at(self) -> Sequence[datetime]:
        """When runs have found orders: the last time, and the month before it; the oldest first."""
        finding = (*_successful(), runs.c.scanned > 0)
        with self._store.reading() as connection:
            last = connection.execute(select(func.max(runs.c.started_at)).where(*finding)).scalar()
            if last is None:
                return []
            query = select(runs.c.started_at).where(*finding, runs.c.started_at >= last - _MONTH)
            return connection.execute(query.order_by(runs.c.started_at)).scalars().all()


def _row(state: AlertState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in _STATE}


def _is(key: str, before: AlertState | None) -> ColumnElement[bool]:
    """Still what was decided upon: what was told, and when."""
    told_at, count, cleared_at = told(before) if before is not None else (None, 0, None)
    return and_(
        alerts.c.alert_key == key,
        alerts.c.told_at.is_not_distinct_from(told_at),
        alerts.c.told_count == count,
        alerts.c.cleared_at.is_not_distinct_from(cleared_at),
    )


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(alerts.c.claimed_until.is_(None), alerts.c.claimed_until <= now)


def _is_claimed_by(key: str, token: str) -> ColumnElement[bool]:
    return and_(alerts.c.alert_key == key, alerts.c.claimed_by == token)


def _successful() -> tuple[ColumnElement[bool], ...]:
    return runs.c.status == RunStatus.COMPLETED.value, runs.c.mode == "apply"
