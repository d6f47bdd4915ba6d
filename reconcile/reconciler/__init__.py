"""The use case: look at both sides, decide, act as little as possible, write down what was done.

The only place that orders effects. `run` drives one reconciliation, `survey` looks and decides,
`writing` makes one LMS write safely, `batch` carries a page's decisions out.
"""

from __future__ import annotations

from reconcile.reconciler.options import APPLY, DRY_RUN, Ports, RunOptions, RunResult
from reconcile.reconciler.run import Reconciler

__all__ = ["APPLY", "DRY_RUN", "Ports", "Reconciler", "RunOptions", "RunResult"]
