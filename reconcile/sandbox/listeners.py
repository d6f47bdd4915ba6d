"""Who is told, embedded: a mailbox that speaks SMTP, and a bell that takes alerts and pings over HTTP."""

from __future__ import annotations

import json
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from reconcile.sandbox.mongo.server import SandboxUnavailable, free_port

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """Takes every mail, for whomever. A context manager."""

    def __init__(self) -> None:
        """Raises SandboxUnavailable where aiosmtpd is not installed."""
        try:
            from aiosmtpd.controller import Controller
        except ModuleNotFoundError as error:
            raise SandboxUnavailable(
                "the embedded mailbox needs aiosmtpd: install the extra `demo`"
            ) from error
        #: To whom, and the subject.
        self.mails: list[tuple[str, str]] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())

    @property
    def url(self) -> str:
        """For RECONCILE_SMTP_URL."""
        return f"smtp://127.0.0.1:{self._controller.port}"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        """Keep one mail; the library calls it by this name."""
        raw = envelope.content
        message = message_from_bytes(raw if isinstance(raw, bytes) else b"", policy=policy.default)
        self.mails += [(address, str(message["Subject"])) for address in envelope.rcpt_tos]
        return "250 taken"


class Bell:
    """Takes what Apprise's `json://` sends, and pings. A context manager."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.pings: list[str] = []  #: their paths
        bell = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                bell.take(self.path, self.rfile.read(length))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05], daemon=True)

    def take(self, path: str, body: bytes) -> None:
        """Keep one request."""
        if path.startswith("/ping"):
            self.pings.append(path)
        else:
            self.titles.append(str(json.loads(body)["title"]))

    @property
    def alert_url(self) -> str:
        """For RECONCILE_ALERT_URLS."""
        return f"json://127.0.0.1:{self._server.server_address[1]}/alerts"

    @property
    def ping_url(self) -> str:
        """For RECONCILE_PING_URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/ping"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
