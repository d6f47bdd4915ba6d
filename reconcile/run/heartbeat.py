"""While a run works: prolong its leases and say that it is alive."""

from __future__ import annotations

import threading
from types import TracebackType

from reconcile.base import log
from reconcile.base.errors import AuditUnavailable, ReconcileError
from reconcile.run.options import Halt, Ports

_log = log.get_logger(__name__)


class Heartbeat:
    """A background thread for the length of a `with` block.

    A lease that could not be renewed lapses by itself, and the fence before each write notices; so
    a missed beat is only worth a log line. An audit database that cannot be written ends the run.
    """

    def __init__(self, ports: Ports, run_id: str, halt: Halt, *, every: float) -> None:
        self._ports = ports
        self._run_id = run_id
        self._halt = halt
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            try:
                self._ports.leases.renew()
                self._ports.audit.heartbeat(self._run_id, self._ports.clock.now())
            except AuditUnavailable as error:
                self._halt.fail(error)
            except ReconcileError as error:
                _log.warning("Leases could not be renewed", error=str(error), run_id=self._run_id)
