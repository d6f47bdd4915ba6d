"""The owner's report: how much money, how many learners, since when, why. Numbers here, looks elsewhere."""

from __future__ import annotations

from reconcile.reports.owner.overview import Overview

__all__ = ["Overview"]
