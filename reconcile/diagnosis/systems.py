"""What is looked at, as whoever puts an application together hands it over."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconcile.base.clock import Clock
from reconcile.run.ports import AuditLog
from reconcile.run.source import EnrollmentSource
from reconcile.settings import Settings

if TYPE_CHECKING:
    from pymongo.database import Database

    from reconcile.lms.lms import FrappeLms


@dataclass(frozen=True, kw_only=True)
class Systems:
    """Nothing of it is contacted yet but the audit, which remembers nothing where it cannot be read."""

    database: Database[dict[str, Any]]
    source: EnrollmentSource
    lms: FrappeLms
    audit: AuditLog
    clock: Clock


#: Opens them as the settings say, to be closed with the stack. Raises ConfigurationError.
Connect = Callable[[Settings, ExitStack], Systems]
