"""Which job is due when, by the settings: for checking them, for `--list`, and to tell a day in advance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from reconcile.base.errors import ConfigurationError
from reconcile.jobs.crontab import check, next_times
from reconcile.jobs.registry import JOBS, OFF, Job
from reconcile.settings import Settings


def expression_of(job: Job, settings: Settings) -> str | None:
    """The job's crontab expression; None where it is switched off."""
    expression = job.schedule(settings).strip()
    return None if expression.lower() == OFF else expression


def checked(settings: Settings, jobs: Sequence[Job] = JOBS) -> Settings:
    """The settings, each schedule proven to be one. Raises ConfigurationError with all problems."""
    problems: list[str] = []
    hint = ""
    for job in jobs:
        expression = expression_of(job, settings)
        try:
            if expression is not None:
                check(expression, timezone=settings.timezone, setting=job.setting)
        except ConfigurationError as error:
            problems += error.problems
            hint = error.hint
    if problems:
        raise ConfigurationError(problems, hint=hint)
    return settings


def upcoming(
    settings: Settings, *, now: datetime, jobs: Sequence[Job] = JOBS
) -> list[tuple[Job, str | None, datetime | None]]:
    """Each job with its expression and its next time; None and None where it is off."""
    found: list[tuple[Job, str | None, datetime | None]] = []
    for job in jobs:
        expression = expression_of(job, settings)
        if expression is None:
            found.append((job, None, None))
        else:
            (when,) = next_times(expression, after=now, timezone=settings.timezone, count=1)
            found.append((job, expression, when))
    return found


def timetable(
    settings: Settings, *, after: datetime, until: datetime, jobs: Sequence[Job] = JOBS
) -> Iterator[tuple[datetime, Job]]:
    """Every firing in (`after`, `until`], in order; jobs of the same instant in the order of `jobs`."""
    now = after
    while True:
        coming = [(when, job) for job, _, when in upcoming(settings, now=now, jobs=jobs) if when is not None]
        now = min((when for when, _ in coming), default=until)
        due = [job for when, job in coming if when == now]
        if not due or now > until:
            return
        yield from ((now, job) for job in due)
