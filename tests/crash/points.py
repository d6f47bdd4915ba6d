"""Where a run is killed: every method of every port is in one of these tables, or the suite fails."""

from __future__ import annotations

from tests.crash.crashing import AFTER, BEFORE, WIRE, Point

#: Steps with an effect outside, and which calls of them: killed before and after each.
EFFECTS: dict[str, tuple[int, ...]] = {
    "audit.open_run": (1,),
    "audit.close_dead_runs": (1,),
    "audit.heartbeat": (1, 2),
    "audit.begin_all": (1,),
    # The first ends what an earlier run has left open for a learner to enroll, the second an attempt.
    "audit.finish_all": (1, 2),
    # What needs no write; then an order that shares another one's fate.
    "audit.record": (1, 2),
    "audit.close_run": (1,),
    "leases.take_over": (1,),
    # The second is for what is no candidate any more.
    "leases.take": (1, 2),
    "leases.renew": (1, 2),
    "leases.fence_all": (1,),
    "leases.hold_all": (1,),
    "leases.release": (1,),
    "source.write_back": (1, 2),
    "platform.enroll": (1, 2, 4),
    # Inside `write_back`: between the two, the retry job is completed and the order not yet synced.
    f"{WIRE}.update retry_jobs": (1,),
    f"{WIRE}.update enrollments": (1,),
}

#: Steps that only look: dying before one is dying after the effect before it, so once, after it.
READS: dict[str, tuple[int, ...]] = {
    "source.scan": (1,),
    "source.shop_jobs": (1, 2),
    "source.paid_twice": (1,),
    "source.last_look": (1,),
    "source.unmarked": (1,),
    "source.end_settled_jobs": (1,),
    "platform.ping": (1,),
    "platform.prove_sight": (1,),
    # Without leases, under them, and for what is no candidate any more.
    "platform.observe": (1, 2, 3),
    "platform.breather": (1, 4),
    "audit.history": (1, 2, 3),
    "audit.recent_runs": (1,),
    "audit.open_attempts": (1, 2),
    # Who asked to leave which order alone: asked for the orders that were never marked.
    "audit.ignored": (1,),
    # Asks nobody: it says only that a lease is prolonged no more.
    "leases.leave": (1,),
}

#: Steps that an applied run never takes.
NEVER = {
    "source.shop_queue",  # for alerts and `status`
    "leases.peek",  # only a dry run and `plan` look without taking
    "platform.titles",  # for the mail, after the run
    "audit.intervene",  # of people: `retry`, `ignore`, `drift --fix`, before their run
    "audit.given_access",  # for `drift`
}

#: Where learners go together in one request, from there on: the two kinds of request, what is before them
#: and what comes of them. Elsewhere such a run takes the same steps as one that enrolls one by one.
BATCH_EFFECTS: dict[str, tuple[int, ...]] = {
    "audit.begin_all": (1,),
    "leases.fence_all": (1,),
    "platform.enroll": (1,),
    "platform.enroll_many": (1,),
    "leases.hold_all": (1,),
    "audit.finish_all": (2,),
    "audit.record": (2,),
    "source.write_back": (2,),
    "leases.release": (1,),
}
BATCH_READS: dict[str, tuple[int, ...]] = {"source.last_look": (1,), "platform.breather": (1, 2)}

#: Then what is no candidate any more is settled. How many calls there were before depends on who was first.
_SETTLING = Point(step="leases.take", when=AFTER, nth=2)
SETTLING = [
    Point(step=step, when=when, since=_SETTLING)
    for step in ("audit.finish_all", "leases.release")
    for when in (BEFORE, AFTER)
]

#: The run must last for the heartbeat to come.
SLOW = {"audit.heartbeat", "leases.renew"}
#: What dies here leaves leases that only time frees: of a run whose death is recorded already, or of
#: nobody's (what settles the left-over takes them for no run). Everywhere else the next run on the
#: same machine sees that the process is gone and frees its leases at once.
LEFT_TO_LAPSE = {
    "audit.close_dead_runs:after:1",
    "leases.take_over:before:1",
    "leases.take:after:2",
    "platform.observe:after:3",
    *(str(point) for point in SETTLING[:3]),
}
#: A write must stay unanswered and undone.
LOST_WRITE = {"leases.hold_all"}
#: Before the first, the audit has no row of the run; after the second, its row says how it ended.
OPENED, CLOSED = "audit.open_run", "audit.close_run"


def _points(effects: dict[str, tuple[int, ...]], reads: dict[str, tuple[int, ...]]) -> list[Point]:
    return [
        Point(step=step, when=when, nth=nth)
        for steps, whens in ((effects, (BEFORE, AFTER)), (reads, (AFTER,)))
        for step, numbers in steps.items()
        for nth in numbers
        for when in whens
    ]


POINTS = [*_points(EFFECTS, READS), *SETTLING]
BATCH_POINTS = _points(BATCH_EFFECTS, BATCH_READS)


def status_of_the_victim(point: Point) -> list[str]:
    """How the killed run must stand in the audit in the end."""
    if (point.step, point.when) == (OPENED, BEFORE):
        return []
    return ["completed"] if (point.step, point.when) == (CLOSED, AFTER) else ["crashed"]
