"""Where the two sides differ the other way round: what the LMS has and the orders do not say. Pure.

A run looks from the orders to the LMS and gives what is missing. Drift is what no run may mend by
itself, because taking it for a mistake could be the mistake: somebody was removed on purpose, was
let in by hand, or got a refund.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconcile.domain.model import EffectKey, Enrollment


class DriftKind(StrEnum):
    """How the two sides differ. A closed list; docs/operations.md says what to do about each."""

    GHOST = "ghost"  #: the order says synced, the LMS has nothing
    STRAY = "stray"  #: the LMS has it, and there is no order for it
    DUPLICATE = "duplicate"  #: the LMS has it more than once
    UNPAID = "unpaid"  #: the LMS has it, and none of its orders is paid
    STALE = "stale"  #: the LMS has it, and a paid order does not say so


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference. `enrollment` is the order it is about, where there is one."""

    kind: DriftKind
    key: EffectKey
    enrollment: Enrollment | None = None
    lms_ids: tuple[str, ...] = ()
    #: A ghost that we had given access: most likely removed on purpose, never given again by itself.
    by_us: bool = False


def ghosts(missing: Sequence[Enrollment], *, by_us: frozenset[str]) -> Iterator[Finding]:
    """Synced orders that the LMS knows nothing of. `by_us`: ids of those that we gave access."""
    for order in missing:
        yield Finding(
            kind=DriftKind.GHOST,
            key=order.key,
            enrollment=order,
            lms_ids=(order.sync.lms_id,) if order.sync.lms_id else (),
            by_us=order.id in by_us,
        )


def roster_drift(
    roster: Mapping[EffectKey, Sequence[str]], orders: Mapping[EffectKey, Sequence[Enrollment]]
) -> Iterator[Finding]:
    """What the orders say about LMS enrollments: `roster` has the names of each key's, oldest first."""
    for key, names in roster.items():
        mine = orders.get(key, ())
        paid = [order for order in mine if order.paid]
        first = next(iter((*paid, *mine)), None)
        ids = tuple(names)
        if len(names) > 1:
            yield Finding(kind=DriftKind.DUPLICATE, key=key, enrollment=first, lms_ids=ids)
        if not mine:
            yield Finding(kind=DriftKind.STRAY, key=key, lms_ids=ids)
        elif not paid:
            yield Finding(kind=DriftKind.UNPAID, key=key, enrollment=first, lms_ids=ids)
        for order in paid:
            if not order.sync.is_synced:
                yield Finding(kind=DriftKind.STALE, key=key, enrollment=order, lms_ids=ids)
