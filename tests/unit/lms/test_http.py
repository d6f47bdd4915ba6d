"""The HTTP edge against a raw socket: reads are repeated, writes never, and nothing takes for ever."""

from __future__ import annotations

import gzip
import socket
import time

import pytest

from reconcile.base.errors import AmbiguousWrite, ProtocolViolation, ReconcileError, ServiceUnavailable
from reconcile.lms.http.client import Http
from tests.fakes.raw_server import Edge, Handler, Serve, reply


def test_headers_are_ours_and_cookies_are_refused(serve: Serve, edge: Edge) -> None:
    server = serve(lambda c, n: c.sendall(reply(200, b"{}", "Set-Cookie: sid=Guest; Path=/")))
    http_edge = edge(server, authorization="token key:secret")

    http_edge.read("ping", "GET", "/api/method/ping")
    http_edge.write("enroll", "/api/x", body={"a": 1})

    first, second = (request.decode().lower() for request in server.received)
    for request in (first, second):
        assert "accept: application/json\r\n" in request
        assert "accept-language: en\r\n" in request
        assert "user-agent: reconcile/" in request
        assert "authorization: token key:secret\r\n" in request
        assert "cookie" not in request
    assert second.endswith('\r\n\r\n{"a": 1}')
    assert "content-type: application/json\r\n" in second
    assert server.connections == 1
    assert http_edge.requests == 2


def test_environment_proxies_and_netrc_are_ignored(
    serve: Serve, edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server = serve(lambda c, n: c.sendall(reply()))

    assert edge(server).read("ping", "GET", "/").status == 200


def test_redirects_are_not_followed(serve: Serve, edge: Edge) -> None:
    server = serve(lambda c, n: c.sendall(reply(302, b"", "Location: http://127.0.0.1:9/")))

    assert edge(server).write("enroll", "/", body={}).status == 302
    assert len(server.received) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_read_is_repeated_where_the_obstacle_passes(serve: Serve, edge: Edge, status: int) -> None:
    server = serve(lambda c, n: c.sendall(reply(status if n < 3 else 200)))
    waits: list[float] = []
    http_edge = edge(server, sleep=waits.append)

    assert http_edge.read("ping", "GET", "/").status == 200
    assert http_edge.requests == 3
    assert 0.1 <= waits[0] <= 0.3
    assert 0.2 <= waits[1] <= 0.6


@pytest.mark.parametrize("status", [200, 401, 403, 404, 417, 429, 500])
def test_other_answers_are_final(serve: Serve, edge: Edge, status: int) -> None:
    server = serve(lambda c, n: c.sendall(reply(status)))

    assert edge(server).read("ping", "GET", "/").status == status
    assert len(server.received) == 1


def test_a_read_gives_up_after_three(serve: Serve, edge: Edge) -> None:
    server = serve(lambda c, n: c.close())

    with pytest.raises(ServiceUnavailable, match="did not answer"):
        edge(server).read("ping", "GET", "/")
    assert len(server.received) == 3


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_write_is_never_repeated_for_its_status(serve: Serve, edge: Edge, status: int) -> None:
    server = serve(lambda c, n: c.sendall(reply(status, b"", "Retry-After: 0")))

    assert edge(server).write("enroll", "/", body={}).status == status
    assert len(server.received) == 1


def _reset(connection: socket.socket, _: int) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


def _then_close(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(sent)
    connection.close()


def _drip(connection: socket.socket, _: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _piece in range(50):
        connection.sendall(b"x")
        time.sleep(0.05)


def _drip_chunk(connection: socket.socket, _: int) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n")
    for _piece in range(50):
        connection.sendall(b"x")
        time.sleep(0.05)


UNANSWERED: dict[str, Handler] = {
    "closed": lambda c, n: c.close(),
    "reset": _reset,
    "silent": lambda c, n: time.sleep(0.6),
    "drip": _drip,
    "drip in a chunk": _drip_chunk,
    "cut off": lambda c, n: _then_close(c, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
    "no http": lambda c, n: _then_close(c, b"SSH-2.0-OpenSSH\r\n\r\n"),
    "bad chunk": lambda c, n: c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "bad gzip": lambda c, n: c.sendall(reply(200, b"no gzip", "Content-Encoding: gzip")),
    "two lengths": lambda c, n: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n{}"),
    "endless header": lambda c, n: c.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
    "too many headers": lambda c, n: c.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
}


@pytest.mark.parametrize("case", UNANSWERED)
def test_an_unanswered_write_is_sent_once_and_ambiguous(serve: Serve, edge: Edge, case: str) -> None:
    server = serve(UNANSWERED[case])
    started = time.monotonic()

    with pytest.raises(AmbiguousWrite):
        edge(server).write("enroll", "/", body={"a": 1})

    assert len(server.received) == 1
    assert time.monotonic() - started < 2


def test_a_stale_connection_is_ambiguous_for_a_write_and_never_resent(serve: Serve, edge: Edge) -> None:
    # The server answers once and then drops the connection as the next request arrives.
    server = serve(lambda c, n: c.sendall(reply()) if n == 1 else _reset(c, n))
    http_edge = edge(server)
    http_edge.read("ping", "GET", "/")

    with pytest.raises(AmbiguousWrite):
        http_edge.write("enroll", "/", body={"a": 1})

    assert len(server.received) == 2


@pytest.mark.parametrize("compressed", [False, True])
def test_a_body_beyond_the_limit_is_refused(serve: Serve, edge: Edge, *, compressed: bool) -> None:
    body = b"x" * 300_000
    answer = reply(200, gzip.compress(body), "Content-Encoding: gzip") if compressed else reply(200, body)
    server = serve(lambda c, n: c.sendall(answer))

    with pytest.raises(ProtocolViolation, match="larger than 200000"):
        edge(server, largest_body=200_000).read("look", "POST", "/", body={})
    assert len(server.received) == 1


def test_compressed_and_chunked_answers_are_read(serve: Serve, edge: Edge) -> None:
    body = gzip.compress(b'{"message":"pong"}')
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    server = serve(lambda c, n: c.sendall(head + chunked))
    http_edge = edge(server)

    for _ in range(2):
        assert http_edge.read("ping", "GET", "/").json == {"message": "pong"}
    assert server.connections == 1


def test_an_unknown_host_is_asked_for_once() -> None:
    http_edge = Http(base_url="http://lms.invalid", timeout=0.5, sleep=lambda _: None)

    with pytest.raises(ServiceUnavailable, match="host name is unknown"):
        http_edge.read("ping", "GET", "/")
    assert http_edge.requests == 1
    http_edge.close()


def test_a_closed_port_is_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    http_edge = Http(base_url=f"http://127.0.0.1:{port}", timeout=0.5, sleep=lambda _: None)

    with pytest.raises(ServiceUnavailable, match=r"cannot connect .*\(connection refused\)") as caught:
        http_edge.write("enroll", "/", body={})
    assert caught.value.certain
    http_edge.close()


def test_https_to_a_plain_port_is_not_sent_and_says_so(serve: Serve) -> None:
    server = serve(lambda c, n: c.sendall(reply()))
    http_edge = Http(base_url=server.url.replace("http:", "https:"), timeout=0.5)

    def refuse(connection: socket.socket) -> bytes:
        connection.recv(9)
        connection.sendall(reply(400))
        return b""

    server._request = refuse  # type: ignore[method-assign]

    with pytest.raises(ServiceUnavailable, match="TLS") as caught:
        http_edge.write("enroll", "/", body={})
    assert "https" in caught.value.hint
    http_edge.close()


def test_each_request_is_told_to_the_observer(serve: Serve, edge: Edge) -> None:
    server = serve(lambda c, n: c.close() if n == 1 else c.sendall(reply(429)))
    told: list[tuple[str, int | None]] = []
    http_edge = edge(server, on_request=lambda operation, status, seconds: told.append((operation, status)))

    http_edge.read("ping", "GET", "/")

    assert told == [("ping", None), ("ping", 429)]


def test_our_errors_are_all_that_leaves(serve: Serve, edge: Edge) -> None:
    # A guard against a library upgrade: a request that cannot even be built.
    server = serve(lambda c, n: c.sendall(reply()))
    http_edge = edge(server)
    http_edge._base_url = "http://[broken"

    with pytest.raises(ReconcileError):
        http_edge.write("enroll", "/", body={})
