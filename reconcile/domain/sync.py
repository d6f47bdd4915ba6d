"""What an order says of its own state: the storefront's `frappeSync`. Pure; handed on by `model`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: What `.enrollmentId` says when the LMS named no document (no key: nothing can be looked up).
UNNAMED_LMS_ID = "already-enrolled"


class SyncStatus(StrEnum):
    """The only words that the storefront's schema allows in `frappeSync.syncStatus`."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILED = "failed"
    RETRYING = "retrying"


@dataclass(frozen=True, kw_only=True)
class SyncState:
    """The storefront's `frappeSync`, made regular: absent and `null` read as the defaults."""

    synced: bool = False
    status: str | None = None
    lms_id: str | None = None
    error: str | None = None
    retry_count: int = 0
    last_attempt: datetime | None = None  #: the last try, the storefront's or ours

    @property
    def is_synced(self) -> bool:
        """The storefront's own definition of a synced order."""
        return self.synced and self.status == SyncStatus.SUCCESS and bool(self.lms_id)

    @property
    def is_unnamed(self) -> bool:
        """Synced on the LMS's word alone, by a run without a key: a run with one finds the name."""
        return self.is_synced and self.lms_id == UNNAMED_LMS_ID
