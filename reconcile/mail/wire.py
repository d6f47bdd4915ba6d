"""smtplib's connections under a watch: none of them outlives its time, however slowly a server drips."""

from __future__ import annotations

import smtplib
import socket
import threading
import time
from typing import Any

from reconcile.base.repeating import Repeating

#: Seconds between two looks, and that a conversation may still take after the process was asked to stop.
_TICK, _AFTER_STOP = 0.1, 5.0


class Watch(Repeating):
    """Cuts the connection it guards when its time is up, or soon after `stop`. A context manager.

    A socket's time-out begins anew with every byte; this one does not. A cut connection fails in
    whoever waits for it, as one that the server has closed.
    """

    def __init__(self, stop: threading.Event) -> None:
        super().__init__(self._look, every=_TICK, name="smtp-watch")
        self._stop = stop
        self._asked_at: float | None = None
        self._deadline = float("inf")
        self._guarded: smtplib.SMTP | None = None

    def allow(self, seconds: float) -> None:
        """From now on, so long."""
        self._deadline = time.monotonic() + seconds

    def guard(self, smtp: smtplib.SMTP) -> None:
        """Watch this connection, from before it is made."""
        self._guarded = smtp

    def _look(self) -> None:
        now = time.monotonic()
        if self._asked_at is None and self._stop.is_set():
            self._asked_at = now
        late = now >= self._deadline or (self._asked_at is not None and now >= self._asked_at + _AFTER_STOP)
        sock: socket.socket | None = getattr(self._guarded, "sock", None)
        if not late or sock is None:
            return
        try:
            # On the plain socket: a TLS one would be changed under the thread that reads from it.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            return  # it is gone already


class Conversation(smtplib.SMTP):
    """The library's SMTP, watched; to be secured by STARTTLS."""

    def __init__(self, watch: Watch, host: str, port: int, **options: Any) -> None:
        self._watch = watch
        super().__init__(host, port, local_hostname=_own_name(), **options)

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> Any:
        """As the library's, watched from its first byte."""
        self._watch.guard(self)
        return super().connect(host, port, source_address)


class ImplicitTls(Conversation, smtplib.SMTP_SSL):
    """The same over TLS from its first byte."""


def _own_name() -> str:
    """How we introduce ourselves, without asking a name server, which may take its time."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"
