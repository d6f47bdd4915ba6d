"""`reconcile demo --schedule`: a shop's day on the embedded servers, in about a minute.

The scheduler's own jobs run at the times that its own triggers compute, over the real application
objects; only the clock is simulated. At the end everybody who has seen the day tells it, each from
their own records, and the stories must agree: see `TELLERS`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING, Any

import click

from reconcile.base import log
from reconcile.cli.demo_stories import FACTS, TELLERS, TWICE, Witness
from reconcile.cli.sandbox import embedded

if TYPE_CHECKING:
    from reconcile.app.app import App
    from reconcile.jobs.runner import Runner
    from reconcile.sandbox.clock import SimulatedClock
    from reconcile.sandbox.day import Script
    from reconcile.sandbox.listeners import Bell, Mailbox
    from reconcile.sandbox.servers import Sandbox
    from reconcile.settings import Settings

#: A Tuesday.
DAY = datetime(2026, 6, 2, tzinfo=UTC)
_SETTINGS = {"RECONCILE_TIMEZONE": "UTC", "RECONCILE_AMBIGUOUS_HOLD": "1s", "RECONCILE_LOG_LEVEL": "info"}


def run_day(script: Script | None = None) -> int:
    """Let the day pass and compare the stories; 0 where they agree, 1 where they do not."""
    from reconcile.sandbox.day import script as write_script
    from reconcile.sandbox.listeners import Bell, Mailbox

    script = script or write_script(DAY)
    with (
        embedded(seeded=False) as sandbox,
        Mailbox() as mailbox,
        Bell() as bell,
        _log_in_memory() as lines,
    ):
        witness = _live(script, _witness(script, sandbox, mailbox, bell), lines)
        stories = {teller.name: teller.tell(witness) for teller in TELLERS}
    agree = _print_stories(witness, stories)
    return 0 if agree else 1


def _witness(script: Script, sandbox: Sandbox, mailbox: Mailbox, bell: Bell) -> Witness:
    from reconcile.metrics.metrics import Metrics
    from reconcile.settings import Settings

    told = {
        "RECONCILE_SMTP_URL": mailbox.url,
        "RECONCILE_MAIL_FROM": "Shop <courses@shop.example>",
        "RECONCILE_ALERT_URLS": bell.alert_url,
        "RECONCILE_PING_URL": bell.ping_url,
    }
    settings = Settings.load({**sandbox.environment, **_SETTINGS, **told}, env_file=None)
    return Witness(
        script=script, sandbox=sandbox, settings=settings, mailbox=mailbox, bell=bell, metrics=Metrics()
    )


def _live(script: Script, witness: Witness, lines: Callable[[], list[dict[str, Any]]]) -> Witness:
    from reconcile.app.parts import open_database
    from reconcile.jobs.registry import timetable
    from reconcile.sandbox.clock import SimulatedClock
    from reconcile.sandbox.day_shop import LivingShop

    settings, sandbox = witness.settings, witness.sandbox
    clock = SimulatedClock(script.start)
    with ExitStack() as opened:
        database = open_database(settings, opened)
        shop = LivingShop(script, database, sandbox.lms)
        witness.by_shop = shop.by_shop
        runner = _runner(clock, witness)
        click.secho(f"# {script.start:%A %d %B %Y}: a shop, an LMS, and `reconcile schedule`", fg="cyan")
        for when, job in timetable(settings, after=script.start, until=script.end):
            for noticed in shop.advance(when):
                click.secho(noticed, fg="yellow")
            clock.set(when)
            runner.fire(job, settings)
            witness.firings += 1
            fresh = lines()
            _narrate(when, fresh)
            witness.log += fresh
        witness.orders = list(database["enrollments"].find())
        witness.sold = shop.orders
    return witness


def _runner(clock: SimulatedClock, witness: Witness) -> Runner:
    from reconcile.alerts.memory import MemoryAlertBook
    from reconcile.app.build import build
    from reconcile.jobs.runner import Runner

    stop, memory = threading.Event(), MemoryAlertBook()

    def notify(*, title: str, body: str) -> None:
        witness.notified.append((title, body))
        log.get_logger(__name__).info("Notification", title=title, body=body)

    def open_app(settings: Settings) -> App:
        return build(
            settings, stop=stop, clock=clock, notify=notify, metrics=witness.metrics, alert_memory=memory
        )

    return Runner(stop=stop, open_app=open_app, clock=clock)


@contextmanager
def _log_in_memory() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The log goes to memory; what is yielded gives the lines since it was last asked."""
    stream = StringIO()

    def fresh() -> list[dict[str, Any]]:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in text.splitlines()]

    log.configure("info", "json", stream=stream)
    try:
        yield fresh
    finally:
        log.configure()


def _narrate(when: datetime, lines: list[dict[str, Any]]) -> None:
    """What a person at the log would see of this firing."""
    for line in lines:
        match line["event"]:
            case "Run completed":
                access = {"enrolled", "already_enrolled", "recovered"}
                given = sum(count for outcome, count in line["outcomes"].items() if outcome in access)
                if given:
                    click.echo(f"{when:%H:%M}  {given} got access")
            case "Job runs again":
                click.secho(f"{when:%H:%M}  runs again, after {line['tried_in_vain']} in vain", fg="green")
            case "Alert sent":
                click.secho(f"{when:%H:%M}  alert: {line['key']} ({line['news']})", fg="magenta")
            case "Notification":
                click.secho(f"{when:%H:%M}  {line['title']}", fg="blue")
            case "Run aborted":
                pass  # the next line says it with what follows from it
            case event if line["level"] in ("warning", "error"):
                why = line.get("error") or line.get("reason") or ""
                click.secho(f"{when:%H:%M}  {event}: {why}", fg="yellow")


def _print_stories(witness: Witness, stories: Mapping[str, Mapping[str, int]]) -> bool:
    """A line for each fact, a column for each teller; True where all agree."""
    counts = f"{witness.sold} orders, {witness.firings} times that a job ran"
    click.secho(f"\n# {counts}: the day as each of them tells it", fg="cyan")
    click.secho(" " * 37 + "".join(f"{name:>10}" for name in stories), bold=True)
    agree = True
    for fact in FACTS:
        told = [story.get(fact) for story in stories.values()]
        numbers = {number for number in told if number is not None}
        same = len(numbers) == 1 and (fact != TWICE or numbers == {0})
        agree = agree and same
        cells = "".join(f"{'-' if number is None else number:>10}" for number in told)
        click.secho(f"{fact:<37}{cells}" + ("" if same else "   <- they differ"), fg=None if same else "red")
    click.secho("\nThey tell the same story." if agree else "\nThe stories differ.", bold=True)
    return agree
