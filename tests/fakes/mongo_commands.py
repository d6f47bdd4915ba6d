"""A second connection to a database that notes its round trips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandListener, CommandStartedEvent


class _Commands(CommandListener):
    def __init__(self, sent: list[str]) -> None:
        self._sent = sent

    def started(self, event: CommandStartedEvent) -> None:
        self._sent.append(f"{event.command_name} {event.command.get(event.command_name)}")

    def succeeded(self, event: Any) -> None:
        pass

    failed = succeeded


@contextmanager
def noting(database: Database[dict[str, Any]]) -> Iterator[tuple[Database[dict[str, Any]], list[str]]]:
    """The same database by a connection of its own, and what it sends: command and collection."""
    address = database.client.address
    assert address is not None
    sent: list[str] = []
    client: MongoClient[dict[str, Any]] = MongoClient(*address, event_listeners=[_Commands(sent)])
    with client:
        yield client.get_database(database.name, codec_options=database.codec_options), sent
