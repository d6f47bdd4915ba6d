"""`reconcile schedule`: the background process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from reconcile.cli.context import drain_deadline, draining, load_settings

if TYPE_CHECKING:
    from reconcile.jobs.registry import Job
    from reconcile.settings import Settings

_EPILOG = """\b
Examples:
  reconcile schedule                              until SIGTERM or Ctrl-C
  reconcile schedule --list                       the jobs and when they come next
  reconcile schedule --once reconcile_enrollments run one job now
  reconcile schedule --once daily_digest          the digest, on stdout
  RECONCILE_SCHEDULE='*/10 6-23 * * *' reconcile schedule
  RECONCILE_SCHEDULE_DIGEST=off reconcile schedule
  RECONCILE_HTTP=127.0.0.1:9108 reconcile schedule     with /healthz, /readyz and /metrics

Schedules have crontab's meaning, in RECONCILE_TIMEZONE (UTC); `off` switches a job off. SIGHUP
reads the settings again. Several of these processes may run at once, also beside `reconcile run`.
"""


@click.command("schedule", epilog=_EPILOG)
@click.option("--list", "only_list", is_flag=True, help="Show the jobs and their next times, then exit.")
@click.option("--once", metavar="JOB", help="Run one job now, then exit with its code.")
def command(*, only_list: bool, once: str | None) -> int:
    """Run the jobs at their times until told to stop; what is in flight is finished and recorded.

    MongoDB and the LMS need not be up: a job that cannot work says so once and is tried again at its
    next time.
    """
    if only_list and once is not None:
        raise click.UsageError("--list and --once exclude each other")
    settings = load_settings()
    from reconcile.jobs.scheduler import Scheduler

    if only_list:
        _list(settings, now=datetime.now(UTC))
        return 0
    if once is not None:
        return _once(once, settings)
    scheduler = Scheduler(load_settings)
    with drain_deadline(scheduler.stop):
        scheduler.run()
    return 0


def _once(name: str, settings: Settings) -> int:
    from reconcile.jobs.registry import JOBS, job_named
    from reconcile.jobs.runner import Runner

    job = job_named(name)
    if job is None:
        raise click.UsageError(f"no job {name!r}; there are: {', '.join(job.name for job in JOBS)}")
    with draining() as stop:
        return Runner(stop=stop).once(job, settings, notify=_to_stdout)


def _to_stdout(*, title: str, body: str) -> None:
    click.echo(f"{title}\n\n{body}", nl=False)


def _list(settings: Settings, *, now: datetime) -> None:
    """The jobs: what each does, its setting, its next time; its last run where the audit knows it."""
    from reconcile.jobs.registry import checked, upcoming

    zone = ZoneInfo(settings.timezone)
    for job, expression, when in upcoming(checked(settings), now=now):
        click.echo(f"{job.name:<24} {job.about}")
        at = "never: switched off" if when is None else f"next {when.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"
        click.echo(f"  {job.setting}='{expression or job.schedule(settings)}'  {at}")
        for line in _last_run(job, settings):
            click.echo(f"  last {line}")


def _last_run(job: Job, settings: Settings) -> Iterator[str]:
    """Of the main job, whoever started it. An audit that cannot be read must not hide the schedule."""
    if job.name != "reconcile_enrollments":
        return
    from reconcile.app.build import build
    from reconcile.base.errors import ReconcileError
    from reconcile.story.runs import recent_runs

    try:
        with build(settings, create_audit=False) as app, app.reading() as connection:
            found = recent_runs(connection, 1) if connection is not None else []
    except ReconcileError as error:
        yield f"run unknown: {error}"
        return
    zone = ZoneInfo(settings.timezone)
    for run in found:
        began = datetime.fromisoformat(run["started_at"]).astimezone(zone)
        how = run["status"] + (f" ({run['reason']})" if run["reason"] else "")
        yield f"{began:%a %Y-%m-%d %H:%M %Z}  {how}"
