"""The scheduler's pulse, and what is said of it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from reconcile.jobs import watching
from reconcile.jobs.readiness import Found
from reconcile.jobs.watching import Watching
from reconcile.settings import Settings
from tests.fakes.harness import World

ENVIRON = {
    "MONGODB_URI": "mongodb://localhost/shop",
    "FRAPPE_LMS_BASE_URL": "https://lms.example.com",
    "RECONCILE_HTTP": "127.0.0.1:0",
}


class Looks:
    """When the scheduler has last looked for due jobs."""

    last = 0.0


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watching]:
    """A process that is watched; nothing outside is looked at."""
    monkeypatch.setattr(Watching, "_first_look", lambda *_: None)
    settings = Settings.load(ENVIRON, env_file=None)
    subject = Watching(settings, stop=World().stop, looked_at=lambda: Looks.last)
    monkeypatch.setattr(subject._readiness, "look", lambda: {"lms": Found(ok=True, detail="answers")})
    with subject:
        yield subject


def ask(subject: Watching, path: str) -> tuple[int, str]:
    assert subject._listener is not None
    try:
        with urllib.request.urlopen(subject._listener.url + path, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_without_a_tick_it_is_not_alive(watched: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(watched, "/healthz")[0] == 200
    assert ask(watched, "/readyz")[0] == 200

    long_ago = time.monotonic() - watching.LONGEST_SILENCE - 1
    monkeypatch.setattr(watched, "_began_at", long_ago)
    monkeypatch.setattr(Looks, "last", long_ago)
    assert ask(watched, "/healthz") == (503, "stuck: last tick 61 s ago\n")
    status, body = ask(watched, "/readyz")
    assert (status, json.loads(body)["checks"]["scheduler"]["ok"]) == (503, False)

    monkeypatch.setattr(Looks, "last", time.monotonic())
    assert ask(watched, "/healthz")[0] == 200


def test_who_drains_is_alive_and_not_ready(watched: Watching) -> None:
    watched._stop.set()

    assert ask(watched, "/healthz")[0] == 200
    status, body = ask(watched, "/readyz")
    assert (status, json.loads(body)["checks"]["scheduler"]["detail"]) == (503, "it is stopping")


def test_what_becomes_of_jobs_is_counted(watched: Watching) -> None:
    watched.job_event("reconcile_enrollments", "done")
    watched.job_event("reconcile_enrollments", "error")
    watched.run_broke()

    text = ask(watched, "/metrics")[1]
    assert 'reconcile_job_events_total{event="done",job="reconcile_enrollments"} 1.0' in text
    assert 'reconcile_runs_total{status="aborted"} 1.0' in text


def test_another_address_takes_a_restart(watched: Watching, caplog: pytest.LogCaptureFixture) -> None:
    assert watched._listener is not None
    before = watched._listener.url
    watched.reload(Settings.load(ENVIRON | {"RECONCILE_HTTP": "127.0.0.1:1"}, env_file=None))

    assert "that takes a restart" in caplog.text
    assert watched._listener.url == before


@pytest.mark.parametrize(
    ("schedule", "warned"),
    [("*/5 * * * *", False), ("0 * * * *", True), ("*/10 6-23 * * *", False), ("off", False)],
)
def test_a_schedule_that_pauses_too_long_for_readyz_is_told(
    schedule: str, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Watching, "_first_look", lambda *_: None)
    settings = Settings.load(ENVIRON | {"RECONCILE_SCHEDULE": schedule}, env_file=None)
    with Watching(settings, stop=World().stop, looked_at=lambda: 0.0):
        pass

    assert ("RECONCILE_READY_AGE is shorter" in caplog.text) == warned


def test_off_is_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("somebody listens")

    monkeypatch.setattr(watching, "Listener", never)
    settings = Settings.load(ENVIRON | {"RECONCILE_HTTP": "off"}, env_file=None)
    with Watching(settings, stop=World().stop, looked_at=lambda: 0.0) as subject:
        subject.job_event("reconcile_enrollments", "done")

        assert subject.metrics is None
