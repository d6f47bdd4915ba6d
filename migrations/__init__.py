"""Alembic's environment for the audit database: a resource that Alembic finds, imported by nobody."""
