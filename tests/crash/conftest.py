"""The fork server, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.forks import ForkServer


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    with ForkServer() as server:
        yield server
