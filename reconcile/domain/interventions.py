"""What people have asked for by hand: who, when, for which order, why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class InterventionKind(StrEnum):
    """What was asked for. A closed list: reports rely on it."""

    RETRY = "retry"
    IGNORE = "ignore"
    UNIGNORE = "unignore"
    FIX_DRIFT = "fix_drift"


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """One request by a person, as the audit keeps it. Appended, never changed."""

    kind: InterventionKind
    who: str  #: the account and host that asked
    at: datetime
    enrollment_id: str | None = None  #: None where many orders were meant; `scope` says which
    scope: str | None = None
    until: datetime | None = None  #: `ignore`: left alone until then
    because: str | None = None
