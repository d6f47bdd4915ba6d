"""While a run works: prolong its leases and say that it is alive."""

from __future__ import annotations

from reconcile.base import log
from reconcile.base.errors import AuditUnavailable, ReconcileError
from reconcile.base.repeating import Repeating
from reconcile.run.options import Halt, Ports

_log = log.get_logger(__name__)


def heartbeat(ports: Ports, run_id: str, halt: Halt, *, every: float) -> Repeating:
    """For the length of a `with` block, every so many seconds.

    A lease that could not be renewed lapses by itself, and the fence before each write notices; so
    a missed beat is only worth a log line. An audit database that cannot be written ends the run.
    """

    def beat() -> None:
        try:
            ports.leases.renew()
            ports.audit.heartbeat(run_id, ports.clock.now())
        except AuditUnavailable as error:
            halt.fail(error)
        except ReconcileError as error:
            _log.warning("Leases could not be renewed", error=str(error), run_id=run_id)

    return Repeating(beat, every=every, name="heartbeat")
