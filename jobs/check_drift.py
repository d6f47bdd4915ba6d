"""The nightly job: look for drift, and say what was found. Repairs nothing."""

from __future__ import annotations

from reconcile.app.app import App
from reconcile.base import log
from reconcile.drift.find import Looked
from reconcile.run.summary import ExitCode

_log = log.get_logger(__name__)


def run(app: App) -> int:
    """Compare both sides; 1 where they differ. Raises what the two sides raise."""
    looked = Looked()
    for _ in app.drift(looked):
        if app.stop.is_set():
            return int(ExitCode.INTERRUPTED)
    app.drift_found(looked.by_kind())
    tell = _log.warning if looked.counts else _log.info
    tell(
        "Drift checked",
        orders=looked.orders,
        lms_enrollments=looked.lms_enrollments,
        **looked.by_kind(),
    )
    return int(ExitCode.ATTENTION if looked.counts else ExitCode.CONVERGED)
