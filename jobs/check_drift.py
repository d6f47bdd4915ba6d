"""The nightly job: look for drift, and say what was found. Repairs nothing."""

from __future__ import annotations

from collections import Counter

from reconcile.app.app import App
from reconcile.base import log
from reconcile.drift.find import Looked
from reconcile.drift.findings import DriftKind
from reconcile.run.summary import ExitCode

_log = log.get_logger(__name__)


def run(app: App) -> int:
    """Compare both sides; 1 where they differ. Raises what the two sides raise."""
    looked = Looked()
    counts: Counter[DriftKind] = Counter()
    for finding in app.drift(looked):
        if app.stop.is_set():
            return int(ExitCode.INTERRUPTED)
        counts[finding.kind] += 1
    app.drift_found({kind.value: counts[kind] for kind in DriftKind})
    tell = _log.warning if counts else _log.info
    tell(
        "Drift checked",
        orders=looked.orders,
        lms_enrollments=looked.lms_enrollments,
        **{kind.value: counts[kind] for kind in DriftKind},
    )
    return int(ExitCode.ATTENTION if counts else ExitCode.CONVERGED)
