"""Why would a run not succeed? Each check says ok, warning or problem, and the remedy.

Reads only. What one check needs from another that failed is skipped and says so: one cause, one
problem.
"""

from __future__ import annotations

from reconcile.diagnosis.checks import Check, Diagnosis, Grade
from reconcile.diagnosis.diagnose import diagnose

__all__ = ["Check", "Diagnosis", "Grade", "diagnose"]
