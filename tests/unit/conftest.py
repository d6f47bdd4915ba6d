"""No secret outlives its test; and for the HTTP edge a raw server, and a client with little patience."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconcile.base.redaction import forget_secrets
from reconcile.lms.http.client import Http
from tests.fakes.raw_server import Edge, Handler, Serve, Server


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    yield
    forget_secrets()


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(handler: Handler) -> Server:
        servers.append(Server(handler))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def edge() -> Iterator[Edge]:
    edges: list[Http] = []

    def make(server: Server, **options: object) -> Http:
        settings: dict[str, object] = {"timeout": 0.3, "sleep": lambda _: None} | options
        edges.append(Http(base_url=server.url, **settings))  # type: ignore[arg-type]
        return edges[-1]

    yield make
    for each in edges:
        each.close()
