"""Runs the migrations on the connection that `reconcile.audit.schema` hands over.

That connection holds the lock and the transaction; without it (the `alembic` command) nothing runs.
"""

from __future__ import annotations

from alembic import context

from reconcile.audit.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("use `reconcile db upgrade`: it takes the lock that an upgrade needs")

context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter a column in place
)
with context.begin_transaction():
    context.run_migrations()
