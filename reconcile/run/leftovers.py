"""Attempts of dead processes whose order is no candidate any more: they still get their end."""

from __future__ import annotations

from collections.abc import Mapping

from reconcile.domain.model import EffectKey, Enrolled, Observation, Outcome, Reason, Verdict
from reconcile.run.leases import Lease
from reconcile.run.options import Ports
from reconcile.run.ports import OpenAttempt


def settle_leftovers(ports: Ports, run_id: str) -> None:
    """Look at what such an attempt was for and record what came of it.

    There: recovered. Not there and its hold is over: never done. On hold, or somebody else at it:
    left for a later run. Raises what the ports raise; may be repeated.
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
        end = Verdict(outcome=Outcome.RETRYING, reason=Reason.LMS_TIMEOUT, attempts=1)
    ports.audit.finish(attempt.attempt_id, end, run_id=run_id, at=now)
