"""The main job: one reconciliation of the whole backlog."""

from __future__ import annotations

from reconcile.app.app import App


def run(app: App) -> int:
    """Reconcile once; the run's exit code. Raises what ended the run early."""
    result = app.reconcile(app.options())
    if result.failure is not None:
        raise result.failure
    return int(result.summary.exit_code)
