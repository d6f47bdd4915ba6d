"""A stand-in LMS for benchmarks, as a process of its own: HTTP/1.1 over asyncio, kept-alive connections.

    python -m benchmarks.standin

A request travels (half of `latency`), waits for one of the `workers` (0: there is always one), is worked on
(`service`), and travels back. It prints `ready URL`, serves until its standard input closes, and is told
everything under `/_bench/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from benchmarks.standin_site import WRITES, Site, answer, kind

_HEAD_END = b"\r\n\r\n"


class Meter:
    """What is counted since the last `load` or `forget`. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.learners = 0
        self.most = 0
        self.processor = time.process_time()
        self.all, self.writes = Busy(), Busy()

    def came(self, what: str) -> None:
        """A request has arrived."""
        self.requests[what] += 1
        self.all.up()
        self.most = max(self.most, self.all.now)
        if what in WRITES:
            self.writes.up()

    def went(self, what: str) -> None:
        """Its answer has left."""
        self.all.down()
        if what in WRITES:
            self.writes.down()

    def told(self, site: Site) -> dict[str, Any]:
        """The numbers."""
        return {
            "requests": dict(self.requests),
            "learners": self.learners,
            "rows": site.count,
            "duplicates": site.duplicates(),
            "most_in_flight": self.most,
            "idle_share": self.all.idle_share,
            "idle_share_of_writing": self.writes.idle_share,
            "writing": [self.writes.first, self.writes.last],
            "processor": time.process_time() - self.processor,
        }


class Busy:
    """Between the first request and the last answer: for how long there was something to do."""

    def __init__(self) -> None:
        self.now = 0
        self.first = self.last = 0.0
        self._since = 0.0
        self._busy = 0.0

    def up(self) -> None:
        """One more."""
        if self.now == 0:
            self._since = time.monotonic()
            self.first = self.first or self._since
        self.now += 1

    def down(self) -> None:
        """One less."""
        self.now -= 1
        if self.now == 0:
            self.last = time.monotonic()
            self._busy += self.last - self._since

    @property
    def idle_share(self) -> float:
        """From 0 to 1."""
        whole = self.last - self.first
        return 1 - self._busy / whole if whole > 0 else 0.0


class Lms:
    """The site, how slow it is, and what it was asked."""

    def __init__(self) -> None:
        self.site, self.meter = Site(), Meter()
        self.latency = self.service = 0.0
        self._workers: asyncio.Semaphore | None = None

    def load(self, told: dict[str, Any]) -> dict[str, Any]:
        """Begin anew."""
        self.site, self.meter = Site(), Meter()
        self.site.courses = dict(told.get("courses", {}))
        self.latency, self.service = float(told.get("latency", 0)), float(told.get("service", 0))
        workers = int(told.get("workers", 0))
        self._workers = asyncio.Semaphore(workers) if workers else None
        return self.add(told)

    def add(self, told: dict[str, Any]) -> dict[str, Any]:
        """Enrollments, members without an account, members who are refused."""
        for member, course in told.get("enrollments", ()):
            self.site.add(member, course)
        self.site.missing.update(told.get("missing", ()))
        self.site.refused.update(told.get("refused", ()))
        return {"rows": self.site.count}

    def forget(self, _: dict[str, Any]) -> dict[str, Any]:
        """Count anew; the data stay."""
        self.meter = Meter()
        return {}

    async def answer(self, path: str, raw: bytes) -> tuple[int, Any]:
        """One request, from its last byte to the first of its answer."""
        body = json.loads(raw) if raw else {}
        if path.startswith("/_bench/"):
            tell: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
                "load": self.load,
                "add": self.add,
                "stats": lambda _: self.meter.told(self.site),
                "forget": self.forget,
                "message": lambda _: {},  # somebody's alert
            }
            return 200, tell[path.rpartition("/")[2]](body)
        what, meter = kind(path, body), self.meter
        meter.came(what)
        try:
            if self.latency:
                await asyncio.sleep(self.latency / 2)
            if self._workers is None:
                found = await self._work(what, body)
            else:
                async with self._workers:
                    found = await self._work(what, body)
            if self.latency:
                await asyncio.sleep(self.latency / 2)
            return found
        finally:
            meter.went(what)

    async def _work(self, what: str, body: dict[str, Any]) -> tuple[int, Any]:
        if self.service:
            await asyncio.sleep(self.service)
        before = self.site.count
        found = answer(self.site, what, body)
        self.meter.learners += self.site.count - before
        return found


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, lms: Lms, tasks: set[asyncio.Task[None]]) -> None:
        self._lms, self._tasks = lms, tasks
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Once a request is whole: answer it."""
        self._received += data
        head, found, rest = bytes(self._received).partition(_HEAD_END)
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        size = int(headers.get("content-length", 0))
        if len(rest) < size:
            return
        del self._received[: len(head) + len(_HEAD_END) + size]
        close = headers.get("connection", "").lower() == "close"
        path = lines[0].split(" ")[1]
        task = asyncio.ensure_future(self._answer(path, rest[:size], close=close))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, path: str, body: bytes, *, close: bool) -> None:
        status, found = await self._lms.answer(path, body)
        text = json.dumps(found, separators=(",", ":")).encode()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        head = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'NO'}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(text)}\r\nConnection: {'close' if close else 'keep-alive'}\r\n\r\n"
        )
        transport.write(head.encode() + text)
        if close:
            transport.close()


async def serve() -> None:
    """Serve on a free port until standard input closes."""
    lms = Lms()
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(lms, tasks), "127.0.0.1", 0, backlog=512)
    port = server.sockets[0].getsockname()[1]
    for each in server.sockets:
        with contextlib.suppress(OSError):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sys.stdout.write(f"ready http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    done = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 1024) else done.set())
    await done.wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
