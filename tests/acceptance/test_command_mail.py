"""Mail to the learner, from outside: the installed command, a real SMTP server, and kill -9."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.shop.seed import ENROLLABLE
from tests.acceptance.harness import COURSE, World, until
from tests.fakes.mail_server import CONTENT, HELLO, RECIPIENT, MailServer, mail_server

STATES = ("pending", "sending", "sent", "bounced", "failed", "unknown", "forgotten")


@pytest.fixture
def post() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def shop(world: World, post: MailServer) -> World:
    """The world, with mail switched on."""
    switch_on(world, post)
    return world


def switch_on(world: World, post: MailServer) -> None:
    world.environment |= {
        "RECONCILE_SMTP_URL": post.url,
        "RECONCILE_MAIL_FROM": "Kurse & mehr <kurse@shop.example>",
    }


def states(world: World) -> dict[str, str]:
    return {row["enrollment_id"]: row["status"] for row in world.audit("SELECT * FROM outbox")}


def test_nobody_is_mailed_by_default(world: World, post: MailServer) -> None:
    world.order("sam@example.com")

    world.run("run", code=0)

    assert post.received == []
    assert states(world) == {}
    assert "mail" not in world.run("status", "--json", code=0).json


def buyer(world: World, order: str) -> str:
    """Whom the mail goes to: never to an address that the checkout has made up."""
    document = world.document(order)
    email: str = document["email"].strip().lower()
    if not email.endswith("@placeholder.com"):
        return email
    job = world.database.retry_jobs.find_one({"enrollmentId": document["_id"]})
    known = document["lmsContext"]["frappeEmail"] if job is None else job["payload"]["user_email"]
    return str(known)


def test_whoever_gets_access_gets_one_mail(seeded: World, post: MailServer) -> None:
    switch_on(seeded, post)
    assert seeded.shop is not None

    for _ in range(2):
        seeded.run("run", "--quiet", code=1)

    enrolled = seeded.audit("SELECT enrollment_id FROM attempts WHERE outcome IN ('enrolled', 'recovered')")
    assert len(enrolled) == len(seeded.shop.expected[ENROLLABLE]) == len(post.received)
    mailed = Counter(mail.to for mail in post.received)
    buyers = Counter(buyer(seeded, row["enrollment_id"]) for row in enrolled)
    assert mailed == buyers
    assert set(states(seeded).values()) == {"sent"}
    counts = dict.fromkeys(STATES, 0) | {"sent": len(enrolled)}
    assert seeded.run("status", "--json", code=0).json["mail"] == counts
    assert f"mail: {len(enrolled)} sent" in seeded.run("status", code=0).stdout


def test_the_mail_names_course_link_and_account(shop: World, post: MailServer) -> None:
    order = shop.order("sam@example.com", account=False, lmsContext={"frappeEmail": "samantha@example.com"})
    shop.lms.site.add_user("samantha@example.com")

    shop.run("run", code=0)

    (mail,) = post.received
    # The buyer is mailed, as by the shop itself, and told which account to sign in with.
    assert mail.to == "sam@example.com"
    assert mail.message["Subject"] == "Your course Python Basics is ready"
    assert mail.message["From"] == "Kurse & mehr <kurse@shop.example>"
    for part in (mail.part("plain"), mail.part("html")):
        assert f"{shop.lms.url}/lms/courses/{COURSE}" in part
        assert "samantha@example.com" in part
        assert f"pi_{order}" in part


def test_who_had_access_already_is_not_mailed(shop: World, post: MailServer) -> None:
    order = shop.order("sam@example.com")
    shop.lms.site.enroll("sam@example.com", COURSE)

    done = shop.run("run", "--json", code=0)

    assert done.json["outcomes"]["already_enrolled"] == 1
    assert (post.received, states(shop)) == ([], {})
    assert shop.sync(order)["synced"]


def test_who_paid_twice_is_mailed_once(shop: World, post: MailServer) -> None:
    shop.order("sam@example.com")
    shop.order("sam@example.com")

    done = shop.run("run", "--json", code=0)

    assert (done.json["outcomes"]["enrolled"], done.json["outcomes"]["already_enrolled"]) == (1, 1)
    assert post.addresses() == ["sam@example.com"]


def test_who_paid_twice_and_was_recovered_is_mailed_once(shop: World, post: MailServer) -> None:
    shop.order("sam@example.com")
    shop.order("sam@example.com")
    shop.lms.faults.add(Fault(kind="late_write", operation="enroll", delay=3.0))
    settings = {
        "RECONCILE_TIMEOUT": "0.5s",
        "RECONCILE_BACKOFF_BASE": "0s",
        "RECONCILE_AMBIGUOUS_HOLD": "0.1s",
    }

    shop.run("run", "--quiet", env=settings, code=1)
    assert post.received == []
    until(lambda: shop.enrolled("sam@example.com"))
    done = shop.run("run", "--json", "--quiet", env=settings, code=0)

    outcomes = done.json["outcomes"]
    assert outcomes["recovered"] >= 1
    assert outcomes["recovered"] + outcomes["already_enrolled"] == 2
    assert len(shop.enrolled("sam@example.com")) == 1
    assert post.addresses() == ["sam@example.com"]


@pytest.mark.parametrize("synced", [False, True], ids=["settled on its page", "settled among the left over"])
def test_who_was_being_enrolled_when_a_run_was_killed_is_mailed(
    shop: World, post: MailServer, synced: bool
) -> None:
    order = shop.order("sam@example.com")
    shop.lms.faults.add(Fault(kind="latency", operation="enroll", delay=60.0))
    started = shop.start("run")
    until(lambda: shop.enrolls_asked() == 1)
    started.signal(signal.SIGKILL)
    started.wait()
    name = shop.lms.site.enroll("sam@example.com", COURSE)["name"]
    if synced:
        success = {"synced": True, "syncStatus": "success", "enrollmentId": name}
        shop.database.enrollments.update_one({}, {"$set": {"frappeSync": success}})

    shop.run("run", "--quiet", env={"RECONCILE_AMBIGUOUS_HOLD": "0.1s"}, code=0)

    assert [row["outcome"] for row in shop.attempts()] == ["recovered"]
    assert post.addresses() == ["sam@example.com"]
    assert states(shop) == {order: "sent"}


# --- kill -9 ---------------------------------------------------------------------------------


def kill_at(shop: World, post: MailServer, stage: str) -> None:
    """One run, killed when the mail server sees it come to that stage."""
    started = shop.start("run")

    def kill(_: str) -> None:
        started.signal(signal.SIGKILL)
        started.process.wait()

    post.once(stage, kill)
    assert started.wait().code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("stage", "state", "before", "after"),
    [
        (HELLO, "sent", 0, 1),  # nothing was claimed: the next run sends
        (RECIPIENT, "unknown", 0, 0),  # claimed: nobody can know how far it came
        (CONTENT, "unknown", 1, 1),  # taken by the server, and never recorded
    ],
)
def test_a_killed_run_is_never_followed_by_a_second_mail(
    shop: World, post: MailServer, stage: str, state: str, before: int, after: int
) -> None:
    order = shop.order("sam@example.com")

    kill_at(shop, post, stage)

    # The run is dead before the mail server has put down what it took.
    until(lambda: len(post.received) >= before)
    assert len(post.received) == before
    assert shop.sync(order)["synced"]  # the learner has access whatever becomes of the mail
    assert states(shop) == {order: "pending" if stage == HELLO else "sending"}
    next_run = shop.run("run", code=0)
    assert len(post.received) == after
    assert states(shop) == {order: state}
    told = [line["event"] for line in next_run.logged if line["event"].startswith("Mail may have been sent")]
    assert len(told) == (state == "unknown")
    if state == "unknown":
        listed = shop.run("mail", "--json", code=0).json
        assert [(mail["enrollment_id"], mail["status"]) for mail in listed["mails"]] == [(order, "unknown")]


# --- trouble ---------------------------------------------------------------------------------


def test_a_bounce_fails_nobody_and_a_person_may_send_it_again(shop: World, post: MailServer) -> None:
    order = shop.order("sam@example.com")
    post.once(RECIPIENT, "550 5.1.1 <sam@example.com>: no such user")

    first = shop.run("run", code=0)
    shop.run("run", code=0)

    assert [line["level"] for line in first.logged if line["event"] == "Mail bounced"] == ["warning"]
    assert (states(shop), post.received) == ({order: "bounced"}, [])
    listed = shop.run("mail", code=0).stdout
    assert "bounced" in listed
    assert "550 5.1.1" in listed
    assert "mail: 1 bounced" in shop.run("status", code=0).stdout

    assert "mail: 1 pending" in shop.run("mail", "--again", order, code=0).stdout
    shop.run("run", code=0)
    assert post.addresses() == ["sam@example.com"]
    refused = shop.run("mail", "--again", order, code=1)
    assert "has no mail that bounced, failed or is unknown" in refused.said


def test_a_mail_server_that_is_down_fails_nobody(shop: World, post: MailServer) -> None:
    order = shop.order("sam@example.com")
    with mail_server() as gone:
        nowhere = {"RECONCILE_SMTP_URL": gone.url}

    done = shop.run("run", env=nowhere, code=0)
    assert [line["level"] for line in done.logged if line["event"].startswith("The mail server")] == [
        "warning"
    ]
    assert states(shop) == {order: "pending"}

    shop.run("run", code=0)
    assert (states(shop), post.addresses()) == ({order: "sent"}, ["sam@example.com"])


def test_a_drain_is_not_held_up_by_a_mail_server_that_hangs(shop: World, post: MailServer) -> None:
    order = shop.order("sam@example.com")
    started = shop.start("run")
    began: list[datetime] = []

    def hang(_: str) -> None:
        started.signal(signal.SIGTERM)
        began.append(datetime.now(UTC))
        started.process.wait(timeout=20)

    post.once(RECIPIENT, hang)
    done = started.wait()

    assert done.code == 0  # the run itself was over
    assert datetime.now(UTC) - began[0] < timedelta(seconds=14)
    assert states(shop) == {order: "pending"}


def test_two_runs_at_once_send_each_mail_once(shop: World, post: MailServer) -> None:
    orders = shop.orders(30)
    with mail_server() as gone:
        nowhere = {"RECONCILE_SMTP_URL": gone.url}
    shop.run("run", "--quiet", env=nowhere, code=0)
    assert set(states(shop).values()) == {"pending"}

    started = [shop.start("run") for _ in range(3)]
    for run in started:
        assert run.wait().code == 0

    assert len(post.received) == len(set(post.addresses())) == len(orders)
    assert states(shop) == dict.fromkeys(orders, "sent")


def test_names_from_all_over_the_world(shop: World, post: MailServer) -> None:
    shop.order("jörg@example.com", course="kurs-1")
    shop.order("sam@bücher.example", course="kurs-1")
    shop.lms.site.add_course("kurs-1", title="Maßschneiderei für Anfänger – 裁縫")

    shop.run("run", code=0)

    assert sorted(post.addresses()) == ["jörg@example.com", "sam@xn--bcher-kva.example"]
    for mail in post.received:
        assert mail.message["Subject"] == "Your course Maßschneiderei für Anfänger – 裁縫 is ready"
        assert "Maßschneiderei für Anfänger – 裁縫" in mail.part("html")


# --- words -----------------------------------------------------------------------------------


def test_the_words_can_be_replaced(shop: World, post: MailServer, tmp_path: Path) -> None:
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "mail.txt").write_text("Los geht's: {{ course_url }}")
    (folder / "mail.html").write_text("<a href='{{ course_url }}'>{{ course_title }}</a>")
    shop.order("sam@example.com")

    shop.run(
        "run",
        env={
            "RECONCILE_MAIL_TEMPLATE": str(folder),
            "RECONCILE_MAIL_SUBJECT": "Dein Kurs: {{ course_title }}",
            "RECONCILE_COURSE_URL": "https://shop.example/kurs/{course}",
        },
        code=0,
    )

    (mail,) = post.received
    assert mail.message["Subject"] == "Dein Kurs: Python Basics"
    assert mail.part("plain").strip() == f"Los geht's: https://shop.example/kurs/{COURSE}"
    assert f"<a href='https://shop.example/kurs/{COURSE}'>Python Basics</a>" in mail.part("html")


def test_broken_words_end_the_command_before_anything_is_done(shop: World, post: MailServer) -> None:
    (shop.folder / "mail.txt").write_text("{{ cours_title }}")
    order = shop.order("sam@example.com")

    done = shop.run("run", env={"RECONCILE_MAIL_TEMPLATE": str(shop.folder)}, code=2)

    assert "RECONCILE_MAIL_TEMPLATE: mail.txt: 'cours_title' is undefined" in done.said
    assert not shop.sync(order)["synced"]
    assert post.received == []


def test_a_dry_run_shows_one_mail_and_sends_none(shop: World, post: MailServer) -> None:
    shop.orders(3)
    shop.lms.site.enroll("learner2@example.com", COURSE)

    done = shop.run("run", "--dry-run", code=0)
    machine = shop.run("run", "--dry-run", "--json", code=0)

    assert "2 learners would be mailed" in done.stdout
    assert "Subject: Your course Python Basics is ready" in done.stdout
    assert f"{shop.lms.url}/lms/courses/{COURSE}" in done.stdout
    assert "<!doctype html>" in done.stdout
    assert "To: l***@example.com" in done.stdout
    assert set(machine.json) == {
        *("run_id", "mode", "status", "reason", "started_at", "finished_at"),
        *("scanned", "outcomes", "reasons", "lms_requests", "exit_code"),
    }
    assert (post.conversations, states(shop)) == (0, {})


def test_a_dry_run_needs_no_audit_database(bare: World, post: MailServer) -> None:
    switch_on(bare, post)
    bare.order("sam@example.com")

    done = bare.run("run", "--dry-run", code=0)

    assert "1 learner would be mailed" in done.stdout
    assert not bare.audit_file.exists()
    assert bare.run("mail", code=0).stdout == "mail: none yet\n"
    assert bare.run("status", "--json", code=0).json["mail"] == dict.fromkeys(STATES, 0)
