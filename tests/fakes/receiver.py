"""A real HTTP server that takes messages and pings: well, badly, slowly, or not at all."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Got:
    """One request."""

    method: str
    path: str
    body: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def title(self) -> str:
        """What Apprise's json:// sends as the title."""
        return str(self.json["title"])

    @property
    def message(self) -> str:
        return str(self.json["message"])


@dataclass
class Receiver:
    """Listens on a port of its own. `status` is the answer; `hangs` keeps everybody waiting."""

    status: int = 200
    hangs: bool = False
    drips: bool = False
    only: str | None = None  #: another method than this one is answered with 405
    got: list[Got] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def titles(self) -> list[str]:
        return [each.title for each in self.got]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805  the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                receiver.got.append(Got(method=self.command, path=self.path, body=body))
                if receiver.hangs:
                    receiver._over.wait(30)
                    return
                if receiver.drips:
                    self._drip()
                    return
                wrong = receiver.only is not None and self.command != receiver.only
                self.send_response(405 if wrong else receiver.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"OK")

            do_GET = do_POST  # noqa: N815  the library's name

            def _drip(self) -> None:
                """One byte of the answer's head at a time: no time-out between two bytes ends that."""
                for letter in b"HTTP/1.1 200 OK\r\n" + b"X" * 10_000:
                    if receiver._over.wait(0.1):
                        return
                    try:
                        self.wfile.write(bytes([letter]))
                        self.wfile.flush()
                    except OSError:
                        return

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's signature
                """Say nothing."""

        return Handler


def closed_port() -> int:
    """A port that nobody listens on."""
    with Receiver() as receiver:
        return receiver.port
