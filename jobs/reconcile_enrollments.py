"""The main job: one reconciliation of the whole backlog."""

from __future__ import annotations

from reconcile.bootstrap import App


def run(app: App) -> int:
    """Reconcile once; the run's exit code. Never raises ReconcileError."""
    result = app.reconcile(app.options())
    return int(result.summary.exit_code)
