"""Lease the learners who are to be enrolled, and look at them again under the lease.

The first look was made without one: since then somebody else may have enrolled them. What earlier runs have
left open is closed here, where the lease proves what can be proven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconcile.base.errors import ReconcileError
from reconcile.domain.model import (
    Decision,
    EffectKey,
    Enroll,
    Enrollment,
    Reason,
    Skip,
)
from reconcile.run.decision import decide
from reconcile.run.leases import Lease
from reconcile.run.looking import observe
from reconcile.run.open_attempts import by_key, ends_of, held_until, unsent_end, was_never_sent
from reconcile.run.options import Halt, Ports
from reconcile.run.page import Returned, Surveyed, Task, Told
from reconcile.run.ports import End, OpenAttempt
from reconcile.run.retry import RetryPolicy
from reconcile.run.twins import with_jobs
from reconcile.run.verdicts import verdict_without_write


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What came of a portion of orders that were to be leased."""

    tasks: Sequence[Task] = ()  #: to be written
    told: Sequence[Told] = ()  #: not to be written after all, and why
    dropped: Sequence[Surveyed] = ()  #: left as they are: the run is ending
    returned: Sequence[Returned] = ()  #: leases of the dropped


class Claiming:
    """Takes leases and looks again, for one run."""

    def __init__(self, *, ports: Ports, run_id: str, policy: RetryPolicy, halt: Halt) -> None:
        self._ports = ports
        self._run_id = run_id
        self._policy = policy
        self._halt = halt

    def claim(self, entries: Sequence[Surveyed]) -> Claimed:
        """Lease these, each of another learner or course. What fails ends the run (`Halt`)."""
        if self._halt.is_set:
            return Claimed(dropped=entries)
        leases: Mapping[EffectKey, Lease] = {}
        try:
            leases = self._ports.leases.take([entry.key for entry in entries if entry.key], self._run_id)
            return self._look_again(entries, leases)
        except ReconcileError as error:
            self._halt.fail(error)
            returned = [Returned(lease=lease, keeps_owners=True) for lease in leases.values()]
            return Claimed(dropped=entries, returned=returned)

    def _look_again(self, entries: Sequence[Surveyed], leases: Mapping[EffectKey, Lease]) -> Claimed:
        ports = self._ports
        now = ports.clock.now()
        told = [
            _told(_with(entry, Skip(Reason.LEASE_HELD)), None, now)
            for entry in entries
            if entry.key not in leases
        ]
        mine = [entry for entry in entries if entry.key in leases]
        items = [entry.enrollment for entry in mine if isinstance(entry.enrollment, Enrollment)]
        ids = [item.id for item in items]
        jobs = ports.source.shop_jobs(ids)
        open_still = self._close_unsent(leases)
        histories = with_jobs(ids, ports.audit.history(ids), jobs)
        looked_at = ports.clock.monotonic()
        seen = observe(items, jobs, ports)
        tasks: list[Task] = []
        ends: list[End] = []
        for entry, item in zip(mine, items, strict=True):
            lease, now = leases[item.key], ports.clock.now()
            attempts = open_still.get(item.key, ())
            held = held_until(attempts, lease, self._policy, now)
            own = tuple(attempt.as_write for attempt in attempts if attempt.enrollment_id == item.id)
            history = replace(histories[item.id], open_attempts=own, hold_until=held)
            decision = decide(item, seen[item.key], history, self._policy, now)
            known = replace(entry, history=history, seen=seen[item.key], decision=decision)
            closed = ends_of(attempts, decision, now)
            ends += closed
            if isinstance(decision, Enroll):
                tasks.append(Task(entry=known, lease=lease, looked_at=looked_at))
            else:
                told.append(_told(known, lease, now, all_closed=len(closed) == len(attempts)))
        if ends:
            # Before anything is begun for the same learner: what has no end keeps others from beginning.
            ports.audit.finish_all(ends, run_id=self._run_id)
        return Claimed(tasks=tasks, told=told)

    def _close_unsent(self, leases: Mapping[EffectKey, Lease]) -> Mapping[EffectKey, Sequence[OpenAttempt]]:
        """What dead runs have left open for these learners, whichever order of theirs it is for.

        What the leases prove to have never been sent has got its end, and is not among them.
        """
        now = self._ports.clock.now()
        left_open = by_key(self._ports.audit.open_attempts())
        left = {key: left_open[key] for key in leases if key in left_open}
        unsent = {
            attempt.attempt_id: unsent_end(attempt, now)
            for key, attempts in left.items()
            for attempt in attempts
            if was_never_sent(attempt, leases[key])
        }
        if unsent:
            self._ports.audit.finish_all(list(unsent.values()), run_id=self._run_id)
        return {
            key: [attempt for attempt in attempts if attempt.attempt_id not in unsent]
            for key, attempts in left.items()
        }


def foreseen(entries: Sequence[Surveyed], ports: Ports, policy: RetryPolicy) -> list[Surveyed]:
    """The same entries, and what a lease would say of those who are to be enrolled. Takes nothing."""
    enrolls = [entry for entry in entries if isinstance(entry.decision, Enroll)]
    free = ports.leases.peek(list({entry.key for entry in enrolls if entry.key})) if enrolls else {}
    left = by_key(ports.audit.open_attempts()) if enrolls else {}
    now = ports.clock.now()

    def told(entry: Surveyed) -> Surveyed:
        item, seen = entry.enrollment, entry.seen
        if not isinstance(entry.decision, Enroll) or not isinstance(item, Enrollment) or seen is None:
            return entry
        lease = free.get(item.key)
        if lease is None:
            return _with(entry, Skip(Reason.LEASE_HELD))
        # What a run may find out only under the lease is not foreseen: that an open attempt was never sent.
        history = replace(entry.history, hold_until=held_until(left.get(item.key, ()), lease, policy, now))
        return replace(entry, history=history, decision=decide(item, seen, history, policy, now))

    return [told(entry) for entry in entries]


def _with(entry: Surveyed, decision: Decision) -> Surveyed:
    return replace(entry, decision=decision)


def _told(entry: Surveyed, lease: Lease | None, at: datetime, *, all_closed: bool = True) -> Told:
    return Told(
        entry=entry,
        verdict=verdict_without_write(entry),
        at=at,
        leads=True,
        lease=lease,
        keeps_owners=not all_closed,
    )
