"""One ordinary `reconcile run` in a process of its own, with a trap in it where the environment says.

Settings come from the environment, as for the real command. Beside them:
CRASH_AT    a point, such as `audit.begin_all:after:1`; without it the run is left in peace
CRASH_HOW   SIGKILL; SIGSTOP to be paused, or SIGTERM to be asked to end instead
CRASH_HOST  the host name to go by: the audit and the leases take this for another machine
CRASH_DRAIN seconds that a drain may take
CRASH_IN_FLIGHT  seconds by which fences outlast the hold; few, unless it says otherwise
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from pymongo import monitoring

# What a run imports on its way, imported at once: the fork server pays for it, its children do not.
from reconcile.app.build import build
from reconcile.base import log
from reconcile.cli import context
from reconcile.run import leases
from reconcile.run.reconciler import Reconciler
from reconcile.settings import Settings
from tests.crash.crashing import Point, Trap, WireTrap, trapped


def main() -> int:
    """Run once; the exit code of the run."""
    if host := os.environ.get("CRASH_HOST"):
        socket.gethostname = lambda: host
    if seconds := os.environ.get("CRASH_DRAIN"):
        context.DRAIN_SECONDS = float(seconds)
    leases.IN_FLIGHT = float(os.environ.get("CRASH_IN_FLIGHT", "0.2"))
    at = os.environ.get("CRASH_AT")
    number = signal.Signals[os.environ.get("CRASH_HOW", "SIGKILL")]
    trap = Trap(Point.read(at) if at else None, number=number)
    monitoring.register(WireTrap(trap))
    settings = Settings.load()
    log.configure("info", "json")
    with context.draining() as stop, build(settings, stop=stop) as app:
        result = Reconciler(trapped(app.ports, trap)).run(app.options(), stop=stop)
    return int(result.summary.exit_code)


if __name__ == "__main__":
    sys.exit(main())
