"""A trigger with crontab's meaning for APScheduler.

APScheduler's own CronTrigger counts weekdays from Monday and joins day-of-month and day-of-week by
"and"; its daylight-saving doubles some runs. Here CronSim computes the instants, as Debian's cron
does: weekday 0 and 7 are Sunday, two restricted day fields mean "or", a run at a fixed hour is
neither doubled nor dropped when the clocks change. ADR 0010 has the why.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from cronsim import CronSim, CronSimError

from reconcile.base.errors import ConfigurationError

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def next_times(expression: str, *, after: datetime, timezone: str, count: int) -> list[datetime]:
    """The next `count` instants (aware, UTC) strictly after `after`. Raises ValueError."""
    try:
        ticks = CronSim(" ".join(_fields(expression)), after.astimezone(ZoneInfo(timezone)))
        # In an hour that comes twice CronSim may begin with an instant of its first coming.
        later = (instant for tick in ticks if (instant := tick.astimezone(UTC)) > after)
        found = list(islice(later, count))
    except CronSimError as error:
        raise ValueError(str(error)) from error
    if len(found) < count:
        raise ValueError("never comes")
    return found


def _fields(expression: str) -> list[str]:
    fields = _MACROS.get(expression.strip().lower(), expression).split()
    if len(fields) != 5:
        raise ValueError("needs five fields: minute hour day-of-month month day-of-week")
    return fields


def follows_the_wall(expression: str) -> bool:
    """True where minute or hour begin with `*`: every so often, by the clock as it stands.

    The others run at fixed times of the day: a change of the clock by less than three hours neither
    repeats nor drops them. It is Debian cron's own distinction.
    """
    return any(field.startswith("*") for field in _fields(expression)[:2])


def check(expression: str, *, timezone: str, setting: str) -> None:
    """Return if `expression` is a crontab expression. Raises ConfigurationError naming `setting`."""
    try:
        next_times(expression, after=datetime.now(UTC), timezone=timezone, count=1)
    except ValueError as error:
        raise ConfigurationError(
            [f"{setting}: {expression!r} is no crontab expression ({error})"],
            hint="For example */5 * * * * (every five minutes), 30 3 * * 1-5 (weekdays at 03:30), or off.",
        ) from error


class CrontabTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 ships no types
    """Fires at the instants of a crontab expression, each up to `jitter` seconds late."""

    def __init__(self, expression: str, *, timezone: str = "UTC", jitter: float = 0.0) -> None:
        self.expression = expression
        self.timezone = timezone
        self.jitter = jitter or None
        self.follows_the_wall = follows_the_wall(expression)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The next instant: never one that has been fired, though the wall clock be set back."""
        after = now - timedelta(microseconds=1)
        if previous_fire_time is not None:
            # With jitter the previous firing may have been late; its own minute must not come again.
            after = max(after, previous_fire_time)
        (fire,) = next_times(self.expression, after=after, timezone=self.timezone, count=1)
        late: datetime = self._apply_jitter(fire, self.jitter, now) if self.jitter else fire
        return late

    def __str__(self) -> str:
        return f"crontab[{self.expression} {self.timezone}]"
