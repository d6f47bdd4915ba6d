"""The settings of what is told to people and to whoever watches over the runs.

Messages never hold a URL: it holds the tokens that let anybody write into the channel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, SecretStr

from reconcile.settings.rules import Seconds, is_host, is_loopback, setting

#: The settings whose parts are tokens (`secret_parts`).
NAMES = frozenset({"RECONCILE_ALERT_URLS", "RECONCILE_PING_URL"})

_IN_THE_CLEAR = "or whoever listens can ping in your place (RECONCILE_ALLOW_HTTP=1 permits http://)"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
#: Between two URLs; a comma inside one (several recipients) is followed by no scheme.
_BETWEEN = re.compile(r"[\s,]+(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_PIECES = re.compile(r"[/:@?&=#,;\s]+")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)+\.?")
#: A word in a URL that is so long, or so long with a digit in it, is taken for a token.
_LONG, _LONG_WITH_DIGIT = 20, 8


def split_urls(value: str) -> list[str]:
    """The URLs in a text, separated by blanks, line breaks or commas."""
    return [url.rstrip(", \t\r\n") for url in _BETWEEN.split(value.strip(" ,\t\r\n")) if url.strip(", ")]


def check_alert_urls(value: str) -> str:
    """Apprise URLs, as far as can be told without Apprise. Raises ValueError naming every problem."""
    problems = [f"the {nth(place)} {problem}" for place, problem in _problems(split_urls(value))]
    if problems:
        raise ValueError(
            f"{'; '.join(problems)}; write Apprise URLs such as mailto://… or slack://…, "
            "with blanks or commas between"
        )
    return value


def _problems(urls: list[str]) -> Iterator[tuple[int, str]]:
    for place, url in enumerate(urls, 1):
        scheme = _SCHEME.match(url)
        if scheme is None:
            yield place, "is no URL"
        elif not url[scheme.end() :].strip("/"):
            yield place, "names nothing after its scheme"
        elif re.search(r"\s", url):
            yield place, "has a blank in it (is something between two URLs no URL?)"


def nth(place: int) -> str:
    """`1st`, `2nd`, `3rd`, `4th`, …"""
    suffix = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{suffix}"


def check_ping_url(value: str) -> str:
    """A web address. Raises ValueError."""
    text = value.strip()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or parts.scheme not in ("http", "https") or not is_host(host) or port == 0:
        raise ValueError("must be a web address such as https://hc-ping.com/your-uuid")
    if parts.fragment or not text.isprintable() or " " in text:
        raise ValueError("must be a web address without blanks and without a #")
    return text


def ping_problems(url: str, *, allow_http: bool) -> list[str]:
    """What is wrong with the address of the ping, taken together with the other settings."""
    parts = urlsplit(url)
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname or ""):
        return [f"RECONCILE_PING_URL: must be https://, {_IN_THE_CLEAR}"]
    return []


def secret_parts(value: str) -> Iterator[str]:
    """What of such a value must never be shown: each URL, and whatever in it looks like a token."""
    for url in split_urls(value):
        _, separator, rest = url.partition("://")
        if not separator:
            continue
        yield url
        yield rest.rstrip("/")
        # What an HTTP library says of a failed request is the path alone.
        path = "/" + rest.partition("/")[2].partition("?")[0].rstrip("/")
        if len(path) >= _LONG_WITH_DIGIT:
            yield path
        for piece in _PIECES.split(rest):
            if _is_token(piece):
                yield piece
                yield unquote(piece)
        login = rest.partition("/")[0].rpartition("@")[0]
        if login:
            yield login
            yield unquote(login.partition(":")[2])


def _is_token(piece: str) -> bool:
    if _HOST.fullmatch(piece):
        return False
    has_digit = any(letter.isdigit() for letter in piece)
    return len(piece) >= (_LONG_WITH_DIGIT if has_digit else _LONG)


class AlertSettings(BaseModel):
    """Who is told, and from when on a learner waits too long."""

    alert_urls: Annotated[SecretStr, BeforeValidator(check_alert_urls)] = setting(
        "RECONCILE_ALERT_URLS",
        SecretStr(""),
        "Who is told of trouble: Apprise URLs, blanks or commas between.",
    )
    alert_age: Seconds = setting(
        "RECONCILE_ALERT_AGE", 3600.0, "Who waits longer for access is an alert.", unit="duration", gt=0
    )
    ping_url: Annotated[SecretStr, BeforeValidator(check_ping_url)] = setting(
        "RECONCILE_PING_URL", SecretStr(""), "Called after each good run, with /fail after a bad one."
    )

    @property
    def alert_url_list(self) -> list[SecretStr]:
        """The Apprise URLs, one by one."""
        return [SecretStr(url) for url in split_urls(self.alert_urls.get_secret_value())]
