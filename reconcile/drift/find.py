"""The use case of the other direction: look at both sides whole, and say where they differ.

Reads only. Bounded memory whatever the sizes: each side is streamed, and looked up on the other one
in portions of `PORTION` pairs, one LMS request for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from reconcile.base.batched import batched
from reconcile.base.errors import AuthenticationFailed, ConfigurationError
from reconcile.domain.model import EffectKey, Enrolled, Enrollment, Reason
from reconcile.drift.findings import DriftKind, Finding, ghosts, roster_drift
from reconcile.run.guards import is_suddenly_empty
from reconcile.run.ports import RecentRun, Sight

#: Pairs that one LMS request looks up or lists.
PORTION = 500


class OrderBook(Protocol):
    """The storefront's orders, for looking things up. Raises StoreUnavailable."""

    def synced(self) -> Iterator[Enrollment]:
        """Stream every order that says its learner has access."""
        ...

    def orders_for(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Sequence[Enrollment]]:
        """Every order for these learners and courses, whatever its status; those that can be read."""
        ...

    def sent_as(self, order_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The addresses under which the shop itself has sent these orders to the LMS, where it kept them."""
        ...


class Roster(Protocol):
    """The LMS's enrollments as a list. Raises TransientError and TerminalError kinds."""

    @property
    def verified(self) -> bool:
        """False without a key: there is nothing to look at."""
        ...

    def ping(self) -> None:
        """Return if the LMS answers."""
        ...

    def prove_sight(self) -> Sight:
        """Whether the key sees other people's enrollments. Raises AuthenticationFailed("blind")."""
        ...

    def enrolled(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Enrolled]:
        """Which of these are enrolled: one request for `PORTION` keys."""
        ...

    def roster(self, *, after: str, at_least: int) -> tuple[Mapping[EffectKey, Sequence[str]], str | None]:
        """The enrollments of the members behind `after` ("" for the first), all of each member's.

        `at_least` rows, one request as a rule; with them the member to go on behind, None at the end.
        """
        ...


class Memory(Protocol):
    """What the audit remembers. Raises AuditUnavailable."""

    def recent_runs(self) -> Sequence[RecentRun]:
        """The last completed runs."""
        ...

    def given_access(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        """Of these orders, those whose learner we have given access."""
        ...


@dataclass(kw_only=True)
class Looked:
    """How much was compared, and what was found; filled while it goes on."""

    orders: int = 0
    lms_enrollments: int = 0
    counts: Counter[DriftKind] = field(default_factory=Counter)

    def by_kind(self) -> dict[str, int]:
        """How many of every kind, those not found too."""
        return {kind.value: self.counts[kind] for kind in DriftKind}


def find_drift(orders: OrderBook, lms: Roster, memory: Memory, *, looked: Looked) -> Iterator[Finding]:
    """Stream every difference: first the ghosts, then what the LMS has.

    Changes while it looks may show as drift, or not at all; looking again tells. Raises
    ConfigurationError without a key, AuthenticationFailed where the key is blind (everybody would
    look like a ghost), and what the ports raise.
    """
    if not lms.verified:
        raise ConfigurationError(
            ["FRAPPE_LMS_API_KEY: is required: without a key the LMS shows no enrollments"],
            hint="Use the key of a user with the role Moderator.",
        )
    lms.ping()
    sight = lms.prove_sight()
    if is_suddenly_empty(sight.total, [run.lms_total for run in memory.recent_runs()]):
        raise AuthenticationFailed(
            "the LMS shows no enrollment at all, and recent runs saw many: that is not believed",
            reason=Reason.BLIND,
            hint="Is FRAPPE_LMS_BASE_URL the right site, was a backup restored?",
        )
    for finding in chain(_gone(orders, lms, memory, looked), _there(orders, lms, looked)):
        looked.counts[finding.kind] += 1
        yield finding


def _gone(orders: OrderBook, lms: Roster, memory: Memory, looked: Looked) -> Iterator[Finding]:
    for portion in batched(orders.synced(), PORTION):
        looked.orders += len(portion)
        seen = lms.enrolled(list(dict.fromkeys(order.key for order in portion)))
        missing = [order for order in portion if order.key not in seen]
        missing = _under_no_name(missing, orders, lms) if missing else []
        if missing:
            by_us = memory.given_access([order.id for order in missing])
            yield from ghosts(missing, by_us=by_us)


def _under_no_name(missing: list[Enrollment], orders: OrderBook, lms: Roster) -> list[Enrollment]:
    """Of these, the ones that are not there under another address either that the shop itself has sent."""
    sent = orders.sent_as([order.id for order in missing])
    others = {
        order.id: [EffectKey(address, order.course) for address in sent.get(order.id, ())]
        for order in missing
    }
    asked = list(dict.fromkeys(key for keys in others.values() for key in keys))
    seen = lms.enrolled(asked) if asked else {}
    return [order for order in missing if not any(key in seen for key in others[order.id])]


def _there(orders: OrderBook, lms: Roster, looked: Looked) -> Iterator[Finding]:
    after: str | None = ""
    while after is not None:
        rows, after = lms.roster(after=after, at_least=PORTION)
        looked.lms_enrollments += sum(len(names) for names in rows.values())
        yield from roster_drift(rows, orders.orders_for(list(rows)))
