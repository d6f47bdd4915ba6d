"""Handing mail over: a real SMTP server, its refusals, its silence, and its certificates."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from reconcile.base.errors import MailUnavailable
from reconcile.mail.message import Mail
from reconcile.mail.rules import Accepted, Bounced, Later, MailAnswer, Unclear
from reconcile.mail.smtp import SmtpMailer
from reconcile.settings.mail import SmtpServer, sender
from tests.fakes.mail_server import (
    CONTENT,
    CUT,
    HELLO,
    RECIPIENT,
    SENDER,
    MailServer,
    SilentServer,
    mail_server,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


def letter(to: str = "sam@example.com", **changes: Any) -> Mail:
    values: dict[str, Any] = {
        "to": to,
        "message_id": "abc@shop.example.com",
        "at": NOW,
        "subject": "Your course",
        "text": "Hello\n",
        "html": "<p>Hello</p>\n",
    }
    return Mail(**values | changes)


def mailer(port: int, *, tls: bool = False, **options: Any) -> SmtpMailer:
    login = {name: options.pop(name) for name in ("user", "password") if name in options}
    where = SmtpServer(host="127.0.0.1", port=port, tls=tls, **login)
    return SmtpMailer(where, sender=sender("Shop <shop@example.com>"), **{"timeout": 2.0} | options)


def send(server: MailServer, *mails: Mail, **options: Any) -> list[MailAnswer]:
    with mailer(server.port, **options).session() as session:
        return [session.send(mail) for mail in mails or (letter(),)]


def test_a_mail_arrives_as_it_was_meant(server: MailServer) -> None:
    mail = letter(
        subject="Grüße – Kurs №1", text="Grüße\n.a dot\n..two\n" + "x" * 2000 + "\n", html="<p>é</p>\n"
    )

    (answer,) = send(server, mail)

    assert answer == Accepted(code=250)
    (taken,) = server.received
    assert (taken.sender, taken.to) == ("shop@example.com", "sam@example.com")
    headers = taken.message
    assert headers["From"] == "Shop <shop@example.com>"
    assert headers["To"] == "sam@example.com"
    assert headers["Subject"] == mail.subject
    assert headers["Message-ID"] == "<abc@shop.example.com>"
    assert headers["Date"].datetime == NOW
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers.get_content_type() == "multipart/alternative"
    assert taken.part("plain").replace("\r\n", "\n") == mail.text
    assert taken.part("html").replace("\r\n", "\n") == mail.html
    assert taken.raw.isascii()
    assert max(map(len, taken.raw.split(b"\r\n"))) <= 998


def test_a_mail_without_html_is_plain_text(server: MailServer) -> None:
    send(server, letter(html=None))

    assert server.received[0].message.get_content_type() == "text/plain"


def test_several_mails_go_over_one_conversation(server: MailServer) -> None:
    answers = send(server, *(letter(f"learner{n}@example.com") for n in range(5)))

    assert answers == [Accepted(code=250)] * 5
    assert (server.conversations, len(server.received)) == (1, 5)


@pytest.mark.parametrize("stage", [RECIPIENT, CONTENT])
def test_a_refusal_for_good_is_a_bounce_and_the_next_mail_goes_on(server: MailServer, stage: str) -> None:
    server.once(stage, "550 5.1.1 <sam@example.com>: sam is no user here")

    refused, taken = send(server, letter(), letter("tara@example.com"))

    assert isinstance(refused, Bounced)
    assert refused.code == 550
    assert "sam" not in refused.error
    assert "s***@example.com" in refused.error
    assert taken == Accepted(code=250)
    assert server.addresses() == ["tara@example.com"]


@pytest.mark.parametrize("stage", [RECIPIENT, CONTENT])
def test_a_refusal_for_now_is_tried_later_and_the_next_mail_goes_on(server: MailServer, stage: str) -> None:
    server.once(stage, "451 4.7.1 greylisted")

    refused, taken = send(server, letter(), letter("tara@example.com"))

    assert refused == Later(error="451 4.7.1 greylisted", code=451)
    assert taken == Accepted(code=250)


def test_a_server_that_closes_ends_the_conversation(server: MailServer) -> None:
    server.once(RECIPIENT, "421 4.3.2 closing")

    (answer,) = send(server)

    assert answer == Later(error="421 4.3.2 closing", code=421, broken=True)


def test_a_refused_sender_bounces_nobody(server: MailServer) -> None:
    server.once(SENDER, "553 5.7.1 not your address")

    (answer,) = send(server)

    assert isinstance(answer, Later)
    assert answer.hopeless
    assert "the sender is refused" in answer.error


def test_a_connection_cut_before_the_content_is_certainly_not_sent(server: MailServer) -> None:
    server.once(RECIPIENT, CUT)

    (answer,) = send(server)

    assert isinstance(answer, Later)
    assert answer.broken
    assert server.received == []


def test_a_connection_cut_after_the_content_leaves_a_doubt(server: MailServer) -> None:
    server.once(CONTENT, CUT)

    (answer,) = send(server)

    assert isinstance(answer, Unclear)
    assert len(server.received) == 1


def test_a_nonsense_answer_to_the_content_leaves_a_doubt(server: MailServer) -> None:
    server.once(CONTENT, "well done")

    (answer,) = send(server)

    assert isinstance(answer, Unclear)


# --- waiting ---------------------------------------------------------------------------------


def test_a_server_that_never_answers_is_not_waited_for() -> None:
    with SilentServer() as silent:
        began = time.monotonic()
        with (
            pytest.raises(MailUnavailable, match="timed out"),
            mailer(silent.port, timeout=0.3).session(),
        ):
            pass

    assert time.monotonic() - began < 5


def test_a_server_that_drips_is_not_waited_for_either() -> None:
    with SilentServer(drip=b"2") as dripping:
        began = time.monotonic()
        with pytest.raises(MailUnavailable), mailer(dripping.port, timeout=5, patience=0.5).session():
            pass

    assert time.monotonic() - began < 4


def test_a_conversation_that_hangs_is_cut(server: MailServer) -> None:
    release = threading.Event()
    server.once(RECIPIENT, lambda _: "250 OK" if release.wait(20) else None)
    try:
        began = time.monotonic()
        with mailer(server.port, timeout=10, patience=0.5).session() as session:
            answer = session.send(letter())
            took = time.monotonic() - began
    finally:
        release.set()

    assert isinstance(answer, Later)
    assert answer.broken
    assert took < 5


def test_a_stop_cuts_a_conversation_that_hangs(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconcile.mail.wire._AFTER_STOP", 0.2)
    stop, release = threading.Event(), threading.Event()

    def hang(_: str) -> str:
        stop.set()
        release.wait(20)
        return "250 OK"

    server.once(RECIPIENT, hang)
    try:
        began = time.monotonic()
        with mailer(server.port, timeout=10, stop=stop).session() as session:
            answer = session.send(letter())
            took = time.monotonic() - began
    finally:
        release.set()

    assert isinstance(answer, Later)
    assert took < 5


def test_nobody_there() -> None:
    with mail_server() as server:
        port = server.port

    with pytest.raises(MailUnavailable, match="cannot be reached") as caught, mailer(port).session():
        pass

    assert "RECONCILE_SMTP_URL" in caught.value.hint


def test_a_server_that_turns_everybody_away(server: MailServer) -> None:
    server.every_time(HELLO, "554 go away")

    with pytest.raises(MailUnavailable, match="554"), mailer(server.port).session():
        pass


# --- addresses -------------------------------------------------------------------------------


def test_an_international_address_goes_where_it_is_taken(server: MailServer) -> None:
    (answer,) = send(server, letter("jörg@exämple.com"))

    assert answer == Accepted(code=250)
    assert server.addresses() == ["jörg@xn--exmple-cua.com"]
    assert "SMTPUTF8" in server.received[0].options


def test_an_international_domain_needs_nothing_special() -> None:
    with mail_server(utf8=False) as server:
        (answer,) = send(server, letter("sam@exämple.com"))

        assert answer == Accepted(code=250)
        assert server.addresses() == ["sam@xn--exmple-cua.com"]


def test_an_international_address_is_refused_plainly_elsewhere() -> None:
    with mail_server(utf8=False) as server:
        refused, taken = send(server, letter("jörg@example.com"), letter())

        assert isinstance(refused, Bounced)
        assert "SMTPUTF8" in refused.error
        assert taken == Accepted(code=250)


@pytest.mark.parametrize(
    "forged",
    [
        letter("sam@example.com\r\nBcc: eve@example.com"),
        letter("sam@example.com>\r\nRCPT TO:<eve@example.com"),
        letter("sam@example.com, eve@example.com"),
        letter(subject="Hello\r\nBcc: eve@example.com"),
    ],
)
def test_no_header_and_no_recipient_can_be_smuggled_in(server: MailServer, forged: Mail) -> None:
    (answer,) = send(server, forged)

    assert isinstance(answer, Bounced)
    assert server.received == []


# --- who is who ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def certified(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_user_and_password(server: MailServer, certified: ssl.SSLContext) -> None:
    with mail_server(starttls=certified, login=("shop", "pa:ss/word")) as locked:
        (answer,) = send(locked, user="shop", password="pa:ss/word")
        assert answer == Accepted(code=250)

        with pytest.raises(MailUnavailable, match="does not let us in") as caught:
            send(locked, user="shop", password="wr0ng-s3cret")
        assert "wr0ng-s3cret" not in str(caught.value)

    with pytest.raises(MailUnavailable, match="does not let us in"):
        send(server, user="shop", password="it has no use for this")


def strict(port: int, *, tls: bool) -> SmtpMailer:
    """As for a server elsewhere: loopback alone is trusted by itself."""
    found = mailer(port, tls=tls)
    found._trusting = False
    return found


@pytest.mark.parametrize("tls", [True, False], ids=["smtps", "STARTTLS"])
def test_a_certificate_must_be_vouched_for(
    certified: ssl.SSLContext,
    authority: trustme.CA,
    tls: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with mail_server(**{"tls" if tls else "starttls": certified}) as server:
        with (
            pytest.raises(MailUnavailable, match="certificate") as caught,
            strict(server.port, tls=tls).session(),
        ):
            pass
        assert "SSL_CERT_FILE" in caught.value.hint
        assert server.received == []

        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        with strict(server.port, tls=tls).session() as session:
            assert session.send(letter()) == Accepted(code=250)


def test_on_loopback_nobody_need_vouch(certified: ssl.SSLContext) -> None:
    with mail_server(starttls=certified) as server:
        assert send(server) == [Accepted(code=250)]


def test_elsewhere_nothing_travels_in_the_clear(server: MailServer) -> None:
    with (
        pytest.raises(MailUnavailable, match="offers no TLS") as caught,
        strict(server.port, tls=False).session(),
    ):
        pass

    assert "RECONCILE_SMTP_ALLOW_PLAIN" in caught.value.hint


def test_tls_from_the_start_where_there_is_none(server: MailServer) -> None:
    with pytest.raises(MailUnavailable, match="does not speak TLS"), mailer(server.port, tls=True).session():
        pass
