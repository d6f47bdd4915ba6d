"""The jobs there are: name, what it does, and the setting that says when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconcile.app.app import App
from reconcile.jobs import check_drift, daily_digest, prune_audit, reconcile_enrollments
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
