"""How the commands that look after the audit reach it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconcile.base.errors import AuditUnavailable
from reconcile.cli.context import load_settings

if TYPE_CHECKING:
    from reconcile.audit.store import Store


@contextmanager
def opened_audit(*, writing: bool) -> Iterator[tuple[Store, bytes]]:
    """The audit database that is there, and the secret of its keys; none is made.

    With `writing` an older schema is upgraded. Raises AuditUnavailable, also where there is none.
    """
    settings = load_settings(require=("audit",), quiet=True)
    from reconcile.audit import schema

    url = settings.audit_url.get_secret_value()
    exists = schema.current(url) is not None
    store = schema.open_store(url, create=writing) if exists else None
    if store is None:
        raise AuditUnavailable(
            "there is no audit database yet",
            hint="`reconcile init` or the first `reconcile run` makes it; RECONCILE_AUDIT_URL says where.",
        )
    try:
        yield store, schema.read_secret(store)
    finally:
        store.close()
