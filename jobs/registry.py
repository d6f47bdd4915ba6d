"""The jobs there are: name, what it does, the setting that says when; when each is due by the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from reconcile.app.app import App
from reconcile.base.errors import ConfigurationError
from reconcile.jobs import check_drift, daily_digest, prune_audit, reconcile_enrollments
from reconcile.jobs.crontab import check, next_times
from reconcile.settings import Settings

#: The job whose firings are runs.
MAIN_JOB = "reconcile_enrollments"
#: In a schedule setting: this job does not run.
OFF = "off"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job. `schedule` reads its crontab expression, which may be OFF.

    `run` returns an exit code, or raises the ReconcileError that kept it from its work. It must be
    harmless to repeat, to skip, and to run on several hosts at once.
    """

    name: str
    about: str
    setting: str
    schedule: Callable[[Settings], str]
    run: Callable[[App], int]

    def expression(self, settings: Settings) -> str | None:
        """The crontab expression; None where the job is switched off."""
        expression = self.schedule(settings).strip()
        return None if expression.lower() == OFF else expression


JOBS: tuple[Job, ...] = (
    Job(
        name=MAIN_JOB,
        about="Give paid learners their access.",
        setting="RECONCILE_SCHEDULE",
        schedule=lambda settings: settings.schedule,
        run=reconcile_enrollments.run,
    ),
    Job(
        name="check_drift",
        about="Look for learners who have access and should not, or lost it.",
        setting="RECONCILE_SCHEDULE_DRIFT",
        schedule=lambda settings: settings.schedule_drift,
        run=check_drift.run,
    ),
    Job(
        name="daily_digest",
        about="Tell people what was done and who needs a person.",
        setting="RECONCILE_SCHEDULE_DIGEST",
        schedule=lambda settings: settings.schedule_digest,
        run=daily_digest.run,
    ),
    Job(
        name="prune_audit",
        about="Take runs older than RECONCILE_RETENTION out of the audit.",
        setting="RECONCILE_SCHEDULE_PRUNE",
        schedule=lambda settings: settings.schedule_prune,
        run=prune_audit.run,
    ),
)


def job_named(name: str) -> Job | None:
    """The job of that name, if there is one."""
    return next((job for job in JOBS if job.name == name), None)


def checked(settings: Settings, jobs: Sequence[Job] = JOBS) -> Settings:
    """The settings, each schedule proven to be one. Raises ConfigurationError with all problems."""
    problems: list[str] = []
    hint = ""
    for job in jobs:
        expression = job.expression(settings)
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
        expression = job.expression(settings)
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
