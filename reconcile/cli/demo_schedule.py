"""`reconcile demo --schedule`: a shop's day on the embedded servers, in about a minute.

The scheduler's own jobs run at the times that its own triggers compute, over the real application
objects; only the clock is simulated. At the end everybody who has seen the day tells it, each from
their own records, and the stories must agree: see `TELLERS`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING, Any

import click

from reconcile import log
from reconcile.errors import ConfigurationError

if TYPE_CHECKING:
    from jobs.runner import Runner
    from reconcile.bootstrap import App
    from reconcile.sandbox.clock import SimulatedClock
    from reconcile.sandbox.day import LivingShop, Script
    from reconcile.sandbox.servers import Sandbox
    from reconcile.settings import Settings

#: A Tuesday.
DAY = datetime(2026, 6, 2, tzinfo=UTC)
_SETTINGS = {"RECONCILE_TIMEZONE": "UTC", "RECONCILE_AMBIGUOUS_HOLD": "1s", "RECONCILE_LOG_LEVEL": "info"}

# What the stories are about: the lines of the table.
GIVEN = "learners given access by reconcile"
IN_VAIN = "runs in vain while the LMS was down"
PERSON = "orders that need a person"
TWICE = "learners enrolled twice"
FACTS = (GIVEN, IN_VAIN, PERSON, TWICE)


@dataclass(kw_only=True)
class Witness:
    """All that is left of the day."""

    script: Script
    sandbox: Sandbox
    shop: LivingShop
    settings: Settings
    firings: int = 0
    orders: list[dict[str, Any]] = field(default_factory=list)  #: MongoDB's, at the end
    log: list[dict[str, Any]] = field(default_factory=list)
    notified: list[tuple[str, str]] = field(default_factory=list)  #: title and body


@dataclass(frozen=True, kw_only=True)
class Teller:
    """Somebody who has seen the day. `tell` gives a number for each of FACTS that it knows of."""

    name: str
    tell: Callable[[Witness], Mapping[str, int]]


def run_day(script: Script | None = None) -> int:
    """Let the day pass and compare the stories; 0 where they agree, 1 where they do not."""
    from reconcile.sandbox.day import script as write_script
    from reconcile.sandbox.mongo_server import SandboxUnavailable
    from reconcile.sandbox.servers import running

    script = script or write_script(DAY)
    try:
        with running(seeded=False) as sandbox, _log_in_memory() as lines:
            witness = _live(script, sandbox, lines)
            stories = {teller.name: teller.tell(witness) for teller in TELLERS}
    except SandboxUnavailable as error:
        raise ConfigurationError([str(error)]) from error
    agree = _print_stories(witness, stories)
    return 0 if agree else 1


def _live(script: Script, sandbox: Sandbox, lines: Callable[[], list[dict[str, Any]]]) -> Witness:
    from pymongo import MongoClient

    from jobs.timetable import timetable
    from reconcile.sandbox.clock import SimulatedClock
    from reconcile.sandbox.day import LivingShop
    from reconcile.sandbox.servers import DATABASE
    from reconcile.settings import Settings

    settings = Settings.load({**sandbox.environment, **_SETTINGS}, env_file=None)
    clock = SimulatedClock(script.start)
    with MongoClient[dict[str, Any]](sandbox.mongo.uri(DATABASE)) as client:
        database = client[DATABASE]
        shop = LivingShop(script, database, sandbox.lms.site)
        witness = Witness(script=script, sandbox=sandbox, shop=shop, settings=settings)
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
    return witness


def _runner(clock: SimulatedClock, witness: Witness) -> Runner:
    from jobs.runner import Runner
    from reconcile.bootstrap import build

    stop = threading.Event()

    def notify(*, title: str, body: str) -> None:
        witness.notified.append((title, body))
        log.get_logger(__name__).info("Notification", title=title, body=body)

    def open_app(settings: Settings) -> App:
        return build(settings, stop=stop, clock=clock, notify=notify)

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
            case "Notification":
                click.secho(f"{when:%H:%M}  {line['title']}", fg="blue")
            case "Run aborted":
                pass  # the next line says it with what follows from it
            case event if line["level"] in ("warning", "error"):
                why = line.get("error") or line.get("reason") or ""
                click.secho(f"{when:%H:%M}  {event}: {why}", fg="yellow")


def _print_stories(witness: Witness, stories: Mapping[str, Mapping[str, int]]) -> bool:
    """A line for each fact, a column for each teller; True where all agree."""
    counts = f"{witness.shop.orders} orders, {witness.firings} times that a job ran"
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


# --- who has seen the day ----------------------------------------------------------------------------


def _script_says(witness: Witness) -> Mapping[str, int]:
    """What was bound to happen."""
    from reconcile.sandbox.day import MALFORMED

    script = witness.script
    return {
        GIVEN: len(script.left_to_us),
        PERSON: sum(sale.fate == MALFORMED for sale in script.sales),
        TWICE: 0,
    }


def _log_says(witness: Witness) -> Mapping[str, int]:
    enrolled = [line for line in witness.log if line["event"] == "FrappeLMS enrollment successful"]
    again = [line for line in witness.log if line["event"] == "Job runs again"]
    last = [line for line in witness.log if line["event"] == "Run completed"][-1]
    return {
        GIVEN: len(enrolled),
        IN_VAIN: sum(line["tried_in_vain"] for line in again),
        PERSON: last["outcomes"].get("failed", 0),
    }


def _audit_says(witness: Witness) -> Mapping[str, int]:
    from reconcile.bootstrap import build
    from reconcile.reports.model import ReportFilter
    from reconcile.reports.queries import enrollment_rows, run_rows

    with build(witness.settings) as app, app.reading() as connection:
        if connection is None:
            return {}
        everything = ReportFilter()
        outcomes = [row["outcome"] for row in enrollment_rows(connection, everything)]
        statuses = [row["status"] for row in run_rows(connection, everything)]
    return {
        GIVEN: sum(outcome in ("enrolled", "recovered") for outcome in outcomes),
        IN_VAIN: statuses.count("aborted"),
        PERSON: outcomes.count("failed"),
    }


def _orders_say(witness: Witness) -> Mapping[str, int]:
    synced = {order["frappeSync"].get("enrollmentId") for order in witness.orders} - {None}
    failed = [order for order in witness.orders if order["frappeSync"]["syncStatus"] == "failed"]
    return {GIVEN: len(synced - witness.shop.by_webhook), PERSON: len(failed)}


def _lms_says(witness: Witness) -> Mapping[str, int]:
    site = witness.sandbox.lms.site
    names = {row["name"] for row in site.enrollments()}
    return {GIVEN: len(names - witness.shop.by_webhook), TWICE: len(site.duplicates())}


#: Add whoever else has seen the day: metrics, alerts, the mailbox.
TELLERS = (
    Teller(name="script", tell=_script_says),
    Teller(name="log", tell=_log_says),
    Teller(name="audit", tell=_audit_says),
    Teller(name="orders", tell=_orders_say),
    Teller(name="LMS", tell=_lms_says),
)
