"""Bad data from both sides, in whole runs: never an exception, never a wrong write, never a secret shown.

Documents come out of the embedded MongoDB (which stores no broken UTF-8: a test of the source reads that);
answers go through the real adapter as the bytes of a body.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconcile.adapters.frappe import FrappeLms
from reconcile.adapters.http_answer import Answer
from reconcile.domain.model import EffectKey
from reconcile.domain.summary import RunStatus
from reconcile.errors import AmbiguousWrite, ServiceUnavailable
from reconcile.redaction import register_secret
from reconcile.sandbox.servers import KEY
from tests.fakes.harness import World
from tests.fakes.world import order
from tests.faults.bench import COURSE, Bench

SECRET = KEY.partition(":")[2]
ADDRESS = "victim.of.a.leak@example.com"


class Everything(logging.Handler):
    """All that is logged, at any level, as one text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"


@contextmanager
def everything_logged() -> Iterator[Everything]:
    lines, ours = Everything(), logging.getLogger("reconcile")
    level = ours.level
    ours.addHandler(lines)
    ours.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        ours.removeHandler(lines)
        ours.setLevel(level)


def shows_no_secret(text: str) -> None:
    assert SECRET not in text
    assert ADDRESS not in text


# --- documents -----------------------------------------------------------------------------

FIELDS = (
    *("courseId", "email", "paymentId", "amount", "currency", "status", "timestamp", "createdAt"),
    *("lmsContext", "affiliateData", "stripeEvents", "frappeSync"),
)
SYNC_FIELDS = ("synced", "syncStatus", "enrollmentId", "errorMessage", "retryCount", "lastSyncAttempt")


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.binary(max_size=8),
    st.sampled_from(
        [
            *("", " ", "\x00", "a\x00b@example.com", "\x1b[31m", "=1+1", "🎓@example.com", "x" * 70_000),
            *(f"{ADDRESS}\n", "python-basics\u202e", "../../etc", "$set", "\ufffd@example.com"),
            *(
                Int64(2**63 - 1),
                Decimal128("NaN"),
                Decimal128("1E+6144"),
                datetime(1, 1, 1, tzinfo=UTC),
                Timestamp(1, 1),
            ),
            *(Regex("a+"), MaxKey(), ObjectId(), [], {}, [[]], nested(80), {"$where": "1"}, {"": 1}),
        ]
    ),
    st.lists(st.integers(0, 3) | st.none(), max_size=3),
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """An order with one to four fields spoiled."""
    document = order("placeholder", courseId=COURSE)
    for field in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4, unique=True)):
        document[field] = draw(JUNK)
    if draw(st.booleans()):
        document["frappeSync"] = {
            name: draw(JUNK) for name in draw(st.lists(st.sampled_from(SYNC_FIELDS), max_size=4))
        }
    if draw(st.integers(0, 4)) == 0:
        document["status"] = draw(st.sampled_from(["pending", "failed", "PAID", "paid ", None, True]))
    return document


def insert(bench: Bench, found: Sequence[dict[str, Any]]) -> None:
    for number, document in enumerate(found):
        document["_id"] = ObjectId()
        if document["email"] == "placeholder@example.com":
            document["email"] = f"learner{number}@example.com"
        if isinstance(document["email"], str) and "\x00" not in document["email"]:
            bench.lms.site.add_user(document["email"])
    bench.database["enrollments"].insert_many(found)


def a_run_survives(bench: Bench, found: list[dict[str, Any]]) -> None:
    bench.database["enrollments"].delete_many({})
    bench.database["reconcile_leases"].delete_many({})
    if bench.lms.site.course(COURSE) is None:
        bench.lms.site.add_course(COURSE)
    insert(bench, found)
    bench.lms.calls.reset()
    unpaid = {str(item["_id"]): item for item in found if item["status"] != "paid"}

    with everything_logged() as lines:
        result = bench.run(RECONCILE_TIMEOUT="5s", RECONCILE_CONCURRENCY="4", RECONCILE_MIN_AGE="0s")

    assert result.summary.status is RunStatus.COMPLETED, result.failure
    shows_no_secret(lines.text)
    shows_no_secret(str([tuple(row) for row in bench.audit("SELECT * FROM attempts")]))
    assert bench.lms.site.duplicates() == {}
    assert bench.open_attempts() == []
    attempted = {row["enrollment_id"] for row in bench.attempts()}
    assert not attempted & set(unpaid)
    named = {row["name"] for row in bench.lms.site.enrollments()}
    recorded = {row["lms_enrollment_id"] for row in bench.audit("SELECT * FROM attempts")}
    assert recorded - {None} <= named


@pytest.fixture
def clean(bench: Bench) -> Bench:
    register_secret(SECRET)
    return bench


_ONE_BENCH = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=12, deadline=None, suppress_health_check=_ONE_BENCH)
@given(st.lists(documents(), min_size=10, max_size=25))
def test_no_document_breaks_a_run(clean: Bench, found: list[dict[str, Any]]) -> None:
    a_run_survives(clean, found)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=_ONE_BENCH)
@given(st.lists(documents(), min_size=10, max_size=25))
def test_no_document_of_thousands_breaks_a_run(clean: Bench, found: list[dict[str, Any]]) -> None:
    a_run_survives(clean, found)


# --- answers -------------------------------------------------------------------------------

LEARNERS = [f"learner{number}" for number in range(4)]
HTML = b"<html><body>" + f"Authorization: token {KEY} for {ADDRESS}".encode() + b"</body></html>"
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from([ADDRESS, KEY, "python-basics", "x" * 500, "\ud800", "\x00", "👩‍🎓", 10**400]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("message", "data", "success", "enrollment_id", "name", "member", "course", "error"),
                    *("exc_type", "exception", "_server_messages", "enabled", "published"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)
BODIES = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [
            *(b"", b"null", b"[" * 100_000, b'{"message": ' * 5_000, HTML, b"\xff\xfe\x00", b"NaN"),
            *(b'{"message": {"success": true, "enrollment_id": "\\ud800"}}', b'{"message": "pong"}'),
            b'{"exc_type": "' + SECRET.encode() + b'"}',
            json.dumps(
                {"_server_messages": json.dumps([json.dumps({"message": f"{KEY} {ADDRESS}"})])}
            ).encode(),
            json.dumps({"message": {"success": False, "error": f"{KEY} is not {ADDRESS}"}}).encode(),
        ]
    ),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Retry-After", "X-RateLimit-Reset", "X-RateLimit-Limit", "X-RateLimit-Remaining", "Date"]
    ),
    st.sampled_from(
        ["", "0", "-1", "1", "nan", "inf", "1e400", "soon", "0.0001", "Thu, 01 Jan 1970 00:00:00 GMT"]
    ),
    max_size=4,
)
STATUSES = st.sampled_from(
    [200, 201, 202, 204, 400, 408, 409, 413, 417, 418, 429, 499, 500, 502, 503, 504, 599]
)


class Babbling:
    """The place of `Http`: tells the truth about a small LMS, until it babbles. Thread-safe."""

    requests = 0

    def __init__(self, babble: Sequence[tuple[int, bytes, dict[str, str], bool] | None]) -> None:
        self.last_headers: dict[str, str] = {}
        self._babble = iter(babble)
        self._lock = threading.Lock()
        self.rows = {
            EffectKey("stranger@example.com", COURSE): "n0",
            EffectKey("other@example.com", COURSE): "n1",
        }
        self.asked: list[EffectKey] = []
        self.said = ""

    def read(self, operation: str, method: str, path: str, *, body: Any = None, retries: int = 0) -> Answer:
        with self._lock:
            if spoiled := next(self._babble, None):
                return self._say(*spoiled[:3])
        if operation == "ping":
            return self._tell("pong")
        if operation.startswith("count"):
            return self._tell(len(self.rows))
        if operation == "list LMS Enrollment":
            rows = [
                {"name": name, "member": key.member, "course": key.course} for key, name in self.rows.items()
            ]
            return self._tell(rows)
        flag = "enabled" if operation == "list User" else "published"
        names = [f"{name}@example.com" for name in LEARNERS] if flag == "enabled" else [COURSE]
        return self._tell([{"name": name, flag: 1} for name in names])

    def write(self, operation: str, path: str, *, body: Any) -> Answer:
        key = EffectKey(body.get("user_email") or body["member"], body.get("course_id") or body["course"])
        with self._lock:
            self.asked.append(key)
            spoiled = next(self._babble, None)
            name = f"n{len(self.rows)}"
            if spoiled is None or spoiled[3]:
                self.rows[key] = name
            if spoiled is not None and not spoiled[1]:
                raise (AmbiguousWrite if spoiled[3] else ServiceUnavailable)("nothing came")
            if spoiled is not None:
                return self._say(*spoiled[:3])
        if operation == "confirm_payment":
            return self._tell({"success": True, "enrollment_id": name})
        return self._say(
            200, json.dumps({"data": {"name": name, "member": key.member, "course": key.course}}).encode()
        )

    def _tell(self, message: Any) -> Answer:
        return self._say(200, json.dumps({"message": message}).encode())

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        self.said += body.decode("utf-8", "replace")
        answer = Answer.of(status, headers or {}, body)
        self.last_headers = dict(answer.headers)
        return answer


def whatever_the_lms_says(via: Any, babble: list[tuple[int, bytes, dict[str, str], bool] | None]) -> None:
    register_secret(SECRET)
    http = Babbling(babble)
    client = FrappeLms(base_url="http://localhost", authorization=f"token {KEY}", via=via)
    client._http = http  # type: ignore[assignment]  # the bytes, without the socket
    orders = [*(order(name, courseId=COURSE) for name in LEARNERS), order("unpaid", status="pending")]
    world = World(orders, lms=client)  # type: ignore[arg-type]  # the real adapter

    with everything_logged() as lines:
        result = world.run(concurrency=2)

    assert result.summary.status in (RunStatus.COMPLETED, RunStatus.ABORTED)
    assert result.summary.reason != "internal_error"
    assert {key.member for key in http.asked} <= {f"{name}@example.com" for name in LEARNERS}
    told = [row.verdict for row in world.audit.attempts.values()]
    shows_no_secret(lines.text + str(result.failure) + str(told) + str(world.source.writes))
    for name in LEARNERS:
        sync = world.sync(name)
        if sync["syncStatus"] == "success":
            # Named by the LMS, in so many words.
            assert json.dumps(sync["enrollmentId"])[1:-1] in http.said or sync["enrollmentId"] in http.said
    assert len(world.audit.attempts) >= len(http.asked)


BABBLE = st.lists(st.none() | st.tuples(STATUSES, BODIES, HEADERS, st.booleans()), max_size=14)


@pytest.mark.parametrize("via", ["confirm_payment", "rest"])
@settings(max_examples=150, deadline=None)
@given(BABBLE)
def test_no_answer_breaks_a_run(via: str, babble: list[Any]) -> None:
    # The beginning is the truth, so that most runs come to their writes.
    whatever_the_lms_says(via, [None] * 6 + babble)


@pytest.mark.slow
@pytest.mark.parametrize("via", ["confirm_payment", "rest"])
@pytest.mark.parametrize("truths", [0, 3, 6])
@settings(max_examples=2000, deadline=None)
@given(BABBLE)
def test_no_answer_of_thousands_breaks_a_run(via: str, truths: int, babble: list[Any]) -> None:
    whatever_the_lms_says(via, [None] * truths + babble)


def test_a_body_of_ten_megabytes_is_cut(clean: Bench) -> None:
    """Over a socket: more than the limit is refused, less is read and thrown away."""
    (email,) = clean.orders(1)
    clean.fault("huge", operation="enroll", times=None, member=email)

    with everything_logged() as lines:
        result = clean.run(RECONCILE_TIMEOUT="10s")

    assert result.summary.as_json()["reasons"] == {"protocol": 1}
    assert len(lines.text) < 20_000
    assert all(len(str(tuple(row))) < 3_000 for row in clean.attempts())


def test_the_victim_is_told_where_asked_for() -> None:
    """A guard for the guard: what the tests look for would be found."""
    with everything_logged() as lines:
        logging.getLogger("reconcile.test").warning("%s %s", SECRET, datetime.now(UTC))
    with pytest.raises(AssertionError):
        shows_no_secret(lines.text)
