"""A Frappe LMS to try things on: `FrappeStandIn` in this process, or `python -m` as its own.

It follows what was measured on a real one (FRAPPE.md), connections included: keep-alive, one thread
for each, an answer or what a fault makes of it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from reconcile.sandbox.lms.admin import PREFIX, Admin
from reconcile.sandbox.lms.answers import Answer, gunicorn
from reconcile.sandbox.lms.api import Api
from reconcile.sandbox.lms.calls import Call, Calls, describe
from reconcile.sandbox.lms.faults import Fault, Faults, spoilt
from reconcile.sandbox.lms.request import Request
from reconcile.sandbox.lms.site import Site, default_site, read_site

#: gunicorn's limit_request_line (FRAPPE 3.3).
_MAX_LINE = 4094
#: It stops reading there, and says so many (03_get_in_1000).
_SEEN = 8192
#: How long an unanswered connection is held after a late write.
_HELD = 60.0
_POLL = 0.05
#: How long to wait for a thread that is still answering when the port has closed.
_PARTING = 2.0
#: Faults after which the connection closes without a word.
_UNANSWERED = ("timeout_before", "late_write", "cut_before", "cut_after_write")


class FrappeStandIn(ThreadingHTTPServer):
    """A Frappe LMS on a local port; a context manager. `site` may be changed while it serves."""

    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    def __init__(self, site: Site | None = None, *, port: int = 0, host: str = "127.0.0.1") -> None:
        """Port 0 takes a free one. The port is bound here, and served from `start` on."""
        self.site = site or default_site()
        self.faults = Faults()
        self.calls = Calls()
        self.api = Api(self.site)
        self.admin = Admin(self.site, faults=self.faults, calls=self.calls)
        self.stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def counters(self) -> Counter[str]:
        """Requests by operation."""
        return self.calls.counters()

    @property
    def log(self) -> list[Call]:
        """The requests, in the order in which they arrived."""
        return self.calls.log()

    def start(self) -> Self:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(
            target=self.serve_forever, args=[_POLL], name="frappe-stand-in", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection; requests that hang are dropped."""
        self.stopping.set()
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
            self._thread = None
        self.server_close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        # The threads close their own ends.
        deadline = time.monotonic() + _PARTING
        while self._open and time.monotonic() < deadline:
            time.sleep(0.001)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def server_bind(self) -> None:
        """Bind without asking the resolver for a name, as HTTPServer would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that `stop` finds it."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no news; anything else is printed."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FrappeStandIn

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
        if self.path.startswith(PREFIX):
            self._send(self.server.admin.answer(request))
            return
        call = describe(request)
        self.server.calls.note(call)
        fault = self.server.faults.take(call)
        if fault is None:
            self._send(self.server.api.answer(request))
        else:
            self._spoil(fault, request)

    def _spoil(self, fault: Fault, request: Request) -> None:
        """Let a fault have it: no answer, a late one, or another one."""
        api, kind, delay = self.server.api, fault.kind, fault.delay
        done = api.answer(request) if kind.endswith("_after_write") else None
        if kind == "late_write":
            threading.Thread(target=self._write_late, args=[delay, request], daemon=True).start()
            delay += _HELD
        here = kind in ("cut_before", "cut_after_write") or self._wait(delay)
        if here and kind not in _UNANSWERED:
            self._send(done or spoilt(fault, request, api))
        else:
            self.close_connection = True

    def _write_late(self, delay: float, request: Request) -> None:
        if not self.server.stopping.wait(delay):
            self.server.api.answer(request)

    def _wait(self, seconds: float) -> bool:
        """Wait; False as soon as the stand-in stops or the caller has gone."""
        while seconds > 0:
            if self.server.stopping.wait(min(seconds, _POLL)) or self._gone():
                return False
            seconds -= _POLL
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


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM, or until the parent dies; prints `ready URL` when it listens."""
    parser = argparse.ArgumentParser(prog="python -m reconcile.sandbox.lms.server", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, help="JSON with users, courses, enrollments and switches")
    options = parser.parse_args(argv)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    if sys.platform == "linux":
        # PR_SET_PDEATHSIG: the kernel sends SIGTERM when the parent ends.
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)
    site = read_site(options.state.read_text("utf-8")) if options.state else default_site()
    with FrappeStandIn(site, port=options.port, host=options.host) as stand_in:
        sys.stdout.write(f"ready {stand_in.url}\n")
        sys.stdout.flush()
        done.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
