"""The listener, over real sockets: what it answers, and that nobody can hold it up."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from reconcile.base.errors import ConfigurationError
from reconcile.jobs import listener
from reconcile.jobs.listener import Listener, Page

LOOPBACK = "127.0.0.1"


def _breaks(_accept: str) -> Page:
    raise RuntimeError("the page is on fire")


PAGES = {
    "/hello": lambda accept: Page(body=b"hello " + accept.encode()),
    "/ill": lambda _: Page(body=b"ill", status=503),
    "/broken": _breaks,
}


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    serving = Listener((LOOPBACK, 0), PAGES)
    serving.start()
    yield LOOPBACK, int(serving.url.rpartition(":")[2])
    serving.stop()


def ask(
    address: tuple[str, int], method: str, path: str, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def raw(address: tuple[str, int], sent: bytes) -> bytes:
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(4096), b""))


def test_a_page(address: tuple[str, int]) -> None:
    status, body, headers = ask(address, "GET", "/hello?x=1", Accept="text/plain")

    assert (status, body) == (200, b"hello text/plain")
    assert headers["Content-Length"] == "16"
    assert headers["Server"] == "reconcile"


def test_head_is_get_without_the_body(address: tuple[str, int]) -> None:
    status, body, headers = ask(address, "HEAD", "/hello", Accept="text/plain")

    assert (status, body, headers["Content-Length"]) == (200, b"", "16")


def test_a_page_chooses_its_status(address: tuple[str, int]) -> None:
    assert ask(address, "GET", "/ill")[:2] == (503, b"ill")


@pytest.mark.parametrize("path", ["/", "/hello/", "/HELLO", "/hello%00", "/../hello", "/nowhere"])
def test_everything_else_is_not_found(path: str, address: tuple[str, int]) -> None:
    status, body, _ = ask(address, "GET", path)

    assert status == 404
    assert b"/hello" in body
    assert b"nowhere" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(method: str, address: tuple[str, int]) -> None:
    status, _, headers = ask(address, method, "/hello")

    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_page_that_breaks_says_nothing_of_why(
    address: tuple[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    status, body, _ = ask(address, "GET", "/broken")

    assert status == 500
    assert b"fire" not in body
    assert "on fire" in caplog.text
    assert ask(address, "GET", "/hello")[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"<script>alert(1)</script> x y\r\n\r\n", b"400"),
        (b"GET /hello HTTP/9.9\r\n\r\n", b"505"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET /hello HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
        (b"GET /hello HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", b"431"),
    ],
)
def test_what_is_no_request_is_refused_in_plain_text(
    sent: bytes, status: bytes, address: tuple[str, int]
) -> None:
    answer = raw(address, sent)

    assert b" " + status + b" " in answer.splitlines()[0]
    assert b"script" not in answer
    assert b"Content-Type: text/plain" in answer
    assert ask(address, "GET", "/hello")[0] == 200


def test_who_says_nothing_is_left(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < listener._Handler.timeout < listener.DEADLINE
    monkeypatch.setattr(listener._Handler, "timeout", 0.2)
    with socket.create_connection(address, timeout=30) as silent:
        assert silent.recv(1) == b""


def _drips_until_cut(client: socket.socket) -> bool:
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            client.sendall(b"G")
            time.sleep(0.05)
    except OSError:
        return True
    return False


def test_who_drips_is_cut_off(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, the request never."""
    monkeypatch.setattr(listener, "DEADLINE", 1.0)
    with socket.create_connection(address, timeout=30) as dripping:
        assert _drips_until_cut(dripping)


def test_hanging_clients_hold_nobody_up(address: tuple[str, int]) -> None:
    with ExitStack() as hanging:
        for _ in range(listener.MOST - 1):
            hanging.enter_context(socket.create_connection(address, timeout=30))
        assert ask(address, "GET", "/hello")[0] == 200


def test_there_are_no_more_connections_than_that(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MOST", 2)
    with ExitStack() as hanging:
        for _ in range(2):
            hanging.enter_context(socket.create_connection(address, timeout=30))
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(address, "GET", "/hello")
    # They are gone, and it answers again.
    deadline = time.monotonic() + 30
    while True:
        try:
            assert ask(address, "GET", "/hello")[0] == 200
            return
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline


def test_a_slow_page_holds_no_other_up() -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(_accept: str) -> Page:
        entered.set()
        leave.wait(30)
        return Page(body=b"at last")

    serving = Listener((LOOPBACK, 0), {**PAGES, "/slow": slow})
    serving.start()
    address = (LOOPBACK, int(serving.url.rpartition(":")[2]))
    waiting = threading.Thread(target=ask, args=(address, "GET", "/slow"))
    waiting.start()
    assert entered.wait(30)
    assert ask(address, "GET", "/hello")[0] == 200
    # Nor does it hold up the end.
    serving.stop()
    leave.set()
    waiting.join(30)


def test_an_address_in_use_is_one_clear_error(address: tuple[str, int]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"RECONCILE_HTTP: cannot listen on 127\.0\.0\.1 port \d+"
    ) as caught:
        Listener(address, PAGES)
    assert "another port" in caught.value.hint


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid", "x" * 300])
def test_an_address_that_is_not_ours_is_one_clear_error(host: str) -> None:
    with pytest.raises(ConfigurationError, match="RECONCILE_HTTP"):
        Listener((host, 0), PAGES)


def test_the_port_is_free_afterwards(address: tuple[str, int]) -> None:
    first = Listener((LOOPBACK, 0), PAGES)
    first.start()
    port = int(first.url.rpartition(":")[2])
    assert ask((LOOPBACK, port), "GET", "/hello")[0] == 200
    first.stop()
    first.stop()

    again = Listener((LOOPBACK, port), PAGES)
    again.start()
    assert ask((LOOPBACK, port), "GET", "/hello")[0] == 200
    again.stop()


def test_ipv6() -> None:
    serving = Listener(("::1", 0), PAGES)
    serving.start()
    assert serving.url.startswith("http://[::1]:")
    assert ask(("::1", int(serving.url.rpartition(":")[2])), "GET", "/hello")[0] == 200
    serving.stop()
