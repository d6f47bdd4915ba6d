"""The HTTP edge: every exception of the library is mapped, reads are repeated, writes never."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st
from requests import exceptions as theirs
from urllib3 import exceptions as below

from reconcile.base.errors import AmbiguousWrite, ProtocolViolation, ServiceUnavailable
from reconcile.lms.http.answer import Answer
from reconcile.lms.http.errors import MAPPING, Fault, fault_of, to_error


def subclasses(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for child in kind.__subclasses__():
        yield from subclasses(child)


REQUESTS_ERRORS = [
    kind for kind in dict.fromkeys(subclasses(theirs.RequestException)) if kind.__module__ == theirs.__name__
]
URLLIB3_ERRORS = [
    kind for kind in dict.fromkeys(subclasses(below.HTTPError)) if kind.__module__ == below.__name__
]
POOL = urllib3.HTTPConnectionPool("h")
CONNECTION = urllib3.connection.HTTPConnection("h")


def bare(kind: type[BaseException]) -> BaseException:
    """An instance without caring for the constructor."""
    return kind.__new__(kind)


@pytest.mark.parametrize("kind", REQUESTS_ERRORS, ids=lambda kind: kind.__name__)
def test_every_exception_of_requests_is_in_the_table(kind: type[BaseException]) -> None:
    assert kind in MAPPING


@pytest.mark.parametrize("kind", [*REQUESTS_ERRORS, *URLLIB3_ERRORS], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_every_exception_becomes_one_of_ours(kind: type[BaseException], *, write: bool) -> None:
    error = to_error(bare(kind), "enroll", write=write)

    assert isinstance(error, (ServiceUnavailable, AmbiguousWrite, ProtocolViolation))
    assert write or not isinstance(error, AmbiguousWrite)


BEFORE_SENDING = {
    "refused": theirs.ConnectionError(
        below.MaxRetryError(POOL, "/x", below.NewConnectionError(CONNECTION, "refused"))
    ),
    "dns": theirs.ConnectionError(
        below.MaxRetryError(
            POOL, "/x", below.NameResolutionError("h", CONNECTION, socket.gaierror(-2, "unknown"))
        )
    ),
    "connect time-out": theirs.ConnectTimeout(
        below.MaxRetryError(POOL, "/x", below.ConnectTimeoutError(CONNECTION, "slow"))
    ),
    "certificate": theirs.SSLError(
        below.MaxRetryError(POOL, "/x", below.SSLError(ssl.SSLCertVerificationError(1, "self-signed")))
    ),
}
PERHAPS_SENT = {
    "reset": theirs.ConnectionError(
        below.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset"))
    ),
    "closed": theirs.ConnectionError(
        below.ProtocolError("Connection aborted.", http.client.RemoteDisconnected("closed"))
    ),
    "broken pipe": theirs.ConnectionError(
        below.ProtocolError("Connection aborted.", BrokenPipeError(32, "pipe"))
    ),
    "read time-out": theirs.ReadTimeout(below.ReadTimeoutError(POOL, "/x", "slow")),
    "read time-out, wrapped": theirs.ConnectionError(
        below.MaxRetryError(POOL, "/x", below.ReadTimeoutError(POOL, "/x", "slow"))
    ),
    "tls, later": theirs.SSLError(below.SSLError(ssl.SSLEOFError(8, "EOF occurred"))),
    "chunks": theirs.ChunkedEncodingError(below.ProtocolError("bad chunk")),
    "decoding": below.DecodeError("no gzip"),
    "cut off": below.IncompleteRead(1, 2),
    "broken header": theirs.InvalidHeader(below.InvalidHeader("Content-Length contained 1,2")),
    "plain reset": ConnectionResetError(104, "reset"),
    "refused, unexplained": ConnectionRefusedError(111, "refused"),
    "bad status line": http.client.BadStatusLine("x"),
    "plain": theirs.ConnectionError("?"),
    "nothing known": theirs.RequestException(),
}


@pytest.mark.parametrize("case", BEFORE_SENDING)
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
def test_what_broke_before_sending_was_not_done(case: str, *, write: bool) -> None:
    error = to_error(BEFORE_SENDING[case], "enroll", write=write)

    assert isinstance(error, ServiceUnavailable)
    assert error.certain
    assert error.hint.startswith("Check ") == (case in ("dns", "certificate"))


@pytest.mark.parametrize("case", PERHAPS_SENT)
def test_what_broke_later_is_ambiguous_for_a_write_only(case: str) -> None:
    assert isinstance(to_error(PERHAPS_SENT[case], "enroll", write=True), AmbiguousWrite)
    assert isinstance(to_error(PERHAPS_SENT[case], "look", write=False), ServiceUnavailable)


def test_an_earlier_requests_error_proves_nothing_about_this_one() -> None:
    reset = theirs.ConnectionError(below.ProtocolError("Connection aborted.", ConnectionResetError()))
    reset.__context__ = BEFORE_SENDING["refused"]

    assert fault_of(reset) is Fault.UNANSWERED


def test_messages_hold_no_url_and_no_words_of_the_peer() -> None:
    pool = urllib3.HTTPSConnectionPool("secret-host")
    error = theirs.ConnectionError(
        below.MaxRetryError(pool, "/x?member=student@example.com", below.ProtocolError("token abc:def"))
    )

    message = str(to_error(error, "enroll", write=True))

    assert not any(word in message for word in ("secret-host", "student", "abc:def"))


# Parsing.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe{}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"1" * 5000,
        b'{"a": 1',
        b'{"a": 1} x',
    ],
    ids=[
        "empty",
        "html",
        "utf-16",
        "nan",
        "infinity",
        "huge float",
        "deep",
        "deeper",
        "huge int",
        "cut",
        "more",
    ],
)
def test_what_is_no_json(body: bytes) -> None:
    answer = Answer.of(200, {}, body)

    assert (answer.json, answer.is_json) == (None, False)


def test_an_answer_is_plain_values() -> None:
    answer = Answer.of(
        404, {"Content-Type": "text/html"}, b"<p>Hi  student@example.com\x1b[0m</p>" + b"x" * 10**6
    )

    assert answer.headers == {"content-type": "text/html"}
    assert answer.text_excerpt.startswith(r"Hi s***@example.com\x1b[0m")
    assert len(answer.text_excerpt) <= 300


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert Answer.of(200, {}, b"\xef\xbb\xbf{}").json == {}


@given(st.binary(max_size=200), st.integers(100, 999))
def test_no_body_breaks_the_parser(body: bytes, status: int) -> None:
    answer = Answer.of(status, {}, body)

    answer.text_excerpt.encode("utf-8")
