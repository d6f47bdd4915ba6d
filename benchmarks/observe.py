"""Looking at the LMS in bulk against one look for each learner, in the same run on the same stand-in.

    python benchmarks/observe.py [PAIRS]

Both look at the same learners, half of them enrolled, and must come to the same answer. The stand-in
answers at once; on a real LMS each request costs some 14 ms more (`--latency 0.014`).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from reconcile.domain.model import EffectKey, Observation
from reconcile.lms.lms import FrappeLms
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import load_site
from reconcile.sandbox.servers import KEY

COURSE = "python-basics"
PAGE = 200

Seen = dict[EffectKey, Observation]


def in_bulk(lms: FrappeLms, keys: list[EffectKey]) -> Seen:
    """A page at a time, as a run does it."""
    seen: Seen = {}
    for start in range(0, len(keys), PAGE):
        seen |= lms.observe(keys[start : start + PAGE])
    return seen


def one_by_one(lms: FrappeLms, keys: list[EffectKey]) -> Seen:
    """One learner at a time."""
    seen: Seen = {}
    for key in keys:
        seen |= lms.observe([key])
    return seen


def measured(
    look: Callable[[FrappeLms, list[EffectKey]], Seen], url: str, keys: list[EffectKey]
) -> tuple[Seen, float, int]:
    """What was seen, the seconds, the requests."""
    lms = FrappeLms(base_url=url, authorization=f"token {KEY}")
    try:
        lms.ping()
        asked, began = lms.requests, time.perf_counter()
        seen = look(lms, keys)
        return seen, time.perf_counter() - began, lms.requests - asked
    finally:
        lms.close()


def main() -> int:
    """Measure and print; 1 where bulk is not at least ten times faster."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", type=int, nargs="?", default=1000)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each answer")
    options = parser.parse_args()
    members = [f"learner{number:05d}@example.com" for number in range(options.pairs)]
    site = load_site(
        [{"email": member} for member in members],
        [{"name": COURSE}],
        [{"member": member, "course": COURSE} for member in members[::2]],
    )
    keys = [EffectKey(member=member, course=COURSE) for member in members]
    with FrappeStandIn(site) as stand_in:
        if options.latency:
            stand_in.faults.add(Fault(kind="latency", times=None, delay=options.latency))
        bulk, bulk_took, bulk_asked = measured(in_bulk, stand_in.url, keys)
        single, single_took, single_asked = measured(one_by_one, stand_in.url, keys)
    if bulk != single:
        print("both ways must see the same")
        return 1
    print(f"{options.pairs} learners in bulk     {bulk_took:7.2f} s  {bulk_asked:6d} requests")
    print(f"{options.pairs} learners one by one  {single_took:7.2f} s  {single_asked:6d} requests")
    print(f"ratio {single_took / bulk_took:.1f}")
    return 0 if single_took > 10 * bulk_took else 1


if __name__ == "__main__":
    sys.exit(main())
