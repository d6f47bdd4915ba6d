"""The settings of the background process: when each job runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings

from reconcile.settings import rules
from reconcile.settings.fields import setting


class ScheduleSettings(BaseSettings):
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
    timezone: Annotated[str, BeforeValidator(rules.time_zone)] = setting(
        "RECONCILE_TIMEZONE", "UTC", "The schedule's time zone.", unit="IANA name"
    )
    schedule_prune: str = setting(
        "RECONCILE_SCHEDULE_PRUNE", "0 4 * * 0", "When the audit is pruned; off for never.", unit="crontab"
    )
    retention: Annotated[float, BeforeValidator(rules.retention)] = setting(
        "RECONCILE_RETENTION",
        730 * 86400.0,
        "How long the audit keeps a run, at least 1d; 0 is for ever.",
        unit="duration",
    )
