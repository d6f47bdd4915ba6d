"""`reconcile schedule`: the background process."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from reconcile.cli.context import drain_deadline, draining, load_settings

_EPILOG = """\b
Examples:
  reconcile schedule                              until SIGTERM or Ctrl-C
  reconcile schedule --list                       the jobs and when they come next
  reconcile schedule --once reconcile_enrollments run one job now
  RECONCILE_SCHEDULE='*/10 6-23 * * *' reconcile schedule
  RECONCILE_HTTP=127.0.0.1:9108 reconcile schedule     with /healthz, /readyz and /metrics

The schedule has crontab's meaning, in RECONCILE_TIMEZONE (UTC); `off` switches a job off. SIGHUP
reads the settings again. Several of these processes may run at once, also beside `reconcile run`.
"""


@click.command("schedule", epilog=_EPILOG)
@click.option("--list", "only_list", is_flag=True, help="Show the jobs and their next times, then exit.")
@click.option("--once", metavar="JOB", help="Run one job now, then exit with its code.")
def command(*, only_list: bool, once: str | None) -> int:
    """Run the jobs at their times until told to stop; what is in flight is finished and recorded."""
    settings = load_settings()
    from jobs.registry import JOBS, job_named
    from jobs.scheduler import Scheduler, checked, upcoming

    if only_list:
        for job, expression, next_time in upcoming(checked(settings), now=datetime.now(UTC)):
            when = f"{next_time:%Y-%m-%d %H:%M} UTC" if next_time else "never"
            click.echo(f"{job.name:<24} {expression:<16} next {when}   {job.about}")
        return 0
    if once is not None:
        job_once = job_named(once)
        if job_once is None:
            names = ", ".join(job.name for job in JOBS)
            raise click.UsageError(f"no job {once!r}; there are: {names}")
        with draining() as stop:
            scheduler = Scheduler(lambda: settings)
            scheduler.stop = stop
            return scheduler.run_once(job_once)
    scheduler = Scheduler(load_settings)
    with drain_deadline(scheduler.stop):
        scheduler.run()
    return 0
