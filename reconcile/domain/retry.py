"""When to try again: how many attempts there are and how long to wait between them. Pure.

The numbers are the storefront's own (STOREFRONT: `2^attempts × 2 min ± 10 %`, five attempts), so
that both sides agree about a document that either may pick up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

JITTER = 0.10


def spread(identity: str, attempts: int) -> float:
    """A factor in [0.9, 1.1], the same whenever asked: jitter without randomness.

    Derived from the enrollment and the attempt, so that a thousand orders that failed together do
    not come back together, and a decision taken twice is the same decision.
    """
    digest = blake2b(f"{identity}:{attempts}".encode(), digest_size=4).digest()
    fraction = int.from_bytes(digest, "big") / 0xFFFFFFFF
    return 1 + JITTER * (2 * fraction - 1)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Limits of one run. Durations in seconds."""

    max_attempts: int = 5
    backoff_base: float = 120.0
    backoff_max: float = 1920.0
    min_age: float = 300.0
    include_failed: bool = False  #: also those out of attempts
    immediately: bool = False  #: `reconcile retry`: whatever the backoff or the attempts used

    def delay(self, identity: str, attempts: int) -> float:
        """Seconds to wait after `attempts` used-up attempts: 2, 4, 8, 16, 32 minutes ± 10 %; 0 after none."""
        if attempts <= 0:
            return 0.0
        # The exponent is clamped: a retryCount of 10**9 must not build a number of 10**9 bits.
        doubled = self.backoff_base * 2.0 ** min(attempts - 1, 60)
        return min(doubled, self.backoff_max) * spread(identity, attempts)

    def probe_at(self, identity: str, *, last_attempt: datetime | None, now: datetime) -> datetime:
        """When to ask again for somebody who waits and can only be looked up by a write."""
        if last_attempt is None or last_attempt > now:
            return now
        return last_attempt + timedelta(seconds=self.backoff_max * spread(identity, 0))

    def due_at(
        self, identity: str, *, attempts: int, last_attempt: datetime | None, now: datetime
    ) -> datetime:
        """When the next attempt may be made; not later than `now` means at once.

        A last attempt that lies further ahead than any backoff is a broken clock or a broken
        document; it must not keep a learner out until then, so it counts as none.
        """
        if last_attempt is None or last_attempt > now + timedelta(seconds=self.backoff_max):
            return now
        return last_attempt + timedelta(seconds=self.delay(identity, attempts))
