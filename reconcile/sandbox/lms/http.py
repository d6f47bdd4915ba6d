"""The stand-in's connections: keep-alive, one thread for each, an answer or what a fault makes of it."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from reconcile.sandbox.lms.admin import PREFIX
from reconcile.sandbox.lms.answers import Answer, Refusal, gunicorn, wants_json
from reconcile.sandbox.lms.calls import describe
from reconcile.sandbox.lms.enroll import APP
from reconcile.sandbox.lms.faults import Fault, faulty, unwrapped
from reconcile.sandbox.lms.request import CONFIRM, Request

if TYPE_CHECKING:
    from reconcile.sandbox.lms.server import FrappeStandIn

#: gunicorn's limit_request_line (FRAPPE 3.3).
_MAX_LINE = 4094
#: It stops reading there, and says so many (03_get_in_1000).
_SEEN = 8192
#: How long an unanswered connection is held after a late write.
_HELD = 60.0
POLL = 0.05
#: How long to wait for a thread that is still answering when the port has closed.
_PARTING = 2.0


class Server(ThreadingHTTPServer):
    """Listens for one stand-in."""

    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], stand_in: FrappeStandIn) -> None:
        self.stand_in = stand_in
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking the resolver for a name, as HTTPServer would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that `close_all` finds it."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        """Close the port and what is connected, and wait until the threads have closed their own ends."""
        self.server_close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _PARTING
        while self._open and time.monotonic() < deadline:
            time.sleep(0.001)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no news; anything else is printed."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def handle_one_request(self) -> None:
        """Read one request and answer it, unless a fault has it otherwise."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        size = len(self.raw_requestline.rstrip(b"\r\n"))
        if size > _MAX_LINE:
            self.command = "GET"
            # Read to the end of the headers: closing with input unread would reset the connection.
            while self.rfile.readline(65537) not in (b"\r\n", b"\n", b""):
                pass
            text = f"Request Line is too large ({min(size, _SEEN)} &gt; {_MAX_LINE})"
            self._send(gunicorn(400, "Bad Request", text))
            return
        if not self.parse_request():
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        size = int(headers.get("content-length") or 0)
        body = self.rfile.read(size)
        if len(body) < size:
            # The caller went away in the middle of its request: no worker ever sees that one.
            self.close_connection = True
            return
        request = Request(self.command, self.path, headers, body)
        stand_in = self.server.stand_in
        if self.path.startswith(PREFIX):
            self._send(stand_in.admin.answer(request))
            return
        call = describe(request)
        stand_in.calls.note(call)
        fault = stand_in.faults.take(call)
        if fault is None:
            self._send(stand_in.api.answer(request))
        else:
            self._spoil(fault, request)

    def _spoil(self, fault: Fault, request: Request) -> None:
        connection = _CONNECTION.get(fault.kind)
        if connection is not None:
            connection(self, fault, request)
            return
        api = self.server.stand_in.api
        if fault.delay:
            self._wait(fault.delay)
        if fault.kind == "not_wrapped":
            self._send(unwrapped(api.answer(request)))
            return
        method = request.segments[1:2] == ["method"] and request.version == "v1"
        wrapper = "message" if method else "data"
        source = APP if request.segments[1:3] == ["method", CONFIRM] else None
        answer = faulty(fault, wrapper=wrapper, as_json=wants_json(request.headers), source=source)
        self._send(api.refused(request, answer) if isinstance(answer, Refusal) else answer)

    def _slowly(self, fault: Fault, request: Request) -> None:
        if self._wait(fault.delay):
            self._send(self.server.stand_in.api.answer(request))

    def _hang(self, fault: Fault, request: Request) -> None:  # noqa: ARG002 - nothing is done with it
        self._wait(fault.delay)
        self.close_connection = True

    def _do_and_hang(self, fault: Fault, request: Request) -> None:
        answer = self.server.stand_in.api.answer(request)
        if self._wait(fault.delay):
            self._send(answer)

    def _do_late(self, fault: Fault, request: Request) -> None:
        stand_in = self.server.stand_in

        def write() -> None:
            if not stand_in.stopping.wait(fault.delay):
                stand_in.api.answer(request)

        threading.Thread(target=write, name="late-write", daemon=True).start()
        self._wait(fault.delay + _HELD)
        self.close_connection = True

    def _cut(self, fault: Fault, request: Request) -> None:
        if fault.kind == "cut_after_write":
            self.server.stand_in.api.answer(request)
        self.close_connection = True

    def _wait(self, seconds: float) -> bool:
        """Wait; False as soon as the stand-in stops or the caller has gone."""
        stopping = self.server.stand_in.stopping
        while seconds > 0:
            if stopping.wait(min(seconds, POLL)) or self._gone():
                self.close_connection = True
                return False
            seconds -= POLL
        return True

    def _gone(self) -> bool:
        try:
            waiting: bytes = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return not waiting
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _send(self, answer: Answer) -> None:
        """The whole answer at once."""
        if answer.close:
            self.close_connection = True
        reason = HTTPStatus(answer.status).phrase.upper()
        headers = [
            ("Server", "gunicorn"),
            ("Date", formatdate(usegmt=True)),
            ("Connection", "close" if self.close_connection else "keep-alive"),
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            *answer.headers,
        ]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        head = f"HTTP/1.1 {answer.status} {reason}\r\n{lines}\r\n".encode("latin-1")
        self.wfile.write(head if self.command == "HEAD" else head + answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the log is `Calls`."""


_CONNECTION: dict[str, Callable[[_Handler, Fault, Request], None]] = {
    "latency": _Handler._slowly,
    "timeout_before": _Handler._hang,
    "timeout_after_write": _Handler._do_and_hang,
    "late_write": _Handler._do_late,
    "cut_before": _Handler._cut,
    "cut_after_write": _Handler._cut,
}
