"""One firing of a job: trouble is told once and its end once; nothing a job does ends the process."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import StringIO
from typing import Any

import pytest

from reconcile.app.alerts import no_alerts
from reconcile.app.app import App
from reconcile.base import log
from reconcile.base.errors import (
    AuditUnavailable,
    ConfigurationError,
    ReconcileError,
    ServiceUnavailable,
    StoreUnavailable,
    TooManyEnrolls,
)
from reconcile.jobs import reconcile_enrollments
from reconcile.jobs.registry import Job
from reconcile.jobs.runner import Runner
from reconcile.settings import Settings
from tests.fakes.harness import World
from tests.fakes.world import order

SETTINGS = Settings(MONGODB_URI="mongodb://x/shop", FRAPPE_LMS_BASE_URL="https://lms.example.com")


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The log lines so far; reading them begins anew."""
    stream = StringIO()
    log.configure("debug", "json", stream=stream)

    def read() -> list[dict[str, Any]]:
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in text.splitlines()]

    yield read
    log.configure("info")


class Bench:
    """A runner over an in-memory world, and jobs that do as they are told."""

    def __init__(self) -> None:
        self.world = World()
        self.stop = threading.Event()
        self.unopened: ReconcileError | None = None
        self.runner = Runner(stop=self.stop, open_app=self._open, clock=self.world.clock)

    def _open(self, settings: Settings) -> App:
        if self.unopened is not None:
            raise self.unopened
        return App(settings, self.world.ports, stop=self.stop, resources=ExitStack(), alerts=no_alerts())

    def fire(self, run: Callable[[App], int], *, name: str = "a_job") -> None:
        job = Job(name=name, about="", setting="", schedule=lambda _: "* * * * *", run=run)
        self.runner.fire(job, SETTINGS)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def raising(error: BaseException) -> Callable[[App], int]:
    def run(_: App) -> int:
        raise error

    return run


def loud(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What is told at the default level."""
    return [(line["level"], line["event"]) for line in lines if line["level"] != "debug"]


IN_TROUBLE = "Job could not run; tried again at its next time, and told when it runs again"


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("gone"),
        AuditUnavailable("full"),
        ServiceUnavailable("down"),
        ConfigurationError(["x"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_is_told_once_and_its_end_once(bench: Bench, lines: Any, error: ReconcileError) -> None:
    for _ in range(3):
        bench.fire(raising(error))
    bench.fire(lambda _: 0)
    bench.fire(lambda _: 0)

    assert loud(lines()) == [("error", IN_TROUBLE), ("info", "Job runs again")]
    assert bench.runner.counts == {"failed": 3, "done": 2}


def test_what_is_told_names_the_job_the_remedy_and_how_often_it_was_tried(bench: Bench, lines: Any) -> None:
    bench.fire(raising(StoreUnavailable("MongoDB is gone", hint="start it")))
    bench.world.clock.sleep(600)
    bench.fire(raising(StoreUnavailable("MongoDB is gone, other words")))
    bench.fire(lambda _: 1)

    begun, over = [line for line in lines() if line["level"] != "debug"]
    assert begun["job"] == over["job"] == "a_job"
    assert (begun["reason"], begun["error"], begun["hint"]) == (
        "mongodb_unavailable",
        "MongoDB is gone",
        "start it",
    )
    assert (over["trouble"], over["tried_in_vain"]) == ("mongodb_unavailable", 2)
    assert over["since"] < bench.world.clock.now().isoformat()


def test_another_trouble_is_told_anew(bench: Bench, lines: Any) -> None:
    bench.fire(raising(StoreUnavailable("gone")))
    bench.fire(raising(AuditUnavailable("full")))

    assert [line["reason"] for line in lines()] == ["mongodb_unavailable", "audit_unavailable"]


def test_the_jobs_have_their_own_troubles(bench: Bench, lines: Any) -> None:
    bench.fire(raising(StoreUnavailable("gone")), name="one")
    bench.fire(lambda _: 0, name="other")
    bench.fire(raising(StoreUnavailable("gone")), name="one")

    assert loud(lines()) == [("error", IN_TROUBLE)]


@pytest.mark.parametrize(("code", "trouble"), [(0, 0), (1, 0), (3, 0), (130, 0), (2, 1), (4, 1), (75, 1)])
def test_an_exit_code_says_whether_the_job_could_do_its_work(
    bench: Bench, lines: Any, code: int, trouble: int
) -> None:
    bench.fire(lambda _: code)
    bench.fire(lambda _: code)

    assert len(loud(lines())) == trouble
    assert bench.runner.counts == {"failed" if trouble else "done": 2}


@pytest.mark.parametrize("code", [0, 3, "with a message", None])
def test_sys_exit_is_caught_counted_and_told_each_time(bench: Bench, lines: Any, code: Any) -> None:
    bench.fire(lambda _: sys.exit(code))
    bench.fire(lambda _: sys.exit(code))
    bench.fire(lambda _: 0)

    found = lines()
    assert loud(found) == [("error", "Job called sys.exit, which ends nothing here")] * 2
    assert {line["code"] for line in found if line["level"] == "error"} == {str(code)}
    assert bench.runner.counts == {"error": 2, "done": 1}


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt(), MemoryError()])
def test_a_bug_is_told_each_time_with_where_it_happened(
    bench: Bench, lines: Any, error: BaseException
) -> None:
    bench.fire(raising(error))
    bench.fire(raising(error))

    found = lines()
    assert [line["event"] for line in found] == ["Job failed; this is a bug"] * 2
    assert all("in run" in line["exception"] for line in found)
    assert bench.runner.counts == {"error": 2}


def test_an_application_that_cannot_be_opened_is_trouble_too(bench: Bench, lines: Any) -> None:
    bench.unopened = AuditUnavailable("the disk is full")
    bench.fire(lambda _: 0)
    bench.fire(lambda _: 0)
    bench.unopened = None
    bench.fire(lambda _: 0)

    assert loud(lines()) == [("error", IN_TROUBLE), ("info", "Job runs again")]


def test_nothing_begins_once_it_was_asked_to_stop(bench: Bench) -> None:
    bench.stop.set()
    bench.fire(lambda _: 0)

    assert bench.runner.counts == {}


def test_an_outage_of_many_runs_is_two_lines_and_its_end_one(bench: Bench, lines: Any) -> None:
    """The main job: its own "Run aborted" is not repeated either."""
    bench.world.lms.down = ServiceUnavailable("down")
    for _ in range(12):
        bench.fire(reconcile_enrollments.run)
    outage = loud(lines())
    bench.world.lms.down = None
    bench.fire(reconcile_enrollments.run)
    after = loud(lines())

    assert outage == [("warning", "Run aborted"), ("error", IN_TROUBLE)]
    assert after == [("info", "Run completed"), ("info", "Job runs again")]


def test_the_main_job_raises_what_ended_its_run() -> None:
    world = World([order("e1")])
    app = App(SETTINGS, world.ports, stop=threading.Event(), resources=ExitStack(), alerts=no_alerts())
    assert reconcile_enrollments.run(app) == 0

    world.lms.down = ServiceUnavailable("down")
    with pytest.raises(ServiceUnavailable):
        reconcile_enrollments.run(app)


def test_the_commands_code_of_what_is_raised_is_the_runs_own() -> None:
    from reconcile.cli.errors import code_of

    assert code_of(TooManyEnrolls("too many")) == 1
