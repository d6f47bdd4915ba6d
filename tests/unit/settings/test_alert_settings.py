"""The addresses of alerts and pings: all problems named, none of them shown."""

from __future__ import annotations

import pytest

from reconcile.base.errors import ConfigurationError
from reconcile.base.redaction import redact
from reconcile.settings import Settings
from reconcile.settings.alerts import nth, split_urls

ENVIRON = {"MONGODB_URI": "mongodb://h/shop", "FRAPPE_LMS_BASE_URL": "https://lms.example.com"}
TOKEN = "t0kenABCDEF"


def load(**environ: str) -> Settings:
    return Settings.load(ENVIRON | environ, env_file=None)


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(**environ)
    assert TOKEN not in str(caught.value)
    return list(caught.value.problems)


def test_nobody_is_told_unless_asked() -> None:
    settings = load()

    assert settings.alert_url_list == []
    assert settings.ping_url.get_secret_value() == ""
    assert settings.alert_age == 3600


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        ("json://h/x", ["json://h/x"]),
        ("json://h/x ntfy://t", ["json://h/x", "ntfy://t"]),
        ("json://h/x,ntfy://t", ["json://h/x", "ntfy://t"]),
        (" json://h/x ,\n ntfy://t , ", ["json://h/x", "ntfy://t"]),
        ("mailto://u:p@h?to=a@b.c,d@e.f ntfy://t", ["mailto://u:p@h?to=a@b.c,d@e.f", "ntfy://t"]),
        (" , ", []),
    ],
)
def test_urls_are_separated_by_blanks_or_commas(value: str, urls: list[str]) -> None:
    assert split_urls(value) == urls


def test_every_url_that_is_wrong_is_named() -> None:
    (problem,) = problems(RECONCILE_ALERT_URLS=f"{TOKEN}, slack://, json://h/x, ntfy://a {TOKEN}")

    assert problem.startswith(
        "RECONCILE_ALERT_URLS: the 1st is no URL; the 2nd names nothing after its scheme; the 4th has a blank"
    )


@pytest.mark.parametrize(
    ("place", "word"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (112, "112th"), (21, "21st")],
)
def test_ordinals(place: int, word: str) -> None:
    assert nth(place) == word


@pytest.mark.parametrize("value", ["0s", "-1h", "soon"])
def test_an_age_that_is_none(value: str) -> None:
    assert problems(RECONCILE_ALERT_AGE=value)[0].startswith("RECONCILE_ALERT_AGE: must be")


@pytest.mark.parametrize(
    "url",
    [
        f"https://hc-ping.com/{TOKEN}",
        f"https://hc.example.com:8443/ping/{TOKEN}?create=1",
        f"http://127.0.0.1:8000/ping/{TOKEN}",
        f"http://localhost/{TOKEN}",
        f"http://[::1]/{TOKEN}",
    ],
)
def test_addresses_that_can_be_pinged(url: str) -> None:
    assert load(RECONCILE_PING_URL=f" {url}\n").ping_url.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        TOKEN,
        f"hc-ping.com/{TOKEN}",
        f"ftp://h/{TOKEN}",
        f"https:///{TOKEN}",
        f"https://h:0/{TOKEN}",
        f"https://h:x/{TOKEN}",
        f"https://h_!/{TOKEN}",
        f"https://[::1/{TOKEN}",
        f"https://h/{TOKEN}#x",
        f"https://h/a {TOKEN}",
    ],
)
def test_addresses_that_cannot(url: str) -> None:
    (problem,) = problems(RECONCILE_PING_URL=url)

    assert problem.startswith("RECONCILE_PING_URL: must be a web address")


def test_in_the_clear_only_where_it_is_permitted() -> None:
    (problem,) = problems(RECONCILE_PING_URL=f"http://hc.example.com/{TOKEN}")

    assert "RECONCILE_ALLOW_HTTP=1" in problem
    load(RECONCILE_PING_URL=f"http://hc.example.com/{TOKEN}", RECONCILE_ALLOW_HTTP="1")


def test_the_tokens_in_the_addresses_are_secrets() -> None:
    login = "mailto://user:pa55%20word@smtp.example.com"
    load(
        RECONCILE_ALERT_URLS=f"tgram://123456:{TOKEN}/4711 {login}",
        RECONCILE_PING_URL="https://hc-ping.com/8f2c1e/start-of-day",
    )

    said = redact(
        f"url: /8f2c1e/start-of-day {TOKEN} pa55 word user:pa55%20word; "
        "smtp.example.com at 127.0.0.1, heartbeat"
    )

    assert said == "url: *** *** *** ***; smtp.example.com at 127.0.0.1, heartbeat"


def test_secrets_that_cannot_be_used_are_secrets_nevertheless() -> None:
    problems(RECONCILE_ALERT_URLS=f"json://h/{TOKEN} slack://")

    assert redact(f"x {TOKEN}") == "x ***"
