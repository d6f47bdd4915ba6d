"""reconcile: finds learners who paid and have no course access, and gives it to them."""

from __future__ import annotations

__version__ = "0.1.0"
