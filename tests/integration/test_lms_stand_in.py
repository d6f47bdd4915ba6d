"""The stand-in's own promises: no uniqueness under concurrency, faults, counters, the admin surface.

What it answers when nothing is wrong is compared with a real LMS in tests/contract/test_lms_recordings.py.
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from reconcile.sandbox.lms.faults import KINDS, Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import stamps

MEMBER, COURSE = "student1@example.com", "python-basics"
RESOURCE = "/api/resource/LMS%20Enrollment"
LIST, COUNT = "/api/method/frappe.client.get_list", "/api/method/frappe.client.get_count"
CONFIRM = "/api/method/lms.lms.payment_confirmation.confirm_payment"
MANY = "/api/method/frappe.client.insert_many"
PAIR = {"member": MEMBER, "course": COURSE}
PAYMENT = {"user_email": MEMBER, "course_id": COURSE, "paid_status": True}


class Reply:
    """An answer: status, headers and text."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.raw = answer.read()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


Ask = Callable[..., Reply]


def ask_at(url: str) -> Ask:
    """A function that asks a server, on a new connection each time."""

    def ask(
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        key: str | None = "integration",
        timeout: float = 5.0,
    ) -> Reply:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"token key_{key}:secret_{key}"
        with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)) as connection:
            text = None if body is None else json.dumps(body)
            connection.request(method or ("GET" if body is None else "POST"), path, text, headers)
            return Reply(connection.getresponse())

    return ask


@pytest.fixture
def server() -> Iterator[FrappeStandIn]:
    with FrappeStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def ask(server: FrappeStandIn) -> Ask:
    return ask_at(server.url)


def listed(ask: Ask, doctype: str = "LMS Enrollment", **args: Any) -> Any:
    key = args.pop("key", "integration")
    return ask(LIST, {"doctype": doctype, "fields": ["name"], "limit_page_length": 0} | args, key=key).json[
        "message"
    ]


# --- no unique key ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RESOURCE, PAIR),
        (CONFIRM, PAYMENT),
        (MANY, {"docs": [PAIR | {"doctype": "LMS Enrollment"}]}),
    ],
    ids=["rest", "confirm_payment", "insert_many"],
)
def test_identical_calls_at_once_make_duplicates(
    server: FrappeStandIn, ask: Ask, path: str, body: Any
) -> None:
    server.site.switches.race_window = 0.05
    together = threading.Barrier(6)

    def call(_: int) -> Reply:
        together.wait()
        return ask(path, body)

    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(call, range(6)))

    rows = server.site.enrollments_of(MEMBER, COURSE)
    assert {reply.status for reply in replies} <= {200, 417}
    assert len(rows) > 1
    assert server.site.duplicates() == {(MEMBER, COURSE): len(rows)}
    # One after the other, the LMS refuses.
    assert "already" in json.dumps(ask(path, body).json)
    assert len(server.site.enrollments_of(MEMBER, COURSE)) == len(rows)


def test_the_framework_without_the_patch_accepts_a_repetition(server: FrappeStandIn, ask: Ask) -> None:
    server.site.switches.variant = "head-oldfw"

    assert [ask(RESOURCE, PAIR).status for _ in range(3)] == [200, 200, 200]
    assert len(server.site.enrollments_of(MEMBER, COURSE)) == 3
    assert ask(CONFIRM, PAYMENT).json["message"]["success"] is False


# --- what a key sees -------------------------------------------------------------------------------


def test_a_students_key_is_blind_but_counts(server: FrappeStandIn, ask: Ask) -> None:
    server.site.enroll(MEMBER, COURSE, owner=MEMBER)
    server.site.enroll("lmsstudent@example.com", COURSE, owner="lmsstudent@example.com")

    assert len(listed(ask)) == 2
    assert len(listed(ask, key="student_role")) == 1
    assert ask(COUNT, {"doctype": "LMS Enrollment"}, key="student_role").json == {"message": 2}
    server.site.switches.count_checks_permissions = True
    assert ask(COUNT, {"doctype": "LMS Enrollment"}, key="student_role").json == {"message": 1}
    assert ask(COUNT, {"doctype": "LMS Enrollment"}, key="lowpriv").status == 403


def test_a_stock_lms_has_no_confirm_payment(server: FrappeStandIn, ask: Ask) -> None:
    server.site.switches.confirm_payment = False

    refused = ask(CONFIRM, PAYMENT, key=None)

    assert refused.status == 417
    assert "No module named 'lms.lms.payment_confirmation'" in refused.json["exception"]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ([["member", "=", "STUDENT1@example.com "]], 2),
        ([["member", "=", " student1@example.com"]], 0),
        ([["member", "!=", MEMBER]], 1),
        ([["member", "like", "student%@example.com"], ["course", "not in", ["web-dev"]]], 2),
        ([["LMS Enrollment", "course", "in", "web-dev,no-such"]], 1),
        ({"member": ["in", [MEMBER]], "course": COURSE}, 1),
        ([["creation", "between", ["2000-01-01", "2999-01-01"]]], 3),
        ([["creation", "<", "2000-01-01"]], 0),
        ([["payment", "is", "set"]], 0),
        ([["payment", "!=", None]], 0),
        ([["progress", ">=", 0]], 3),
    ],
)
def test_filters_compare_as_the_database_does(
    server: FrappeStandIn, ask: Ask, filters: Any, count: int
) -> None:
    for member, course in ((MEMBER, COURSE), (MEMBER, "web-dev"), ("student2@example.com", COURSE)):
        server.site.enroll(member, course)

    assert len(listed(ask, filters=filters)) == count
    assert ask(COUNT, {"doctype": "LMS Enrollment", "filters": filters}).json == {"message": count}


def test_finds_a_page_of_learners_in_a_large_table(server: FrappeStandIn, ask: Ask) -> None:
    courses = [f"course-{number}" for number in range(5)]
    common = stamps("Administrator")
    server.site.insert(
        common | {"name": f"{n:010x}", "member": f"u{n // 5}@example.com", "course": courses[n % 5]}
        for n in range(50_000)
    )
    members = [f"u{number}@example.com" for number in range(4000, 4200)]

    started = time.perf_counter()
    rows = listed(ask, filters=[["member", "in", members], ["course", "in", courses]])

    assert len(rows) == 1000
    # A scan of the table takes several times as long.
    assert time.perf_counter() - started < 0.5


# --- faults ----------------------------------------------------------------------------------------

#: Kind: what the caller sees of a write, and whether it was done.
SEEN = {
    "latency": (200, True),
    "timeout_after_write": (TimeoutError, True),
    "timeout_before": (TimeoutError, False),
    "late_write": (TimeoutError, False),
    "cut_before": (http.client.RemoteDisconnected, False),
    "cut_after_write": (http.client.RemoteDisconnected, True),
    "not_wrapped": (200, True),
    "500_json": (500, False),
    "500_html": (500, False),
    "502_html": (502, False),
    "504_html": (504, False),
    "503_maintenance": (503, False),
    "503_readonly": (503, False),
    "429": (429, False),
    "refuse": (417, False),
    "redirect": (302, False),
} | dict.fromkeys(
    ("garbage", "wrong_shape", "huge", "html_200", "bad_utf8", "empty_body", "success_false"), (200, False)
)


def test_every_kind_of_fault_is_tried() -> None:
    assert set(SEEN) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(SEEN))
def test_a_fault_spoils_one_write(server: FrappeStandIn, ask: Ask, kind: str) -> None:
    delay = {"latency": 0.02}.get(kind, 2.0 if "time" in kind or kind == "late_write" else 0.0)
    server.faults.add(Fault(kind=kind, operation="enroll", delay=delay, retry_after=7))
    seen, done = SEEN[kind]

    if isinstance(seen, int):
        reply = ask(CONFIRM, PAYMENT)
        assert reply.status == seen
        assert ("retry-after" in reply.headers) is (kind == "429")
        assert (len(reply.raw) > 10_000_000) is (kind == "huge")
        assert _is_success(reply) is (kind in ("latency", "not_wrapped"))
    else:
        with pytest.raises(seen):
            ask(CONFIRM, PAYMENT, timeout=0.2)
    assert bool(server.site.enrollments_of(MEMBER, COURSE)) is done

    # It is used up.
    assert ask(CONFIRM, PAYMENT | {"user_email": "student2@example.com"}).json["message"]["success"]


def _is_success(reply: Reply) -> bool:
    """Whether a caller that takes `success: true`, wrapped or not, would believe this."""
    try:
        found = reply.json.get("message", reply.json)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("success") is True


def test_a_late_write_comes_after_the_caller_gave_up(server: FrappeStandIn, ask: Ask) -> None:
    server.faults.add(Fault(kind="late_write", operation="write", delay=0.3))

    with pytest.raises(TimeoutError):
        ask(RESOURCE, PAIR, timeout=0.1)
    assert not server.site.enrollments_of(MEMBER, COURSE)

    deadline = time.monotonic() + 5
    while not server.site.enrollments_of(MEMBER, COURSE) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(server.site.enrollments_of(MEMBER, COURSE)) == 1


def test_a_fault_picks_its_requests(server: FrappeStandIn, ask: Ask) -> None:
    server.faults.add(Fault(kind="500_json", operation="list", doctype="User", times=None, after=1))
    server.faults.add(Fault(kind="refuse", member="student7@", text="Not this one."))
    users = {"doctype": "User", "fields": ["name"]}

    assert [ask(LIST, users).status for _ in range(3)] == [200, 500, 500]
    assert ask(LIST, {"doctype": "LMS Course"}).status == 200
    assert ask(RESOURCE, PAIR).status == 200
    refused = ask(RESOURCE, PAIR | {"member": "student7@example.com"})
    assert (refused.status, refused.json["exc_type"]) == (417, "ValidationError")
    assert "Not this one." in refused.json["_server_messages"]
    server.faults.clear()
    assert ask(LIST, users).status == 200


def test_of_many_at_once_exactly_as_many_as_asked_for_are_spoiled(server: FrappeStandIn, ask: Ask) -> None:
    server.faults.add(Fault(kind="500_html", operation="ping", times=5))

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda _: ask("/api/method/ping").status, range(20)))

    assert statuses.count(500) == 5


def test_stops_while_a_request_hangs() -> None:
    stand_in = FrappeStandIn().start()
    stand_in.faults.add(Fault(kind="timeout_before", delay=60))
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(ask_at(stand_in.url), "/api/method/ping", timeout=30)
        while not stand_in.counters["ping"]:
            time.sleep(0.01)
        started = time.monotonic()
        stand_in.stop()
        with pytest.raises((http.client.HTTPException, OSError)):
            hanging.result()
    assert time.monotonic() - started < 2
    with pytest.raises(ConnectionRefusedError):
        ask_at(stand_in.url)("/api/method/ping")


# --- counters, and the surface for other processes -------------------------------------------------


def test_counts_and_logs_by_operation(server: FrappeStandIn, ask: Ask) -> None:
    ask("/api/method/ping")
    ask("/api/method/frappe.auth.get_logged_user")
    listed(ask, "User")
    listed(ask)
    ask(COUNT, {"doctype": "User"})
    ask(RESOURCE, PAIR)
    ask(CONFIRM, PAYMENT)
    ask(MANY, {"docs": []})
    ask("/api/nosuch")

    expected = ["ping", "whoami", "list:User", "list:LMS Enrollment", "count"]
    expected += ["enroll:rest", "enroll:confirm", "insert_many", "other"]
    assert dict(server.counters) == dict.fromkeys(expected, 1)
    assert [entry.operation for entry in server.log] == expected
    assert (server.log[5].member, server.log[6].course) == (MEMBER, COURSE)
    assert server.log[0].at <= server.log[-1].at


def test_one_connection_serves_many_requests(server: FrappeStandIn) -> None:
    with closing(http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)) as connection:
        ports = set()
        for _ in range(3):
            connection.request("GET", "/api/method/ping")
            assert connection.getresponse().read() == b'{"message":"pong"}'
            ports.add(connection.sock.getsockname()[1])
    assert len(ports) == 1


def test_runs_as_a_process_of_its_own_and_is_driven_over_http(tmp_path: Path) -> None:
    state = {
        "users": [{"email": MEMBER, "full_name": "One"}],
        "courses": [{"name": COURSE}],
        "enrollments": [PAIR],
        "switches": {"race_window": 0},
    }
    (tmp_path / "state.json").write_text(json.dumps(state), "utf-8")
    command = [sys.executable, "-m", "reconcile.sandbox.lms.server", "--port", "0"]
    with subprocess.Popen(
        [*command, "--state", str(tmp_path / "state.json")], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            ready, _, url = process.stdout.readline().strip().partition(" ")
            assert ready == "ready"
            ask = ask_at(url)
            _drive(ask)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def _drive(ask: Ask) -> None:
    assert "already enrolled" in ask(CONFIRM, PAYMENT).json["message"]["error"]
    assert ask("/_sandbox/unenroll", PAIR).json == 1
    people = [{"email": "Two@Example.com"}, {"email": "three@example.com"}]
    assert ask("/_sandbox/users", people).status == 200
    ask("/_sandbox/courses", {"name": "extra", "published": False})
    ask("/_sandbox/keys", {"key": "key_own", "secret": "secret_own", "user": "own@example.com"})
    assert ask("/_sandbox/enroll", {"member": "two@example.com", "course": "extra"}).json["name"]
    assert ask("/_sandbox/switches", {"variant": "2024"}).json["variant"] == "2024"
    assert ask("/_sandbox/switches", {"variant": "1999"}).status == 400
    assert ask("/_sandbox/nothing").status == 404

    site = ask("/_sandbox/state").json
    assert [(row["member"], row["course"]) for row in site["enrollments"]] == [("two@example.com", "extra")]
    assert {"two@example.com", "three@example.com", "own@example.com"} <= {u["name"] for u in site["users"]}
    assert "secret" not in json.dumps(site)
    assert ask("/api/method/frappe.auth.get_logged_user", key="own").json == {"message": "own@example.com"}

    assert ask("/_sandbox/faults", {"kind": "502_html", "operation": "ping", "times": None}).status == 200
    assert ask("/_sandbox/faults", {"kind": "nosuch"}).status == 400
    assert ask("/api/method/ping").status == 502
    assert [fault["kind"] for fault in ask("/_sandbox/faults").json] == ["502_html"]
    ask("/_sandbox/faults", method="DELETE")
    assert ask("/api/method/ping").status == 200
    assert ask("/_sandbox/counters").json == {"enroll:confirm": 1, "whoami": 1, "ping": 2}
    assert len(ask("/_sandbox/log").json) == 4
    ask("/_sandbox/reset", {})
    assert ask("/_sandbox/counters").json == {}
