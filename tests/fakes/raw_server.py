"""A server that speaks whatever bytes a test wants, over a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from reconcile.lms.http.client import Http

Handler = Callable[[socket.socket, int], None]


class Server:
    """Accepts connections and lets `handler(connection, number)` speak raw bytes."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.received: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._listener.fileno() == -1 or self.closing:
                connection.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    closing = False

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            while request := self._request(connection):
                self.received.append(request)
                try:
                    self.handler(connection, len(self.received))
                except OSError:
                    return
                if connection.fileno() == -1:
                    return

    @staticmethod
    def _request(connection: socket.socket) -> bytes:
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                piece = connection.recv(65536)
                if not piece:
                    return b""
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            length = next(
                (
                    int(line[15:])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                ),
                0,
            )
            while len(body) < length:
                piece = connection.recv(65536)
                if not piece:
                    return b""
                body += piece
        except OSError:
            return b""
        return head + b"\r\n\r\n" + body

    def close(self) -> None:
        self.closing = True
        socket.create_connection(self._listener.getsockname()).close()
        self._accepting.join()
        self._listener.close()
        for thread in self._threads:
            thread.join()


Serve = Callable[[Handler], Server]
Edge = Callable[..., Http]


def reply(status: int = 200, body: bytes = b'{"message":"pong"}', *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
