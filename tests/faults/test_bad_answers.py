"""Bad answers of the LMS in whole runs: never an exception, never a wrong write, never a secret shown.

They go through the real LMS client as the bytes of a body.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcile.base.errors import AmbiguousWrite, ServiceUnavailable
from reconcile.base.redaction import register_secret
from reconcile.domain.model import EffectKey
from reconcile.lms.http.answer import Answer
from reconcile.lms.lms import FrappeLms
from reconcile.run.summary import RunStatus
from reconcile.sandbox.servers import KEY
from tests.fakes.harness import World
from tests.fakes.lines import ADDRESS, SECRET, everything_logged, shows_no_secret
from tests.fakes.world import order
from tests.faults.bench import COURSE, Bench

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
    world = World(orders, lms=client)  # type: ignore[arg-type]  # the real client

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


def test_a_body_of_ten_megabytes_is_cut(bench: Bench) -> None:
    """Over a socket: more than the limit is refused, less is read and thrown away."""
    (email,) = bench.orders(1)
    bench.fault("huge", operation="enroll", times=None, member=email)

    with everything_logged() as lines:
        result = bench.run(RECONCILE_TIMEOUT="10s")

    assert result.summary.as_json()["reasons"] == {"protocol": 1}
    assert len(lines.text) < 20_000
    assert all(len(str(tuple(row))) < 3_000 for row in bench.attempts())


def test_the_victim_is_told_where_asked_for() -> None:
    """A guard for the guard: what the tests look for would be found."""
    with everything_logged() as lines:
        logging.getLogger("reconcile.test").warning("the key is %s", SECRET)
    with pytest.raises(AssertionError):
        shows_no_secret(lines.text)
