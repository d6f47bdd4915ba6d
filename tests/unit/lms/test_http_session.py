"""A write leaves promptly or not at all: what comes between the fence and the socket cannot delay it."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from reconcile.base.errors import AmbiguousWrite, ServiceUnavailable
from reconcile.lms.http import session
from tests.fakes.raw_server import Edge, Serve, reply


def slow_names(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A name server that takes its time, which no time-out of the library covers."""
    real = socket.getaddrinfo

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        time.sleep(seconds)
        return real(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_write_that_would_leave_late_does_not_leave(
    serve: Serve, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda c, n: c.sendall(reply()))
    http = edge(server, timeout=0.3)
    monkeypatch.setattr("reconcile.lms.http.client._SLACK", 0.0)
    slow_names(monkeypatch, 0.5)

    with pytest.raises(ServiceUnavailable) as caught:
        http.write("enroll", "/x", body={})

    assert caught.value.certain
    assert server.received == []


def test_a_read_may_leave_late_and_a_connection_that_stands_is_prompt(
    serve: Serve, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda c, n: c.sendall(reply()))
    http = edge(server, timeout=0.3)
    monkeypatch.setattr("reconcile.lms.http.client._SLACK", 0.0)
    slow_names(monkeypatch, 0.5)

    http.read("ping", "GET", "/x")
    http.write("enroll", "/x", body={})

    assert len(server.received) == 2


def test_a_write_that_stalls_in_the_middle_of_its_bytes_is_unanswered(
    serve: Serve, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda c, n: c.sendall(reply()))
    http = edge(server, timeout=0.3)
    monkeypatch.setattr("reconcile.lms.http.client._SLACK", 0.0)
    real = session._look_at_the_clock
    pieces = []

    def stopped_between_head_and_body(connection: Any) -> None:
        pieces.append(connection)
        if len(pieces) == 2:
            time.sleep(0.4)
        real(connection)

    monkeypatch.setattr(session, "_look_at_the_clock", stopped_between_head_and_body)

    with pytest.raises(AmbiguousWrite):
        http.write("enroll", "/x", body={})
    assert server.received == []
