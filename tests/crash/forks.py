"""A fork server: starts `run_crashing` without Python's start-up cost, each run a process of its own.

The server is a process that has imported everything and done nothing: no thread, no connection.
For each request it forks a keeper, which forks the run, tells its pid, waits for it and tells how it
ended. One request for each connection to a local socket; JSON lines.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
_START_SECONDS = 30.0
#: No run of these tests takes longer, on the slowest machine.
PATIENCE = 90.0


class Run:
    """One run on its way."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("r")
        self.pid = int(self._lines.readline())

    def wait(self, timeout: float = PATIENCE) -> int:
        """The exit code, or minus the signal that ended it. Raises TimeoutError."""
        self._connection.settimeout(timeout)
        try:
            return int(self._lines.readline())
        except TimeoutError:
            self.signal(signal.SIGKILL)
            raise
        finally:
            self._lines.close()
            self._connection.close()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


class ForkServer:
    """A context manager; `start` may be called from several threads."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="forks-")
        self._address = str(Path(self._folder.name) / "socket")
        command = [sys.executable, "-m", "tests.crash.forks", self._address]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while not Path(self._address).exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the fork server did not start")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def start(self, environment: Mapping[str, str], *, folder: Path) -> Run:
        """Start a run with these settings, in `folder`; what it prints is added to `run.log` there."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._address)
        request = {"environment": dict(environment), "folder": str(folder)}
        connection.sendall(json.dumps(request).encode() + b"\n")
        return Run(connection)


def serve(address: str) -> None:
    """Fork a keeper for each connection, until killed."""
    import tests.crash.run_crashing  # noqa: F401

    gc.collect()
    gc.freeze()
    _die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address + ".new")
        listening.listen(64)
        Path(address + ".new").rename(address)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                os._exit(_keep(connection))
            connection.close()


def _keep(connection: socket.socket) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _die_with_parent()
    with connection, connection.makefile("rw") as lines:
        request = json.loads(lines.readline())
        pid = os.fork()
        if pid == 0:
            os.close(connection.detach())
            _run(request)
        lines.write(f"{pid}\n")
        lines.flush()
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            lines.write(f"{os.waitstatus_to_exitcode(status)}\n")
            lines.flush()
    return 0


def _run(request: dict[str, Any]) -> None:
    code = 70
    try:
        _die_with_parent()
        os.chdir(request["folder"])
        log = os.open("run.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(request["environment"])
        from tests.crash.run_crashing import main

        code = main()
    except BaseException:  # noqa: BLE001  whatever it is, the log has it and the exit code says so
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_with_parent() -> None:
    """Linux: PR_SET_PDEATHSIG, which a fork does not inherit."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


if __name__ == "__main__":
    serve(sys.argv[1])
