"""The embedded MongoDB: starts, answers, survives a crash, and is never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient, WriteConcern
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, OperationFailure

from reconcile.sandbox.mongo import server as mongo_server
from reconcile.sandbox.mongo.server import EmbeddedMongo, SandboxUnavailable, free_port
from reconcile.sandbox.shop.many_orders import many_orders
from reconcile.sandbox.shop.seed import load, shop

NOW = datetime(2026, 3, 18, 10, 30, tzinfo=UTC)
JOURNALED = WriteConcern(w=1, j=True)

#: Starts a server, says its process id and directory, and hangs.
_PARENT = """
import time
from reconcile.sandbox.mongo.server import EmbeddedMongo
server = EmbeddedMongo().start()
print(server.pid, server.directory, flush=True)
time.sleep(60)
"""


def client_of(server: EmbeddedMongo) -> MongoClient[dict[str, Any]]:
    return MongoClient(server.uri(), serverSelectionTimeoutMS=3000)


def wait_until_gone(pid: int, *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail(f"process {pid} is still there")


@pytest.fixture(scope="module")
def own() -> Iterator[EmbeddedMongo]:
    """A server of this module's own, without test commands."""
    with EmbeddedMongo() as server:
        yield server
        server.kill()  # quicker, and its end is tested elsewhere


def test_it_answers_and_keeps_its_data_through_a_crash(own: EmbeddedMongo) -> None:
    first, port = own.pid, own.port
    with client_of(own) as client:
        client["shop"].get_collection("things", write_concern=JOURNALED).insert_one({"_id": 1})

    own.kill()
    with pytest.raises(SandboxUnavailable, match="not running"):
        _ = own.pid
    wait_until_gone(first)
    assert own.directory.exists()
    own.start()

    assert (own.port, own.pid != first) == (port, True)
    with client_of(own) as client:
        assert client["shop"]["things"].find_one() == {"_id": 1}


def test_it_outlives_the_thread_that_started_it() -> None:
    server = EmbeddedMongo()
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        time.sleep(0.5)
        os.kill(server.pid, 0)
        with client_of(server) as client:
            assert client.admin.command("ping")["ok"] == 1
    finally:
        server.kill()
        server.stop()


def test_stop_waits_removes_what_was_temporary_and_may_be_repeated() -> None:
    server = EmbeddedMongo().start()
    pid = server.pid

    server.stop()

    wait_until_gone(pid, seconds=0.1)
    assert not server.directory.exists()
    server.stop()


def test_a_given_directory_stays(tmp_path: Path) -> None:
    with EmbeddedMongo(directory=tmp_path / "mongo") as server:
        server.kill()

    assert (tmp_path / "mongo" / "data").is_dir()


def test_it_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, directory = parent.stdout.readline().split()
        os.kill(int(pid), 0)
        parent.send_signal(signal.SIGKILL)

    wait_until_gone(int(pid))
    deadline = time.monotonic() + 3
    while Path(directory).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(directory).exists()


def test_starting_twice_is_a_mistake_and_harms_nothing(own: EmbeddedMongo) -> None:
    pid = own.pid

    with pytest.raises(RuntimeError, match="runs already"):
        own.start()

    assert own.pid == pid
    with client_of(own) as client:
        assert client.admin.command("ping")["ok"] == 1


def test_a_port_that_another_server_has_is_not_taken_for_ours(own: EmbeddedMongo) -> None:
    second = EmbeddedMongo(port=own.port)

    with pytest.raises(SandboxUnavailable, match="did not start"):
        second.start()

    assert not second.directory.exists()


def test_a_free_port_lost_to_somebody_else_is_replaced() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = EmbeddedMongo()
        server.port = taken.getsockname()[1]
        with server:
            assert server.port != taken.getsockname()[1]
            server.kill()


def test_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_server, "_PROGRAM", "no-such-program")
    server = EmbeddedMongo()

    with pytest.raises(SandboxUnavailable, match=r"pip install 'frappe-reconcile\[demo\]'"):
        server.start()

    assert not server.directory.exists()


def test_fail_points_need_the_test_commands(mongo: EmbeddedMongo, own: EmbeddedMongo) -> None:
    off = {"configureFailPoint": "failCommand", "mode": "off"}

    with client_of(mongo) as client:
        assert client.admin.command(off)["ok"] == 1
    with client_of(own) as client, pytest.raises(OperationFailure):
        client.admin.command(off)


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_the_shop_loads_and_loads_again(database: Database[dict[str, Any]]) -> None:
    data = shop(NOW)

    for _ in range(2):
        load(data, database)

    stored = list(database["enrollments"].find().sort("paymentId"))
    assert stored == sorted(data.enrollments, key=lambda order: str(order["paymentId"]))
    assert database["retry_jobs"].count_documents({}) == len(data.retry_jobs)
    assert database["courses"].count_documents({}) == len(data.courses)
    with pytest.raises(DuplicateKeyError):
        database["enrollments"].insert_one({"paymentId": stored[0]["paymentId"]})


def test_a_backlog_loads_in_batches(database: Database[dict[str, Any]]) -> None:
    made = [order for order, _ in many_orders(500, now=NOW)]

    database["enrollments"].insert_many(made, ordered=False)

    assert database["enrollments"].find_one({"_id": made[-1]["_id"]}) == made[-1]
