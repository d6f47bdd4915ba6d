"""Connections are kept, as many as there are requests in flight, and not for too long."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.fakes.raw_server import Edge, Serve, reply


def test_as_many_connections_are_open_as_requests_are_in_flight(serve: Serve, edge: Edge) -> None:
    together = threading.Barrier(4)

    def answer(connection: socket.socket, number: int) -> None:
        if number <= 4:
            together.wait(10)  # all four have arrived, each on a connection of its own
        connection.sendall(reply())

    server = serve(answer)
    http_edge = edge(server)

    def work() -> None:
        for _ in range(5):
            http_edge.read("ping", "GET", "/")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert http_edge.requests == 20
    assert server.connections == 4


def test_one_after_the_other_goes_over_one_connection_whatever_the_thread(serve: Serve, edge: Edge) -> None:
    server = serve(lambda c, n: c.sendall(reply()))
    http_edge = edge(server)

    for _ in range(5):
        thread = threading.Thread(target=http_edge.read, args=("ping", "GET", "/"))
        thread.start()
        thread.join()

    assert server.connections == 1


def test_connections_that_are_no_more_needed_are_closed(
    serve: Serve, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)

    def answer(connection: socket.socket, number: int) -> None:
        if number <= 2:
            together.wait(10)
        connection.sendall(reply())

    server = serve(answer)
    http_edge = edge(server)
    threads = [threading.Thread(target=http_edge.read, args=("ping", "GET", "/")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(http_edge._idle) == 2
    (unused, _), (used, at) = http_edge._idle
    http_edge._idle[:] = [(unused, at - 60), (used, at)]

    http_edge.read("ping", "GET", "/")

    assert [session for session, _ in http_edge._idle] == [used]
    http_edge.close()
    assert http_edge._idle == []
    http_edge.read("ping", "GET", "/")
    assert server.connections == 3


def test_a_connection_long_idle_is_not_used_again(
    serve: Serve, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda c, n: c.sendall(reply()))
    http_edge = edge(server)
    http_edge.read("ping", "GET", "/")
    monkeypatch.setattr("reconcile.lms.http.client._MAX_IDLE", -1.0)

    http_edge.read("ping", "GET", "/")

    assert server.connections == 2
