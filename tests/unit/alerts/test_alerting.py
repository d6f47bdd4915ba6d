"""Alerting and pinging over fakes: what is claimed, sent, remembered, and what happens where that fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconcile.alerts.alerting import Alerting
from reconcile.alerts.causes import RunEnd, Situation
from reconcile.alerts.decision import AlertState
from reconcile.alerts.look import Look, line_of
from reconcile.alerts.memory import MemoryAlertBook
from reconcile.alerts.notify import Level
from reconcile.alerts.pinging import Pinging
from reconcile.base.errors import AuditUnavailable, NotificationFailed, ServiceUnavailable, StoreUnavailable
from reconcile.domain.model import Outcome
from reconcile.run.abort import never_begun
from reconcile.run.follow_up import Finished
from reconcile.run.options import RunOptions, RunResult
from reconcile.run.source import Selection
from reconcile.run.summary import RunStatus, RunSummary
from tests.fakes.harness import World
from tests.fakes.world import NOON, order

HOUR = timedelta(hours=1)
GOOD = RunEnd(status=RunStatus.COMPLETED, scanned=1)
DRIFT = {"ghosts": 3}


@dataclass
class FakeNotifier:
    """Remembers what it was given; refuses where it is told to."""

    refuses: bool = False
    sent: list[tuple[str, str, Level]] = field(default_factory=list)

    def notify(self, *, title: str, body: str, level: Level = Level.INFO) -> None:
        if self.refuses:
            raise NotificationFailed("nobody there")
        self.sent.append((title, body, level))


class Broken(MemoryAlertBook):
    """A book in an audit database that is away."""

    def load(self) -> Any:
        raise AuditUnavailable("the audit database is away")


def alerting(notifier: FakeNotifier, book: MemoryAlertBook, **more: Any) -> Alerting:
    return Alerting(notifier=notifier, book=book, alert_age=HOUR, **more)


# --- claimed, sent, remembered -------------------------------------------------------------


def test_what_was_sent_is_remembered_and_what_was_not_is_not() -> None:
    notifier, book = FakeNotifier(refuses=True), MemoryAlertBook()
    alerts = alerting(notifier, book)

    alerts.evaluate(Situation(at=NOON, drift=DRIFT))
    assert book.load()["drift"] == AlertState(first_seen_at=NOON)

    notifier.refuses = False
    alerts.evaluate(Situation(at=NOON + HOUR, drift=DRIFT))
    alerts.evaluate(Situation(at=NOON + 2 * HOUR, drift=DRIFT))
    (message,) = notifier.sent
    assert message[0] == "reconcile: drift, 3 differences between shop and LMS"
    assert message[2] is Level.WARNING
    assert book.load()["drift"] == AlertState(first_seen_at=NOON, told_at=NOON + HOUR, told_count=3)


def test_a_cause_that_nobody_was_told_of_is_forgotten_without_a_word() -> None:
    notifier, book = FakeNotifier(refuses=True), MemoryAlertBook()
    alerts = alerting(notifier, book)
    alerts.evaluate(Situation(at=NOON, drift=DRIFT))
    notifier.refuses = False

    alerts.evaluate(Situation(at=NOON + HOUR, drift={}))

    assert notifier.sent == []
    assert book.load() == {}


def test_an_all_clear_that_could_not_be_sent_is_sent_later_once() -> None:
    notifier, book = FakeNotifier(), MemoryAlertBook()
    alerts = alerting(notifier, book)
    alerts.evaluate(Situation(at=NOON, drift=DRIFT))
    for minute, refuses in enumerate([True, True, False, False]):
        notifier.refuses = refuses
        alerts.evaluate(Situation(at=NOON + timedelta(minutes=minute), drift={}))

    assert [level for _, _, level in notifier.sent] == [Level.WARNING, Level.SUCCESS]


def test_what_another_process_is_telling_is_left_to_it() -> None:
    notifier, book = FakeNotifier(), MemoryAlertBook()
    assert book.claim("drift", None, now=NOON, until=NOON + HOUR)

    alerting(notifier, book).evaluate(Situation(at=NOON, drift=DRIFT))

    assert notifier.sent == []


def test_no_message_holds_a_whole_address_or_a_login() -> None:
    notifier = FakeNotifier()
    error = "cannot write to sam@example.com at https://user:pass@h.example"
    run = RunEnd(status=RunStatus.ABORTED, reason="protocol", error=error)

    alerting(notifier, MemoryAlertBook()).evaluate(Situation(at=NOON, run=run))

    (_, body, level) = notifier.sent[0]
    assert "s***@example.com" in body
    assert "pass@" not in body
    assert level is Level.FAILURE


# --- without an audit ----------------------------------------------------------------------


def test_without_an_audit_and_a_memory_nobody_is_told() -> None:
    notifier = FakeNotifier()

    with pytest.raises(AuditUnavailable):
        alerting(notifier, Broken()).evaluate(Situation(at=NOON, drift=DRIFT))

    assert notifier.sent == []


def test_from_memory_only_aborted_runs_are_told_of() -> None:
    notifier, memory = FakeNotifier(), MemoryAlertBook()
    aborted = RunEnd(status=RunStatus.ABORTED, reason="audit_unavailable")
    for minute in range(3):
        alerting(notifier, Broken(), fallback=memory).evaluate(
            Situation(at=NOON + timedelta(minutes=minute), run=aborted, drift=DRIFT)
        )
    assert [title for title, _, _ in notifier.sent] == ["reconcile: runs are aborted, audit_unavailable"]

    # The audit is back: drift is told by it, and what memory told gets its all-clear, once.
    book = MemoryAlertBook()
    for hour in (1, 2):
        alerting(notifier, book, fallback=memory).evaluate(
            Situation(at=NOON + hour * HOUR, run=GOOD, drift=DRIFT)
        )
    assert [title.partition(",")[0] for title, _, _ in notifier.sent[1:]] == [
        "reconcile: drift",
        "reconcile: all clear: runs succeed again (audit_unavailable)",
    ]


# --- the look ------------------------------------------------------------------------------


def look(world: World, **more: Any) -> Look:
    return Look(source=world.source, audit=world.audit, clock=world.clock, alert_age=HOUR, **more)


def test_a_look_sees_every_order_with_its_last_verdict() -> None:
    world = World([order("e1", courseId="gone"), order("e2", courseId="gone"), order("e3")])
    world.lms.answers = {}
    result = world.run()

    groups = look(world).after(RunOptions(), result).groups

    assert groups is not None
    assert groups.complete
    assert {key: group.count for key, group in groups.by_cause.items()} == {("course_missing", "gone"): 2}


def test_a_look_that_takes_too_long_or_is_asked_to_stop_ends() -> None:
    world = World([order("e1")])
    result = world.run()
    world.source.documents["e2"] = order("e2")

    late = look(world, longest=-1.0).after(RunOptions(), result).groups
    world.stop.set()
    stopped = look(world, stop=world.stop).after(RunOptions(), result).groups

    assert late is not None
    assert stopped is not None
    assert (late.complete, stopped.complete) == (False, False)


def test_what_cannot_be_looked_at_is_left_open(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    result = world.run()

    def away(*_: object) -> Any:
        raise StoreUnavailable("MongoDB is away")

    world.source.scan = away  # type: ignore[method-assign]

    situation = look(world).after(RunOptions(), result)

    assert situation.groups is None
    assert situation.emptiness is None
    assert "Alerts go without a look" in caplog.text


def test_a_line_for_support_has_no_whole_address_and_stays_a_line() -> None:
    world = World([order("e\n1", email="sam@example.com", courseId="a\x1b[2J@b.example", timestamp=None)])
    (item,) = world.source.scan(Selection())

    line = line_of(item)
    assert line.startswith(r"e\n1  s***@example.com  ")
    assert line.endswith("  paid at an unknown time")
    assert line.isprintable()
    assert "sam@" not in line


# --- pings ---------------------------------------------------------------------------------


@dataclass
class FakePinger:
    got: list[tuple[bool, str]] = field(default_factory=list)

    def ping(self, *, failed: bool, text: str) -> None:
        self.got.append((failed, text))


def summary(status: RunStatus, reason: str | None = None) -> RunSummary:
    found = RunSummary(run_id="r", mode="apply", started_at=NOON, scanned=7)
    found.close(status, at=NOON, reason=reason)
    return found


@pytest.mark.parametrize(
    ("status", "reason", "selection", "pinged"),
    [
        (RunStatus.COMPLETED, None, Selection(), [False]),
        (RunStatus.COMPLETED, "max_enrolls", Selection(), [False]),
        (RunStatus.ABORTED, "too_many_enrolls", Selection(), [True]),
        (RunStatus.INTERRUPTED, None, Selection(), []),
        (RunStatus.COMPLETED, None, Selection(email="sam@example.com"), []),
        (RunStatus.ABORTED, "blind", Selection(limit=1), []),
    ],
)
def test_who_is_pinged(
    status: RunStatus, reason: str | None, selection: Selection, pinged: list[bool]
) -> None:
    pinger = FakePinger()
    result = RunResult(summary=summary(status, reason))

    Pinging(pinger).after(Finished(options=RunOptions(selection=selection), result=result))

    assert [failed for failed, _ in pinger.got] == pinged


def test_a_ping_says_how_it_went_without_a_secret() -> None:
    pinger = FakePinger()
    good = summary(RunStatus.COMPLETED, "max_enrolls")
    good.outcomes[Outcome.ENROLLED] = 3
    error = ServiceUnavailable("cannot reach https://u:secret@h for sam@example.com", hint="Wait.")
    bad = never_begun(error, mode="apply", at=datetime.now(UTC))
    for result in (RunResult(summary=good), bad, RunResult(summary=summary(RunStatus.COMPLETED))):
        Pinging(pinger).after(Finished(options=RunOptions(), result=result))

    assert [text for _, text in pinger.got] == [
        "completed: max_enrolls; 7 orders looked at; 3 enrolled",
        "aborted: lms_unavailable\ncannot reach https://***@h for s***@example.com\nWait.",
        "completed; 7 orders looked at; nothing to do",
    ]
