"""A small HTTP listener: a few pages, one short request for each connection. Knows nothing of what they say.

Whoever can reach the port may ask; nobody can hold it up. A connection gets `DEADLINE` seconds, drip or
not; there are `MOST` at once; a page that takes long takes only its own connection's time.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from reconcile.base import log
from reconcile.base.errors import ConfigurationError

_log = log.get_logger(__name__)

#: Seconds for one connection, from its first byte to its last.
DEADLINE = 15.0
#: Seconds of silence of a client that should be sending, or reading.
_SILENCE = 5.0
#: Connections at once.
MOST = 32
_POLL = 0.25
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Page:
    """An answer."""

    body: bytes
    status: int = 200
    content_type: str = _TEXT


#: Makes a page; told the request's Accept header.
Source = Callable[[str], Page]


class Listener:
    """Serves pages by path, in threads of its own, from `start` to `stop`."""

    def __init__(self, address: tuple[str, int], pages: Mapping[str, Source]) -> None:
        """Bind the address; port 0 is any free one. Raises ConfigurationError where it cannot be had."""
        self._server = _bound(address, pages)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        host, port = self._server.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{shown}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        serve = {"poll_interval": _POLL}
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs=serve, name="listener", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Free the port. Does not wait for clients. May be repeated."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.server_close()


def _bound(address: tuple[str, int], pages: Mapping[str, Source]) -> _Server:
    host, port = address
    try:
        return _Server((host, port), pages)
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            [f"RECONCILE_HTTP: cannot listen on {host} port {port} ({why})"],
            hint="Is another scheduler running here? Choose another port, or RECONCILE_HTTP=off.",
        ) from error


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], pages: Mapping[str, Source]) -> None:
        self.pages = pages
        self._lock = threading.Lock()
        self._until: dict[Any, float] = {}
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: it asks DNS for the host's name, which may take long, and nobody needs it.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "reconcile", int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a connection, unless there are too many."""
        with self._lock:
            is_full = len(self._until) >= MOST
            if not is_full:
                self._until[request] = time.monotonic() + DEADLINE
        if is_full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._lock:
            self._until.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Between two connections: end those that take too long. Their threads notice and close them."""
        now = time.monotonic()
        with self._lock:
            overdue = [request for request, until in self._until.items() if until < now]
        for request in overdue:
            try:
                request.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it has ended meanwhile

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  the library's signature
        """A connection broke: nobody needs to know, and the default would print a traceback."""
        _log.debug("A connection to the listener broke")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SILENCE

    def do_GET(self) -> None:
        """Answer with the page."""
        self._send(self._page())

    def do_HEAD(self) -> None:
        """Answer as GET, without the body."""
        self._send(self._page())

    def __getattr__(self, name: str) -> Any:
        # The library looks for do_METHOD; every other method has the same answer.
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def _refuse(self) -> None:
        page = Page(body=b"only GET and HEAD are answered here\n", status=HTTPStatus.METHOD_NOT_ALLOWED)
        self._send(page, Allow="GET, HEAD")

    def _page(self) -> Page:
        source = self.server.pages.get(self.path.partition("?")[0])
        if source is None:
            there_are = ", ".join(sorted(self.server.pages))
            return Page(body=f"not found; there are {there_are}\n".encode(), status=HTTPStatus.NOT_FOUND)
        try:
            return source(self.headers.get("Accept") or "")
        except Exception as error:  # noqa: BLE001  a page that breaks must not take the listener with it
            _log.error("A page of the listener is broken", error=f"{type(error).__name__}: {error}")
            return Page(body=b"internal error, see the log\n", status=HTTPStatus.INTERNAL_SERVER_ERROR)

    def _send(self, page: Page, **headers: str) -> None:
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the library itself refuses (no HTTP, too long): plain text that repeats nothing of it."""
        # Of a request that could not be read the library assumes HTTP/0.9, which has no status line.
        self.request_version = "HTTP/1.0"
        self._send(Page(body=f"{HTTPStatus(code).phrase}\n".encode(), status=code))

    def version_string(self) -> str:
        """The Server header: which Python this is concerns nobody."""
        return "reconcile"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's signature
        """Nothing: probes come every few seconds."""
