"""The last runs, for whoever tells of them or watches over them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from reconcile.audit import tables
from reconcile.run.summary import RunStatus

#: Runs may overlap: the newest to begin need not be the newest to end.
_NEWEST = 20


def recent_runs(connection: Connection, count: int) -> list[dict[str, Any]]:
    """The last `count` runs, the newest first, in the words of `run --json`."""
    query = select(tables.runs).order_by(tables.runs.c.started_at.desc(), tables.runs.c.run_id).limit(count)
    return [
        {
            "run_id": found.run_id,
            "mode": found.mode,
            "status": found.status,
            "reason": found.reason,
            "started_at": found.started_at.isoformat(),
            "finished_at": found.finished_at.isoformat() if found.finished_at is not None else None,
            "scanned": found.scanned,
            "outcomes": json.loads(found.outcomes),
            "lms_requests": found.lms_requests,
            "exit_code": found.exit_code,
        }
        for found in connection.execute(query)
    ]


def last_good_sign(connection: Connection) -> datetime | None:
    """When an applied run last ended well, or one that is still going last gave a sign of life."""
    query = (
        select(tables.runs.c.status, tables.runs.c.finished_at, tables.runs.c.heartbeat_at)
        .where(
            tables.runs.c.mode == "apply",
            tables.runs.c.status.in_([RunStatus.COMPLETED.value, RunStatus.RUNNING.value]),
        )
        .order_by(tables.runs.c.started_at.desc())
        .limit(_NEWEST)
    )
    signs = [
        found.finished_at if found.status == RunStatus.COMPLETED.value else found.heartbeat_at
        for found in connection.execute(query)
    ]
    return max((sign for sign in signs if sign is not None), default=None)
