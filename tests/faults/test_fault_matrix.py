"""Every fault of the stand-in at every place of a run, by both paths: what it comes to, in numbers.

The LMS client is the real one, over a socket; orders, leases and audit are in memory. What is expected
was derived from INTERFACE and FRAPPE 8 by hand, not from the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import pytest

from reconcile.lms.lms import FrappeLms, Via
from reconcile.run.summary import RunSummary
from reconcile.sandbox.lms.faults import KINDS, Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import load_site
from tests.fakes.harness import World
from tests.fakes.world import order
from tests.faults.bench import COURSE

#: Seconds; the client's patience, and with answers that never come.
PATIENCE, LITTLE_PATIENCE = 5.0, 0.15
#: Later than the end of all tests here.
NEVER = 600.0
PATHS = get_args(Via)
SPOILED = "learner0"

UNANSWERED = ("timeout_before", "late_write", "cut_before", "502_html", "504_html")
DONE_UNSEEN = ("timeout_after_write", "cut_after_write")
DOWN = ("503_maintenance", "503_readonly")
BROKEN = ("500_json", "500_html")
ODD = ("garbage", "wrong_shape", "huge", "html_200", "bad_utf8", "empty_body")
REFUSED = ("refuse",)
OF_CONFIRM = ("success_false", "not_wrapped")
HARMLESS = ("latency",)


def test_no_kind_is_forgotten() -> None:
    known = (*UNANSWERED, *DONE_UNSEEN, *DOWN, *BROKEN, *ODD, *REFUSED, *OF_CONFIRM, *HARMLESS)
    assert sorted((*known, "429", "redirect")) == sorted(KINDS)


class Scene:
    """A stand-in, its client, and orders in memory."""

    def __init__(self, lms: FrappeStandIn, via: Via) -> None:
        self.lms = lms
        self.via = via
        self._patience = PATIENCE

    def run(self, orders: int) -> RunSummary:
        names = [f"learner{number}" for number in range(orders)]
        for name in names:
            self.lms.site.add_user(f"{name}@example.com")
        client = FrappeLms(
            base_url=self.lms.url,
            authorization="token key_integration:secret_integration",
            via=self.via,
            timeout=self._patience,
            sleep=lambda _: None,
        )
        self.world = World([order(name) for name in names], lms=client)  # type: ignore[arg-type]
        try:
            return self.world.run(concurrency=1, batch=1).summary
        finally:
            client.close()

    def fault(self, kind: str, *, for_ever: bool, **where: Any) -> None:
        hangs = kind in ("timeout_before", "timeout_after_write", "late_write")
        self._patience = LITTLE_PATIENCE if hangs else self._patience
        delay = NEVER if hangs else 0.01 if kind == "latency" else 0.0
        times = None if for_ever else 1
        self.lms.faults.add(Fault(kind=kind, times=times, delay=delay, retry_after=0.05, **where))

    def knows(self, kind: str) -> bool:
        """False for the faults that are confirm_payment's own, on the other path."""
        return self.via == "confirm_payment" or kind not in OF_CONFIRM

    def asked(self, member: str = "") -> int:
        return sum(
            entry.operation.startswith("enroll") and member in (entry.member or "") for entry in self.lms.log
        )

    def nothing_was_done(self, orders: int) -> None:
        """No write, no attempt used up, no row, every order and lease as before."""
        assert self.asked() == 0
        assert self.world.source.writes == []
        assert self.world.audit.attempts == {}
        assert self.world.leases.rows == {}
        assert {self.world.sync(f"learner{number}")["retryCount"] for number in range(orders)} == {0}


@pytest.fixture(scope="module")
def server() -> Iterator[FrappeStandIn]:
    strangers = [{"email": f"old{number}@example.com"} for number in range(2)]
    there = [{"member": row["email"], "course": COURSE} for row in strangers]
    site = load_site(strangers, [{"name": COURSE}], there)
    site.switches.race_window = 0.0
    with FrappeStandIn(site) as lms:
        yield lms


@pytest.fixture
def lms(server: FrappeStandIn) -> FrappeStandIn:
    """As new: nobody's faults, calls and enrollments."""
    server.faults.clear()
    server.calls.reset()
    for number in range(10):
        server.site.unenroll(f"learner{number}@example.com", COURSE)
    return server


@pytest.fixture(params=PATHS)
def scene(lms: FrappeStandIn, request: pytest.FixtureRequest) -> Scene:
    return Scene(lms, request.param)


@pytest.fixture
def reading(lms: FrappeStandIn) -> Scene:
    """One path is enough where it is a read that is spoiled."""
    return Scene(lms, "confirm_payment")


# --- reads: ping, sight, observe -----------------------------------------------------------

#: What a read is repeated for by itself, so that one of them does no harm.
ASKED_AGAIN = (*UNANSWERED, *DONE_UNSEEN, "503_maintenance")
#: `503_readonly` spoils writes only, two more only confirm_payment.
UNTOUCHED = (*HARMLESS, "503_readonly", *OF_CONFIRM)
TEMPORARY, USAGE = 75, 2

PLACES: dict[str, dict[str, Any]] = {
    "ping": {"operation": "ping"},
    "sight": {"operation": "count"},
    # The first list is the sample that proves the sight.
    "observe": {"operation": "list", "doctype": "LMS Enrollment", "after": 1},
}


def expected_of_read(place: str, kind: str, *, for_ever: bool) -> tuple[int, str | None]:
    """Exit code and reason of the run."""
    if kind in UNTOUCHED or (kind in ASKED_AGAIN and not for_ever):
        return 0, None
    if kind in ASKED_AGAIN or kind in BROKEN:
        return TEMPORARY, "lms_unavailable"
    if kind == "429":
        # A page whose look is refused with a short time to wait is looked at once more.
        return (0, None) if place == "observe" and not for_ever else (TEMPORARY, "rate_limited")
    if kind == "refuse" and place == "sight":
        return 0, None  # the role may not count; the sample proves it as well
    if place == "ping" or kind == "redirect":
        return USAGE, "protocol"  # this address is no Frappe
    return TEMPORARY, "lms_unavailable"  # it was one a moment ago


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_fault_before_the_first_write(reading: Scene, place: str, kind: str, for_ever: bool) -> None:
    reading.fault(kind, for_ever=for_ever, **PLACES[place])

    summary = reading.run(3)

    code, reason = expected_of_read(place, kind, for_ever=for_ever)
    assert (summary.exit_code, summary.reason) == (code, reason)
    if code == 0:
        assert summary.as_json()["outcomes"]["enrolled"] == reading.asked() == 3
    else:
        reading.nothing_was_done(3)


# --- enroll --------------------------------------------------------------------------------


class Fate(NamedTuple):
    """What becomes of the spoiled learner's order."""

    outcome: str
    reason: str | None
    used: int  #: visits used up: `retryCount`
    asked: int  #: enroll requests for this learner


NEW = Fate("enrolled", None, 1, 1)
SEEN = Fate("recovered", None, 1, 1)
SECOND_TRY = Fate("enrolled", None, 1, 2)
EXCUSED_ONCE = Fate("enrolled", None, 1, 2)
HELD = Fate("retrying", "lms_timeout", 1, 1)
NONSENSE = Fate("retrying", "protocol", 1, 1)
NO = Fate("retrying", "lms_rejected", 1, 2)
UNAVAILABLE = Fate("retrying", "lms_unavailable", 0, 2)
LIMITED = Fate("retrying", "rate_limited", 0, 2)

#: kind: (once, for ever), both while everybody else goes through.
ENROLL: dict[str, tuple[Fate, Fate]] = {
    **dict.fromkeys(HARMLESS, (NEW, NEW)),
    **dict.fromkeys(UNANSWERED, (HELD, HELD)),
    **dict.fromkeys(DONE_UNSEEN, (SEEN, SEEN)),
    **dict.fromkeys(DOWN, (EXCUSED_ONCE, UNAVAILABLE)),
    **dict.fromkeys(BROKEN, (SECOND_TRY, NO)),
    **dict.fromkeys(ODD, (NONSENSE, NONSENSE)),
    **dict.fromkeys(REFUSED, (SECOND_TRY, NO)),
    "429": (EXCUSED_ONCE, LIMITED),
    # Two that only confirm_payment knows: its own refusal, and its answer without `message`.
    "success_false": (SECOND_TRY, NO),
    "not_wrapped": (NEW, NEW),
}


def is_so(scene: Scene, name: str, fate: Fate) -> None:
    """The order, its audit rows and the LMS's log all say so."""
    sync = scene.world.sync(name)
    rows = [row for row in scene.world.audit.attempts.values() if row.enrollment.id == name]
    last = rows[-1].verdict
    assert last is not None
    assert (last.outcome, last.reason, sync["retryCount"], scene.asked(name)) == fate
    has_access = fate.outcome in ("enrolled", "recovered")
    assert sync["syncStatus"] == ("success" if has_access else "retrying")
    assert len(rows) == fate.asked, "one row for each request"
    assert all(row.finished_at for row in rows)
    # However many of its writes count, the visit counts once.
    assert scene.world.audit.history([name])[name].visits == fate.used
    assert len(scene.lms.site.enrollments_of(f"{name}@example.com")) == has_access


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "redirect"])
def test_a_fault_of_one_learners_write_while_others_go_through(
    scene: Scene, kind: str, for_ever: bool
) -> None:
    scene.fault(kind, for_ever=for_ever, operation="enroll", member=SPOILED)

    summary = scene.run(3)

    fate = ENROLL[kind][for_ever] if scene.knows(kind) else NEW
    is_so(scene, SPOILED, fate)
    for other in ("learner1", "learner2"):
        is_so(scene, other, NEW)
    assert summary.status == "completed"
    assert summary.exit_code == (1 if fate.outcome == "retrying" else 0)


class Storm(NamedTuple):
    """What becomes of a run whose every write is spoiled."""

    code: int
    reason: str | None
    asked: int
    outcome: str
    why: str | None
    used: int


def tripped(why: str, reason: str = "lms_unavailable") -> Storm:
    """Five in a row: the run ends, nothing is used up, the two others were not even tried."""
    return Storm(TEMPORARY, reason, 5, "retrying", why, 0)


FINE = Storm(0, None, 7, "enrolled", None, 1)
FOUND = Storm(0, None, 7, "recovered", None, 1)
#: An LMS that refuses everybody, in words: it is not down, and what it refuses it was asked twice.
ALL_REFUSED = Storm(1, None, 14, "retrying", "lms_rejected", 1)
STORMS: dict[str, Storm] = {
    **dict.fromkeys(HARMLESS, FINE),
    **dict.fromkeys(DONE_UNSEEN, FOUND),
    **dict.fromkeys(UNANSWERED, tripped("lms_timeout")),
    **dict.fromkeys((*DOWN, *BROKEN, *ODD), tripped("lms_unavailable")),
    **dict.fromkeys(REFUSED, ALL_REFUSED),
    "429": tripped("rate_limited", "rate_limited"),
    "success_false": ALL_REFUSED,
    "not_wrapped": FINE,
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "redirect"])
def test_a_fault_of_every_write(scene: Scene, kind: str) -> None:
    storm = STORMS[kind] if scene.knows(kind) else FINE
    scene.fault(kind, for_ever=True, operation="enroll")

    summary = scene.run(7)

    assert (summary.exit_code, summary.reason, scene.asked()) == storm[:3]
    tried = {row.enrollment.id for row in scene.world.audit.attempts.values() if not row.never_sent}
    assert len(tried) == min(storm.asked, 7)
    assert summary.outcomes == {storm.outcome: len(tried)}
    assert summary.reasons == ({storm.why: len(tried)} if storm.why else {})
    assert {scene.world.sync(name)["retryCount"] for name in tried} == {storm.used}
    untouched = {f"learner{number}" for number in range(7)} - tried
    assert all(scene.world.sync(name)["syncStatus"] == "pending" for name in untouched)
    assert summary.outcomes["failed"] == 0  # type: ignore[index]  # a StrEnum is its word


def test_a_redirected_write_ends_the_run_and_uses_up_nothing(scene: Scene) -> None:
    scene.fault("redirect", for_ever=False, operation="enroll")

    summary = scene.run(3)

    assert (summary.exit_code, summary.reason, scene.asked()) == (USAGE, "protocol", 1)
    assert {scene.world.sync(f"learner{number}")["retryCount"] for number in range(3)} == {0}
    assert all(row.finished_at for row in scene.world.audit.attempts.values())


# --- the second look -----------------------------------------------------------------------


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_of_the_look_after_a_refusal(reading: Scene, kind: str, for_ever: bool) -> None:
    scene = reading
    scene.fault("refuse", for_ever=False, operation="enroll", member=SPOILED)
    # The first three lists of this kind: the sample, the page, and the look under the leases.
    scene.fault(kind, for_ever=for_ever, operation="list", doctype="LMS Enrollment", after=3)

    scene.run(3)

    sees = kind in UNTOUCHED or (kind in ASKED_AGAIN and not for_ever)
    # Who cannot look cannot tell whose fault the refusal was: the order pays nothing for it.
    is_so(scene, SPOILED, SECOND_TRY if sees else Fate("retrying", "lms_unavailable", 0, 1))
    for other in ("learner1", "learner2"):
        is_so(scene, other, NEW)


@pytest.mark.parametrize("kind", UNANSWERED)
def test_a_fault_of_the_look_after_silence(reading: Scene, kind: str) -> None:
    scene = reading
    scene.fault("cut_before", for_ever=False, operation="enroll", member=SPOILED)
    scene.fault(kind, for_ever=True, operation="list", doctype="LMS Enrollment", after=3)

    scene.run(3)

    is_so(scene, SPOILED, HELD)
