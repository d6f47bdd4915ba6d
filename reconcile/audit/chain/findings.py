"""What a verification of the audit can find, and the whole of what it found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconcile.audit.chain.digests import Seal


class What(StrEnum):
    """What was done to the audit by something else than reconcile."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    BROKEN = "broken"  #: a link or a seal does not follow from the one before: changed or reordered


#: What reconcile itself does to what has been sealed before.
REVISIONS = ("pruned", "forgotten", "resealed")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as reconcile wrote it, in plain words and by name."""

    what: What
    table: str
    text: str
    run_id: str | None = None
    attempt_id: int | None = None
    seal_number: int | None = None

    def as_json(self) -> dict[str, Any]:
        """For `db verify --json`."""
        return {
            "what": self.what.value,
            "table": self.table,
            "run_id": self.run_id,
            "attempt_id": self.attempt_id,
            "seal_number": self.seal_number,
            "text": self.text,
        }


@dataclass(kw_only=True)
class Verification:
    """How a verification went. `findings` are the first ones, `total` counts them all."""

    limit: int
    findings: list[Finding] = field(default_factory=list)
    total: int = 0
    newest_seal: Seal | None = None
    seals: int = 0
    runs: int = 0
    running: int = 0  #: of these, under way: their chain is checked, they have no seal yet
    attempts: int = 0
    links: int = 0
    pruned_runs: int = 0
    forgotten: int = 0  #: how often somebody was forgotten
    resealed: int = 0  #: ends of runs that were given once more: by the dead who went on, or by redaction
    redacted: int = 0  #: links that say that an address was taken out of an attempt's texts
    #: After the seal that was kept elsewhere: what may have changed what stands before it, by kind.
    since: Counter[str] = field(default_factory=Counter)

    @property
    def is_intact(self) -> bool:
        """True where nothing was found."""
        return not self.total

    def add(self, finding: Finding) -> None:
        """Count one more finding; keep it while there is room."""
        if finding in self.findings:
            return
        self.total += 1
        if len(self.findings) < self.limit:
            self.findings.append(finding)

    def as_json(self) -> dict[str, Any]:
        """The object that `db verify --json` prints."""
        counts = ("seals", "runs", "running", "attempts", "links", "pruned_runs", "forgotten", "resealed")
        return {
            "status": "intact" if self.is_intact else "tampered",
            "newest_seal": str(self.newest_seal) if self.newest_seal is not None else None,
            **{name: getattr(self, name) for name in (*counts, "redacted")},
            "since": {kind: self.since[kind] for kind in REVISIONS},
            "findings": [finding.as_json() for finding in self.findings],
            "findings_total": self.total,
        }
