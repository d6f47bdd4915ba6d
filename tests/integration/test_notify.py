"""Messages over Apprise and pings over HTTP, against a real receiver in every mood."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator

import pytest

from reconcile.alerts.notify import AppriseNotifier, Level, LogNotifier
from reconcile.alerts.pinging import HttpPinger, failing
from reconcile.base import log
from reconcile.base.errors import ConfigurationError, NotificationFailed
from reconcile.base.redaction import forget_secrets
from reconcile.settings import Settings
from tests.fakes.receiver import Receiver, closed_port

TOKEN = "t0ken-that-nobody-may-see"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def json_url(port: int) -> str:
    return f"json://user:pa55w0rd@127.0.0.1:{port}/{TOKEN}"


# --- messages ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", Level)
def test_a_message_arrives_with_its_level(receiver: Receiver, level: Level) -> None:
    AppriseNotifier([json_url(receiver.port)]).notify(title="A title", body="One\nTwo <b>", level=level)

    (got,) = receiver.got
    assert got.path == f"/{TOKEN}"
    assert (got.title, got.message, got.json["type"]) == ("A title", "One\nTwo <b>", level.value)


def test_a_place_that_does_not_take_it(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    receiver.status = 500
    places = {
        "answers 500": json_url(receiver.port),
        "nobody there": json_url(closed_port()),
    }
    for url in places.values():
        with caplog.at_level(logging.DEBUG), pytest.raises(NotificationFailed) as caught:
            AppriseNotifier([url]).notify(title="t", body="b")

        assert "URL number 1 (JSON): not taken" in str(caught.value)
        assert TOKEN not in str(caught.value)
        assert "pa55w0rd" not in str(caught.value)


@pytest.mark.parametrize("mood", ["hangs", "drips"])
def test_a_place_that_hangs_is_waited_for_in_bounded_time(receiver: Receiver, mood: str) -> None:
    setattr(receiver, mood, True)
    started = time.monotonic()

    with pytest.raises(NotificationFailed, match=r"not done within 0\.5 s"):
        AppriseNotifier([json_url(receiver.port)], patience=0.5).notify(title="t", body="b")

    assert time.monotonic() - started < 10


def test_a_plugin_that_breaks_is_a_place_that_does_not_take_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = AppriseNotifier([json_url(receiver.port)])
    monkeypatch.setattr(notifier._places[0], "notify", lambda **_: 1 / 0)

    with pytest.raises(NotificationFailed, match="ZeroDivisionError"):
        notifier.notify(title="t", body="b")


def test_one_place_of_several_is_enough(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    notifier = AppriseNotifier([json_url(closed_port()), json_url(receiver.port)])

    notifier.notify(title="t", body="b")

    assert len(receiver.got) == 1
    assert "did not reach one of the places" in caplog.text
    assert "URL number 1" in caplog.text


def test_every_url_that_apprise_cannot_use_is_named_without_being_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        AppriseNotifier([f"slak://{TOKEN}", "json://127.0.0.1/x", f"slack://{TOKEN}"])

    assert [problem[:60] for problem in caught.value.problems] == [
        "RECONCILE_ALERT_URLS: Apprise cannot use URL number 1 (slak:",
        "RECONCILE_ALERT_URLS: Apprise cannot use URL number 3 (slack",
    ]
    assert TOKEN not in str(caught.value)


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconcile.alerts.notify.find_spec", lambda _: None)

    with pytest.raises(ConfigurationError, match="needs the Python package apprise") as caught:
        AppriseNotifier(["json://127.0.0.1/x"])

    assert caught.value.hint == "pip install 'frappe-reconcile[alerts]'"


def test_without_urls_a_message_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "reconcile")

    LogNotifier().notify(title="Digest", body="All well")

    assert "Digest" in caplog.text


def test_nothing_of_a_url_is_logged_by_anybody(
    receiver: Receiver, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """As an operator sees it: our log and the libraries', at the level that tells most."""
    receiver.status = 500
    ping = f"http://127.0.0.1:{closed_port()}/{TOKEN}?key={TOKEN}"
    settings = Settings.load(
        {
            "MONGODB_URI": "mongodb://h/x",
            "FRAPPE_LMS_BASE_URL": "https://h",
            "RECONCILE_ALERT_URLS": f"{json_url(receiver.port)}, {json_url(closed_port())}",
            "RECONCILE_PING_URL": ping,
        },
        env_file=None,
    )
    log.configure("debug", "json", stream=sys.stderr)
    try:
        logging.getLogger().setLevel(logging.DEBUG)
        notifier = AppriseNotifier([url.get_secret_value() for url in settings.alert_url_list])
        with pytest.raises(NotificationFailed):
            notifier.notify(title="t", body="b")
        HttpPinger(settings.ping_url.get_secret_value()).ping(failed=True, text="x")
        said = capsys.readouterr().err
    finally:
        log.configure("info", "text")
        logging.getLogger().setLevel(logging.WARNING)
        forget_secrets()

    assert "The ping was not taken" in said
    assert TOKEN not in said
    assert "pa55w0rd" not in said
    assert TOKEN not in repr(settings)


# --- pings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/uuid", "/uuid/fail"),
        ("/uuid/", "/uuid/fail"),
        ("/ping/key/slug?create=1&x=y", "/ping/key/slug/fail?create=1&x=y"),
        ("", "/fail"),
        ("?x=y", "/fail?x=y"),
    ],
)
def test_a_ping_and_a_failing_one(receiver: Receiver, url: str, path: str) -> None:
    pinger = HttpPinger(f"http://127.0.0.1:{receiver.port}{url}")

    pinger.ping(failed=False, text="completed")
    pinger.ping(failed=True, text="aborted: blind")

    good, bad = receiver.got
    assert (good.method, good.body) == ("POST", "completed")
    assert good.path == (url if url.startswith("/") else f"/{url}")
    assert (bad.method, bad.path, bad.body) == ("POST", path, "aborted: blind")


def test_the_failing_address_keeps_everything_else() -> None:
    assert failing("https://u:p@h.example:8443/a/b?x=y") == "https://u:p@h.example:8443/a/b/fail?x=y"


def test_a_ping_that_is_not_taken_is_tried_twice_and_told_once(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 500

    HttpPinger(f"http://127.0.0.1:{receiver.port}/{TOKEN}").ping(failed=False, text="x")

    assert len(receiver.got) == 2
    assert caplog.text.count("The ping was not taken") == 1
    assert "answered with 500" in caplog.text
    assert TOKEN not in caplog.text


def test_a_service_that_wants_to_be_asked_is_asked(receiver: Receiver) -> None:
    receiver.only = "GET"

    HttpPinger(f"http://127.0.0.1:{receiver.port}/x").ping(failed=False, text="x")

    assert [got.method for got in receiver.got] == ["POST", "GET"]


@pytest.mark.parametrize("mood", ["hangs", "drips"])
def test_a_ping_takes_bounded_time(receiver: Receiver, mood: str, caplog: pytest.LogCaptureFixture) -> None:
    setattr(receiver, mood, True)
    started = time.monotonic()

    HttpPinger(f"http://127.0.0.1:{receiver.port}/x", timeout=0.5).ping(failed=False, text="x")

    assert time.monotonic() - started < 10
    assert "not taken" in caplog.text


def test_nobody_there_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    HttpPinger(f"http://127.0.0.1:{closed_port()}/{TOKEN}").ping(failed=False, text="x")

    assert "ConnectionError" in caplog.text
    assert TOKEN not in caplog.text
