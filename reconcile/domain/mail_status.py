"""Where a mail to a learner is, in the outbox's words. Pure.

Shared, because pruning the audit keeps the addresses of those whose mail is still owed.
"""

from __future__ import annotations

from enum import StrEnum


class MailStatus(StrEnum):
    """Where a mail is. A closed list; docs/operations.md says what to do about each."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    BOUNCED = "bounced"
    FAILED = "failed"
    UNKNOWN = "unknown"
    FORGOTTEN = "forgotten"

    @property
    def may_be_sent_again(self) -> bool:
        """True where a person may decide to try once more."""
        return self in (MailStatus.BOUNCED, MailStatus.FAILED, MailStatus.UNKNOWN)
