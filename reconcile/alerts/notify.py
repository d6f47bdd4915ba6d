"""Notifiers: Apprise, which knows a hundred services by URL, and the log where no URL is set.

Apprise is an extra and imported here only. Its URLs hold tokens: none is ever part of a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from reconcile.base import log
from reconcile.base.bounded import TookTooLong, within
from reconcile.base.errors import ConfigurationError, NotificationFailed
from reconcile.base.redaction import redact

if TYPE_CHECKING:
    from apprise import NotifyBase

_log = log.get_logger(__name__)

#: Seconds for one message, all its places together.
PATIENCE = 15.0
_SETTING = "RECONCILE_ALERT_URLS"
_HINT = "Names of services and the form of their URLs: https://github.com/caronc/apprise/wiki"


class Level(StrEnum):
    """How loud a message is, in the words of those who pass it on."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


class Notifier(Protocol):
    """Somebody who passes messages on to people."""

    def notify(self, *, title: str, body: str, level: Level = Level.INFO) -> None:
        """Send one message: plain text, fit to be shown. Bounded in time.

        Returns when at least one of the places it goes to has taken it. Raises NotificationFailed.
        """
        ...


class LogNotifier:
    """Writes messages to the log: nobody else was named."""

    def notify(self, *, title: str, body: str, level: Level = Level.INFO) -> None:
        """Log it. Never raises."""
        _log.info("Notification", title=title, body=body, kind=level)


class AppriseNotifier:
    """Sends messages to every URL; one that takes them is enough."""

    def __init__(self, urls: Sequence[str], *, patience: float | None = None) -> None:
        """Raises ConfigurationError: Apprise is missing, or does not know a URL; all of them named."""
        if find_spec("apprise") is None:
            raise ConfigurationError(
                [f"{_SETTING} needs the Python package apprise"],
                hint="pip install 'frappe-reconcile[alerts]'",
            )
        self._places = _places(urls)
        self._patience = PATIENCE if patience is None else patience

    def notify(self, *, title: str, body: str, level: Level = Level.INFO) -> None:
        """Send it to each place. Raises NotificationFailed where none has taken it."""
        share = self._patience / len(self._places)
        problems = []
        for number, place in enumerate(self._places, 1):
            problem = _send(place, title=title, body=body, level=level, patience=share)
            if problem is not None:
                problems.append(f"{_name(place, number)}: {problem}")
        if len(problems) == len(self._places):
            raise NotificationFailed("; ".join(problems), hint=f"Check {_SETTING} and the service itself.")
        for each in problems:
            _log.warning("A message did not reach one of the places", place=each)


def _places(urls: Sequence[str]) -> list[NotifyBase]:
    from apprise import Apprise, AppriseAsset

    asset = AppriseAsset(app_id="reconcile", app_desc="reconcile", async_mode=False)
    places, problems = [], []
    for number, url in enumerate(urls, 1):
        place = Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if place is None:
            scheme = url.partition("://")[0][:12]
            problems.append(f"{_SETTING}: Apprise cannot use URL number {number} ({scheme}://…)")
        else:
            places.append(place)
    if problems:
        raise ConfigurationError(problems, hint=_HINT)
    return places


def _send(place: NotifyBase, *, title: str, body: str, level: Level, patience: float) -> str | None:
    """Why the place has not taken it; None where it has."""

    def notify() -> bool:
        return bool(place.notify(body=body, title=title, notify_type=level.value))

    try:
        return None if within(patience, notify, name="alert") else "not taken"
    except TookTooLong as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  a plugin may raise anything; a message must not end a run
        return redact(f"{type(error).__name__}: {error}")


def _name(place: NotifyBase, number: int) -> str:
    return f"URL number {number} ({place.service_name})"
