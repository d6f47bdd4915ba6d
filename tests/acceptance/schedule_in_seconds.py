"""`reconcile schedule` in a process of its own, where every job that is not off comes each half second."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

from apscheduler.triggers.base import BaseTrigger

from reconcile.cli.context import drain_deadline, load_settings
from reconcile.jobs.scheduler import Scheduler

EVERY = timedelta(seconds=0.5)


class Often(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 ships no types
    """Comes every so often, whatever the expression."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return max(now, previous_fire_time + EVERY) if previous_fire_time is not None else now


def main() -> int:
    """As the command does it, but for the trigger."""
    scheduler = Scheduler(load_settings, trigger=lambda _expression, _timezone: Often())
    with drain_deadline(scheduler.stop):
        scheduler.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
