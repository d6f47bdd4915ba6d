"""A Frappe LMS to try things on: `FrappeStandIn` in this process, or `python -m` as its own.

It follows what was measured on a real one (FRAPPE.md), connections included: keep-alive, one thread
for each, an answer or none.
"""

from __future__ import annotations

import argparse
import ctypes
import signal
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from reconcile.sandbox.lms.admin import Admin
from reconcile.sandbox.lms.api import Api
from reconcile.sandbox.lms.calls import Calls, Logged
from reconcile.sandbox.lms.faults import Faults
from reconcile.sandbox.lms.http import POLL, Server
from reconcile.sandbox.lms.site import Site, default_site, read_site


class FrappeStandIn:
    """A Frappe LMS on a local port; a context manager. `site` may be changed while it serves."""

    def __init__(self, site: Site | None = None, *, port: int = 0, host: str = "127.0.0.1") -> None:
        """Port 0 takes a free one. The port is bound here, and served from `start` on."""
        self.site = site or default_site()
        self.faults = Faults()
        self.calls = Calls()
        self.api = Api(self.site)
        self.admin = Admin(self.site, faults=self.faults, calls=self.calls)
        self.stopping = threading.Event()
        self._server = Server((host, port), self)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def counters(self) -> Counter[str]:
        """Requests by operation."""
        return self.calls.counters()

    @property
    def log(self) -> list[Logged]:
        """The requests, in the order in which they arrived."""
        return self.calls.log()

    def start(self) -> FrappeStandIn:
        """Serve in a thread of its own."""
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": POLL}, name="frappe-stand-in"
        )
        thread.daemon = True
        thread.start()
        self._thread = thread
        return self

    def stop(self) -> None:
        """Close the port and every connection; requests that hang are dropped."""
        self.stopping.set()
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.close_all()

    def __enter__(self) -> FrappeStandIn:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()


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
    _die_with_parent()
    site = read_site(options.state.read_text("utf-8")) if options.state else default_site()
    with FrappeStandIn(site, port=options.port, host=options.host) as stand_in:
        sys.stdout.write(f"ready {stand_in.url}\n")
        sys.stdout.flush()
        done.wait()
    return 0


def _die_with_parent() -> None:
    """Have the kernel send SIGTERM when the parent ends (Linux: PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
