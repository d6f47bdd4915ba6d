"""The last runs, for `status`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from reconcile.reports.tables import RUNS


def recent_runs(connection: Connection, count: int) -> list[dict[str, Any]]:
    """The last `count` runs, the newest first, in the words of `run --json`."""
    query = select(RUNS).order_by(RUNS.c.started_at.desc(), RUNS.c.run_id).limit(count)
    return [
        {
            "run_id": found.run_id,
            "mode": found.mode,
            "status": found.status,
            "reason": found.reason,
            "started_at": _iso(found.started_at),
            "finished_at": _iso(found.finished_at),
            "scanned": found.scanned,
            "outcomes": json.loads(found.outcomes),
            "lms_requests": found.lms_requests,
            "exit_code": found.exit_code,
        }
        for found in connection.execute(query)
    ]


def _iso(instant: datetime | None) -> str | None:
    if instant is None:
        return None
    # SQLite keeps naive UTC.
    aware = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    return aware.isoformat()
