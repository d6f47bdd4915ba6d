"""The jobs there are: name, what it does, and the setting that says when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jobs import prune_audit, reconcile_enrollments
from reconcile.bootstrap import App
from reconcile.settings import Settings

#: In a schedule setting: this job does not run.
OFF = "off"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job. `run` returns an exit code of INTERFACE; `schedule` reads its crontab expression."""

    name: str
    about: str
    setting: str
    schedule: Callable[[Settings], str]
    run: Callable[[App], int]


JOBS: tuple[Job, ...] = (
    Job(
        name="reconcile_enrollments",
        about="Give paid learners their access.",
        setting="RECONCILE_SCHEDULE",
        schedule=lambda settings: settings.schedule,
        run=reconcile_enrollments.run,
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
