"""The readiness checks: bounded in time, remembered for a moment, and nothing secret in what they say."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reconcile.base.errors import ServiceUnavailable
from reconcile.base.redaction import forget_secrets, register_secret
from reconcile.jobs import readiness
from reconcile.jobs.readiness import Check, Readiness
from reconcile.settings import Settings

SETTINGS = Settings.load(
    {
        "MONGODB_URI": "mongodb://localhost/shop",
        "FRAPPE_LMS_BASE_URL": "https://lms.example.com",
        "RECONCILE_SCHEDULE": "off",
    },
    env_file=None,
)


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    yield
    forget_secrets()


class Counting:
    """A check that counts its calls and does what it is told."""

    def __init__(self, *, says: str = "answers", raises: Exception | None = None) -> None:
        self.calls = 0
        self.may_end = threading.Event()
        self.may_end.set()
        self._says, self._raises = says, raises

    def __call__(self, settings: Settings, stop: threading.Event) -> str:
        self.calls += 1
        self.may_end.wait(30)
        if self._raises is not None:
            raise self._raises
        return self._says


def ready(**checks: Check) -> Readiness:
    return Readiness(SETTINGS, stop=threading.Event(), checks=checks)


def test_each_check_says_how_it_is() -> None:
    found = ready(good=Counting(), bad=Counting(raises=ServiceUnavailable("the LMS is down"))).look()

    assert list(found) == ["good", "bad"]
    assert (found["good"].ok, found["good"].detail) == (True, "answers")
    assert (found["bad"].ok, found["bad"].detail) == (False, "the LMS is down")


def test_a_bug_is_not_ready_either() -> None:
    found = ready(odd=Counting(raises=KeyError("x"))).look()

    assert (found["odd"].ok, found["odd"].detail) == (False, "KeyError: 'x'")


def test_nothing_secret_is_said() -> None:
    register_secret("s3cr3t-key")
    said = "s3cr3t-key of sam@example.com at mongodb://shop:pw@db/shop"
    found = ready(lms=Counting(raises=ServiceUnavailable(said)), bug=Counting(raises=ValueError(said))).look()

    for check in found.values():
        assert "s3cr3t-key" not in check.detail
        assert "sam@" not in check.detail
        assert "pw@" not in check.detail


def test_many_probes_are_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "KEEP", 60.0)
    check = Counting()
    subject = ready(lms=check)
    probes = [threading.Thread(target=subject.look) for _ in range(20)]
    for probe in probes:
        probe.start()
    for probe in probes:
        probe.join(30)

    assert check.calls == 1
    subject.forget()
    subject.look()
    assert check.calls == 2


def test_what_was_found_is_kept_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "KEEP", 0.0)
    check = Counting()
    subject = ready(lms=check)
    subject.look()
    subject.look()

    assert check.calls == 2


def test_a_check_that_hangs_is_waited_for_so_long_and_not_begun_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness, "PATIENCE", 0.3)
    monkeypatch.setattr(readiness, "KEEP", 0.0)
    hanging, good = Counting(), Counting()
    hanging.may_end.clear()
    subject = ready(hanging=hanging, good=good)

    began = time.monotonic()
    found = subject.look()
    assert time.monotonic() - began < 10
    assert (found["hanging"].ok, found["hanging"].detail) == (False, "no answer within 0.3 s")
    assert found["good"].ok

    subject.look()
    assert (hanging.calls, good.calls) == (1, 2)

    hanging.may_end.set()
    deadline = time.monotonic() + 30
    while not subject.look()["hanging"].ok:
        assert time.monotonic() < deadline
    assert hanging.calls >= 2


def test_where_the_schedule_is_off_no_run_is_expected(tmp_path: Any) -> None:
    assert readiness.CHECKS["last_run"](SETTINGS, threading.Event()) == "RECONCILE_SCHEDULE is off"
