"""smtplib's connections under a watch: none of them outlives its time, however slowly a server drips."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
import time
from types import TracebackType
from typing import Any, Self

#: Seconds between two looks, and that a conversation may still take after the process was asked to stop.
_TICK, _AFTER_STOP = 0.1, 5.0


class Watch:
    """Cuts the connection it guards when its time is up, or soon after `stop`. A context manager.

    A socket's time-out begins anew with every byte; this one does not. A cut connection fails in
    whoever waits for it, as one that the server has closed.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._over = threading.Event()
        self._deadline = float("inf")
        self._guarded: smtplib.SMTP | None = None
        self._thread = threading.Thread(target=self._watch, name="smtp-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def allow(self, seconds: float) -> None:
        """From now on, so long."""
        self._deadline = time.monotonic() + seconds

    def guard(self, smtp: smtplib.SMTP) -> None:
        """Watch this connection, from before it is made."""
        self._guarded = smtp

    def _watch(self) -> None:
        asked_at: float | None = None
        while not self._over.wait(_TICK):
            now = time.monotonic()
            if asked_at is None and self._stop.is_set():
                asked_at = now
            late = now >= self._deadline or (asked_at is not None and now >= asked_at + _AFTER_STOP)
            if late and self._cut():
                return

    def _cut(self) -> bool:
        """Shut the socket down; False where there is none yet."""
        sock: socket.socket | None = getattr(self._guarded, "sock", None)
        if sock is None:
            return False
        try:
            # On the plain socket: a TLS one would be changed under the thread that reads from it.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            return True  # it is gone already
        return True


class Plain(smtplib.SMTP):
    """SMTP, to be secured by STARTTLS."""

    def __init__(self, watch: Watch, host: str, port: int, *, timeout: float) -> None:
        self._watch = watch
        super().__init__(host, port, local_hostname=_own_name(), timeout=timeout)

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> Any:
        """As the library's, watched from its first byte."""
        self._watch.guard(self)
        return super().connect(host, port, source_address)


class ImplicitTls(smtplib.SMTP_SSL):
    """SMTP over TLS from its first byte."""

    def __init__(
        self, watch: Watch, host: str, port: int, *, timeout: float, context: ssl.SSLContext
    ) -> None:
        self._watch = watch
        super().__init__(host, port, local_hostname=_own_name(), timeout=timeout, context=context)

    def connect(self, host: str = "localhost", port: int = 0, source_address: Any = None) -> Any:
        """As the library's, watched from its first byte."""
        self._watch.guard(self)
        return super().connect(host, port, source_address)


Conversation = Plain | ImplicitTls


def _own_name() -> str:
    """How we introduce ourselves, without asking a name server, which may take its time."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"
