"""After a run: the outbox is emptied into a real mail server, whatever that does."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconcile.audit.log import SqlAuditLog
from reconcile.base.errors import ServiceUnavailable
from reconcile.domain.mail_status import MailStatus
from reconcile.mail import mailing
from reconcile.mail.mailing import Mailing
from reconcile.mail.message import Composer
from reconcile.mail.outbox import SqlOutbox, post
from reconcile.mail.rules import MAX_TRIES
from reconcile.mail.smtp import SmtpMailer
from reconcile.run.ports import Intent
from reconcile.settings.mail import SmtpServer, sender
from reconcile.templates.mail import read_templates
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import ENROLLED, HERE, NOON, enrollment, summary
from tests.fakes.mail_server import CONTENT, CUT, RECIPIENT, SENDER, MailServer, SilentServer, mail_server
from tests.fakes.world import FakeClock, FakeLms


@dataclass
class Bench:
    """Orders that were given access, a mail server, and the step that follows a run."""

    log: SqlAuditLog
    server: MailServer
    clock: FakeClock
    lms: FakeLms
    stop: threading.Event
    port: int

    def owe(self, *names: str, **changes: object) -> None:
        for name in names:
            order = enrollment(name, **{"email": f"{name}@example.com", "course": "python-basics"} | changes)
            attempt = begin(self.log, Intent(run_id="run-1", enrollment=order, number=1, started_at=NOON))
            finish(self.log, attempt, replace(ENROLLED, lms_id=f"lms of {name}"), run_id="run-1", at=NOON)

    def step(self, *, subject: str = "{{ course_title }}") -> Mailing:
        return Mailing(
            outbox=self.outbox,
            mailer=SmtpMailer(
                SmtpServer(host="127.0.0.1", port=self.port, tls=False),
                sender=sender("shop@example.com"),
                timeout=1.0,
                stop=self.stop,
            ),
            composer=Composer(
                templates=read_templates(subject=subject, place=""),
                lms_url="https://lms.example.com",
                course_address=lambda course: f"https://lms.example.com/{course}",
                domain="example.com",
            ),
            platform=self.lms,
            clock=self.clock,
            origin=HERE,
            stop=self.stop,
        )

    @property
    def outbox(self) -> SqlOutbox:
        return SqlOutbox(self.log.store)

    def send(self) -> dict[str, int]:
        return {status.value: count for status, count in self.step().send_due(run_id="run-1").items()}

    def counts(self) -> dict[str, int]:
        return {status.value: count for status, count in self.outbox.counts().items()}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with new_audit(tmp_path) as log, mail_server() as server:
        log.on_outcomes = post
        log.open_run(summary(), HERE)
        clock = FakeClock(time=NOON + timedelta(minutes=1))
        yield Bench(log, server, clock, FakeLms(), threading.Event(), server.port)


def test_each_gets_one_mail_with_the_courses_title(bench: Bench) -> None:
    bench.owe("sam", "tara")

    assert bench.send() == {"sent": 2}
    assert bench.send() == {}

    assert sorted(bench.server.addresses()) == ["sam@example.com", "tara@example.com"]
    (mail,) = [mail for mail in bench.server.received if mail.to.startswith("sam")]
    assert mail.message["Subject"] == "Python Basics"
    assert "https://lms.example.com/python-basics" in mail.part("plain")
    assert "Sign in with learner@example.com." in mail.part("html")
    assert bench.server.conversations == 1
    assert len({mail.message["Message-ID"] for mail in bench.server.received}) == 2


def test_nothing_owed_bothers_nobody(bench: Bench) -> None:
    assert bench.send() == {}
    assert (bench.server.conversations, bench.lms.requests) == (0, 0)


def test_a_title_that_the_lms_does_not_tell_is_the_slug(bench: Bench) -> None:
    bench.owe("sam")
    bench.lms.down = ServiceUnavailable("down")

    assert bench.send() == {"sent": 1}

    assert bench.server.received[0].message["Subject"] == "python-basics"


class OddLms(FakeLms):
    def titles(self, courses: Collection[str]) -> Mapping[str, str]:
        return dict.fromkeys(courses, "Kurs\r\nBcc: eve@example.com\x07 für Ärzte")


def test_a_title_cannot_forge_a_header(bench: Bench) -> None:
    bench.owe("sam")
    bench.lms = OddLms()

    bench.send()

    (mail,) = bench.server.received
    assert mail.message["Subject"] == "Kurs Bcc: eve@example.com für Ärzte"
    assert mail.message["Bcc"] is None
    assert mail.to == "sam@example.com"


def test_refused_for_now_then_taken(bench: Bench) -> None:
    bench.owe("sam")
    bench.server.once(RECIPIENT, "451 4.7.1 greylisted")

    assert bench.send() == {"pending": 1}
    assert bench.send() == {}  # it is not its turn yet
    bench.clock.advance(130)

    assert bench.send() == {"sent": 1}
    assert bench.server.addresses() == ["sam@example.com"]


def test_refused_for_now_for_ever_is_given_up(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.owe("sam")
    bench.server.every_time(RECIPIENT, "451 4.7.1 not today")

    sent = []
    for _ in range(MAX_TRIES + 3):
        sent.append(bench.send())
        bench.clock.advance(7 * 3600)

    assert sent == [{"pending": 1}] * (MAX_TRIES - 1) + [{"failed": 1}] + [{}] * 3
    assert "Mail given up" in caplog.text


def test_refused_for_good_is_recorded_and_never_tried_again(bench: Bench) -> None:
    bench.owe("sam", "tara")
    bench.server.once(RECIPIENT, "550 5.1.1 sam? no such user")

    assert bench.send() == {"bounced": 1, "sent": 1}
    bench.clock.advance(30 * 86400)
    assert bench.send() == {}

    assert bench.server.addresses() == ["tara@example.com"]
    (mail,) = bench.outbox.unsent()
    assert (mail.status, mail.smtp_code) == ("bounced", 550)
    assert mail.error is not None
    assert "sam" not in mail.error


def test_a_server_that_is_down_uses_up_no_try(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.owe("sam", "tara")
    with mail_server() as gone:
        bench.port = gone.port

    assert bench.send() == {}
    assert bench.counts() == {"pending": 2}
    assert caplog.text.count("The mail server cannot be used; mail waits") == 1
    bench.port = bench.server.port

    assert bench.send() == {"sent": 2}


def test_a_server_that_hangs_is_bounded(bench: Bench) -> None:
    bench.owe("sam")
    with SilentServer() as silent:
        bench.port = silent.port

        assert bench.send() == {}

    assert bench.counts() == {"pending": 1}


def test_a_conversation_that_breaks_is_begun_again_for_the_rest(bench: Bench) -> None:
    bench.owe("sam", "tara", "uma")
    bench.server.once(RECIPIENT, CUT)

    assert bench.send() == {"pending": 1, "sent": 2}
    assert bench.server.conversations == 2


def test_one_that_always_breaks_is_left_in_peace(bench: Bench) -> None:
    bench.owe(*(f"learner{n}" for n in range(10)))
    bench.server.every_time(RECIPIENT, CUT)

    assert bench.send() == {"pending": mailing.MAX_BREAKS}
    assert bench.server.conversations == mailing.MAX_BREAKS


def test_a_refused_sender_stops_at_the_first(bench: Bench) -> None:
    bench.owe("sam", "tara", "uma")
    bench.server.every_time(SENDER, "550 5.7.1 not your address")

    assert bench.send() == {"pending": 1}
    assert bench.counts() == {"pending": 3}


def test_no_answer_to_the_whole_mail_is_never_followed_by_another(bench: Bench) -> None:
    bench.owe("sam")
    bench.server.once(CONTENT, CUT)

    assert bench.send() == {"unknown": 1}
    bench.clock.advance(30 * 86400)
    assert bench.send() == {}

    assert bench.server.addresses() == ["sam@example.com"]


def test_a_lost_mail_is_told_and_not_sent(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.owe("sam")
    dead = replace(HERE, pid=2**22 + 1, process_started="1")
    assert bench.outbox.claim("sam", origin=dead, at=bench.clock.now()) is not None

    assert bench.send() == {}

    assert bench.counts() == {"unknown": 1}
    assert "Mail may have been sent, so it is not sent again" in caplog.text
    assert bench.server.received == []


def test_a_template_that_fails_on_this_one_alone(bench: Bench) -> None:
    bench.owe("sam", course="x")
    bench.owe("tara")
    step = bench.step(subject="{{ course_title if course != 'x' else 1 / 0 }}")

    ends = step.send_due(run_id="run-1")

    assert ends == {MailStatus.PENDING: 1, MailStatus.SENT: 1}
    assert bench.server.addresses() == ["tara@example.com"]


def test_no_mail_is_begun_after_the_stop(bench: Bench) -> None:
    bench.owe("sam", "tara")

    def stop(_: str) -> None:
        bench.stop.set()

    bench.server.once(RECIPIENT, stop)

    assert bench.send() == {"sent": 1}
    assert bench.counts() == {"sent": 1, "pending": 1}
    assert bench.send() == {}


def test_a_run_sends_for_a_minute_at_most(bench: Bench) -> None:
    bench.owe("sam", "tara", "uma")
    bench.server.every_time(RECIPIENT, lambda _: bench.clock.advance(31))

    assert bench.send() == {"sent": 2}
    assert bench.send() == {"sent": 1}


def test_two_at_once_send_each_mail_once(bench: Bench) -> None:
    names = [f"learner{n}" for n in range(40)]
    bench.owe(*names)
    steps = [bench.step() for _ in range(4)]
    threads = [threading.Thread(target=step.send_due, kwargs={"run_id": "run-1"}) for step in steps]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(bench.server.addresses()) == sorted(f"{name}@example.com" for name in names)
    assert bench.counts() == {"sent": 40}
    assert bench.server.conversations > 1


def test_no_log_line_holds_an_address(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.owe("sam", "tara")
    bench.server.once(RECIPIENT, "550 sam@example.com unknown")

    with caplog.at_level("DEBUG", logger="reconcile"):
        bench.send()

    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("reconcile"))
    assert "s***@example.com" in ours
    assert "t***@example.com" in ours
    assert "sam" not in ours.replace("'enrollment_id': 'sam'", "")
    assert "tara@example.com" not in ours
