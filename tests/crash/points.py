"""Where a run is killed: every method of every port is in one of these tables, or the suite fails."""

from __future__ import annotations

from tests.crash.crashing import AFTER, BEFORE, WIRE, Point

#: Steps with an effect outside, and which calls of them: killed before and after each.
EFFECTS: dict[str, tuple[int, ...]] = {
    "audit.open_run": (1,),
    "audit.close_dead_runs": (1,),
    "audit.heartbeat": (1, 2),
    "audit.begin": (1, 4),
    # The first settles what an earlier run left open, the last what is no candidate any more.
    "audit.finish": (1, 2, 5, 6),
    "audit.record": (1,),
    "audit.close_run": (1,),
    "leases.take_over": (1,),
    "leases.take": (1, 2),
    "leases.renew": (1, 2),
    "leases.fence": (1, 4),
    "leases.hold": (1,),
    "leases.release": (1, 2),
    # A read, and the last look before a write.
    "source.read_again": (1, 4),
    "source.write_back": (1,),
    "platform.enroll": (1, 2, 4),
    # Inside `write_back`: between the two, the retry job is completed and the order not yet synced.
    f"{WIRE}.update retry_jobs": (1,),
    f"{WIRE}.update enrollments": (1,),
}

#: Steps that only look: dying before one is dying after the effect before it, so once, after it.
READS: dict[str, tuple[int, ...]] = {
    "source.scan": (1,),
    "source.shop_jobs": (1,),
    "source.paid_orders": (1,),
    "source.unmarked": (1,),
    "source.end_settled_jobs": (1,),
    "platform.ping": (1,),
    "platform.prove_sight": (1,),
    "platform.observe": (1, 2),
    "platform.breather": (1,),
    "audit.history": (1,),
    "audit.recent_runs": (1,),
    "audit.open_attempts": (1,),
    # Who asked to leave which order alone: asked for the orders that were never marked.
    "audit.ignored": (1,),
}

#: Steps that an applied run never takes.
NEVER = {
    "source.shop_queue",  # for alerts and `status`
    "leases.fence_all",  # in bulk: what a run does one by one
    "leases.hold_all",
    "source.last_look",
    "source.paid_twice",
    "leases.peek",  # only a dry run and `plan` look without taking
    "platform.titles",  # for the mail, after the run
    "platform.enroll_many",  # no run sends batches yet
    "audit.intervene",  # of people: `retry`, `ignore`, `drift --fix`, before their run
    "audit.given_access",  # for `drift`
    # Many at once: killed in tests/integration/test_audit_groups.py.
    "audit.begin_all",
    "audit.finish_all",
    "audit.busy_elsewhere",
}

#: The run must last for the heartbeat to come.
SLOW = {"audit.heartbeat", "leases.renew"}
#: What dies here leaves leases that only time frees: of a run whose death is recorded already, or of
#: nobody's (what settles the left-over takes them for no run). Everywhere else the next run on the
#: same machine sees that the process is gone and frees its leases at once.
LEFT_TO_LAPSE = {
    "audit.close_dead_runs:after:1",
    "leases.take_over:before:1",
    "leases.take:after:2",
    "platform.observe:after:2",
    "audit.finish:before:6",
    "audit.finish:after:6",
    "leases.release:before:2",
}
#: A write must stay unanswered and undone.
LOST_WRITE = {"leases.hold"}
#: Before the first, the audit has no row of the run; after the second, its row says how it ended.
OPENED, CLOSED = "audit.open_run", "audit.close_run"

POINTS = [
    Point(step=step, when=when, nth=nth)
    for step, numbers in EFFECTS.items()
    for nth in numbers
    for when in (BEFORE, AFTER)
] + [Point(step=step, when=AFTER, nth=nth) for step, numbers in READS.items() for nth in numbers]


def status_of_the_victim(point: Point) -> list[str]:
    """How the killed run must stand in the audit in the end."""
    if (point.step, point.when) == (OPENED, BEFORE):
        return []
    return ["completed"] if (point.step, point.when) == (CLOSED, AFTER) else ["crashed"]
