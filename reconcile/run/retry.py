"""When to try again: how many visits there are and how long to wait between them. Pure.

A visit is a try and, where the answer permits it, its second try two seconds later. The waits are the
storefront's own (STOREFRONT: `2^attempts × 2 min ± 10 %`, five of them); its tries are not ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

JITTER = 0.10
#: Seconds in which the storefront's first calls to the LMS are over, whatever they came to.
LONGEST_CALL = 60.0


def spread(identity: str, visits: int) -> float:
    """A factor in [0.9, 1.1], the same whenever asked: jitter without randomness.

    Derived from the enrollment and the visit, so that a thousand orders that failed together do
    not come back together, and a decision taken twice is the same decision.
    """
    digest = blake2b(f"{identity}:{visits}".encode(), digest_size=4).digest()
    fraction = int.from_bytes(digest, "big") / 0xFFFFFFFF
    return 1 + JITTER * (2 * fraction - 1)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Limits of one run. Durations in seconds."""

    max_attempts: int = 5  #: visits after the first one
    backoff_base: float = 120.0
    backoff_max: float = 1920.0
    min_age: float = 300.0
    hold: float = 180.0  #: after a write that was not answered, the storefront's or ours
    include_failed: bool = False  #: also those out of visits
    immediately: bool = False  #: `reconcile retry`: whatever the backoff or the visits used

    @property
    def young(self) -> float:
        """Seconds for which a payment, or a try of the storefront's own, is left to it.

        Whoever asks by hand need not wait for `min_age`, but a call of the storefront's that may be on
        its way is waited out: two calls of 15 seconds at most, and two between them (STOREFRONT).
        """
        return min(self.min_age, LONGEST_CALL) if self.immediately else self.min_age

    def is_used_up(self, visits: int) -> bool:
        """True where so many visits were the first one and all that may follow it."""
        return visits > self.max_attempts

    def delay(self, identity: str, visits: int) -> float:
        """Seconds to wait after so many used-up visits: 2, 4, 8, 16, 32 minutes ± 10 %; 0 after none."""
        if visits <= 0:
            return 0.0
        # The exponent is clamped: an absurd count must not build an absurd number.
        doubled = self.backoff_base * 2.0 ** min(visits - 1, 60)
        return min(doubled, self.backoff_max) * spread(identity, visits)

    def probe_at(self, identity: str, *, last_write: datetime | None, now: datetime) -> datetime:
        """When to ask again for somebody who waits and can only be looked up by a write."""
        if last_write is None or last_write > now:
            return now
        return last_write + timedelta(seconds=self.backoff_max * spread(identity, 0))

    def due_at(self, identity: str, *, visits: int, last_write: datetime | None, now: datetime) -> datetime:
        """When the next visit may be made; not later than `now` means at once.

        A last write that lies further ahead than any backoff is a broken clock; it must not keep a
        learner out until then, so it counts as none.
        """
        if last_write is None or last_write > now + timedelta(seconds=self.backoff_max):
            return now
        return last_write + timedelta(seconds=self.delay(identity, visits))
