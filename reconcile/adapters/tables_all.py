"""Every table of the audit database: importing this makes `metadata` whole, as Alembic compares it."""

from __future__ import annotations

from reconcile.adapters import tables_alerts, tables_interventions, tables_outbox, tables_seals
from reconcile.adapters.tables import metadata

__all__ = ["metadata", "tables_alerts", "tables_interventions", "tables_outbox", "tables_seals"]
