"""The settings of the background process: when each job runs, and where it can be asked how it is."""

from __future__ import annotations

import re
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator

from reconcile.settings import rules
from reconcile.settings.rules import Seconds, setting

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})", re.ASCII)
_OFF = "off"


def check_time_zone(value: str) -> str:
    """A time zone's IANA name. Raises ValueError."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:  # unknown, a path, a folder of the tz database
        raise ValueError("must be a time zone such as UTC or Europe/Berlin") from error
    return value


def check_retention(value: object) -> float:
    """A duration of at least a day, or 0 for ever. Raises ValueError."""
    seconds = rules.duration(value)
    if 0 < seconds < 86400:
        raise ValueError("must be at least 1d, or 0 to keep everything")
    return seconds


def host_and_port(value: str) -> tuple[str, int] | None:
    """Where to listen; None for `off`. Port 0 is any free one. Raises ValueError."""
    if value.strip().lower() in ("", _OFF):
        return None
    match = _ADDRESS.fullmatch(value.strip())
    if match is None or int(match[3]) > 65535:
        raise ValueError("must be HOST:PORT such as 127.0.0.1:9108 or [::1]:9108, or off")
    return match[1] or match[2], int(match[3])


def check_http(value: str) -> str:
    """Where to listen, or `off`. Raises ValueError."""
    host_and_port(value)
    return value


class ScheduleSettings(BaseModel):
    """When each job runs: crontab expressions, `off` for never."""

    schedule: str = setting(
        "RECONCILE_SCHEDULE",
        "*/5 * * * *",
        "When the main job runs; 0 and 7 are Sunday; off is never.",
        unit="crontab",
    )
    schedule_drift: str = setting(
        "RECONCILE_SCHEDULE_DRIFT", "30 3 * * *", "When the scheduler looks for drift.", unit="crontab"
    )
    schedule_digest: str = setting(
        "RECONCILE_SCHEDULE_DIGEST", "0 7 * * 1-5", "When the daily digest is told.", unit="crontab"
    )
    timezone: Annotated[str, BeforeValidator(check_time_zone)] = setting(
        "RECONCILE_TIMEZONE", "UTC", "The schedule's time zone.", unit="IANA name"
    )
    schedule_prune: str = setting(
        "RECONCILE_SCHEDULE_PRUNE", "0 4 * * 0", "When the audit is pruned; off for never.", unit="crontab"
    )
    retention: Annotated[float, BeforeValidator(check_retention)] = setting(
        "RECONCILE_RETENTION",
        730 * 86400.0,
        "How long the audit keeps a run, at least 1d; 0 is for ever.",
        unit="duration",
    )


class WatchSettings(BaseModel):
    """What `reconcile schedule` offers to monitoring."""

    http: Annotated[str, BeforeValidator(check_http)] = setting(
        "RECONCILE_HTTP",
        _OFF,
        "Where the scheduler serves /healthz, /readyz and /metrics, as 127.0.0.1:9108.",
        unit="address",
    )
    ready_age: Seconds = setting(
        "RECONCILE_READY_AGE",
        900.0,
        "Older than this, the last good run makes /readyz fail.",
        unit="duration",
        gt=0,
    )
