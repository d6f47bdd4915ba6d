"""Attempts of dead processes: each gets its end once somebody has looked."""

from __future__ import annotations

from collections.abc import Mapping

from reconcile.domain.model import (
    Confirm,
    Defer,
    EffectKey,
    Enrolled,
    Observation,
    Outcome,
    Reason,
    Skip,
    Verdict,
)
from reconcile.run.leases import Lease
from reconcile.run.options import Ports
from reconcile.run.page import Page
from reconcile.run.ports import OpenAttempt

_NEVER_DONE = Verdict(outcome=Outcome.RETRYING, reason=Reason.LMS_TIMEOUT, attempts=1)


def settle_open_attempts(page: Page, ports: Ports, run_id: str) -> None:
    """Those for the orders of a page, which has been looked at. Raises AuditUnavailable; may be repeated.

    There: it was ours, recovered. Not there and the hold is over: it never was done. Still on hold, or
    not looked at: stays open.
    """
    for entry in page.entries:
        attempt_id = entry.history.open_attempt
        if attempt_id is None:
            continue
        match entry.decision:
            case Skip() | Defer(_, Reason.LEASE_HELD):
                continue
            case Confirm(lms_id):
                end = Verdict(outcome=Outcome.RECOVERED, lms_id=lms_id, flags=entry.flags)
            case _:
                end = _NEVER_DONE
        ports.audit.finish(attempt_id, end, run_id=run_id, at=ports.clock.now())


def settle_leftovers(ports: Ports, run_id: str) -> None:
    """Those whose order is no candidate any more: look, and record the same. Raises what the ports raise.

    Where somebody else is at it, too, it is left for a later run. May be repeated.
    """
    open_attempts = ports.audit.open_attempts()
    keys = list({attempt.key for attempt in open_attempts if attempt.key is not None})
    leases = ports.leases.take(keys, "settle") if keys else {}
    try:
        seen = ports.platform.observe(list(leases))
        for attempt in open_attempts:
            lease = leases.get(attempt.key) if attempt.key is not None else None
            if attempt.key is None or lease is not None:
                _settle(attempt, lease, seen, ports, run_id)
    finally:
        ports.leases.release(list(leases.values()))


def _settle(
    attempt: OpenAttempt,
    lease: Lease | None,
    seen: Mapping[EffectKey, Observation],
    ports: Ports,
    run_id: str,
) -> None:
    now = ports.clock.now()
    there = seen.get(lease.key) if lease is not None else None
    if isinstance(there, Enrolled):
        end = Verdict(outcome=Outcome.RECOVERED, lms_id=there.lms_id)
    elif lease is not None and lease.hold_until is not None and lease.hold_until > now:
        return
    else:
        end = _NEVER_DONE
    ports.audit.finish(attempt.attempt_id, end, run_id=run_id, at=now)
