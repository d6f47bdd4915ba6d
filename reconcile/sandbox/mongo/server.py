"""An embedded MongoDB for the demo and the tests: SecantusDB's daemon, run as its own process.

Never imported, only started: it is GPL-2.0 and belongs to the `demo` and `dev` extras. Its data
directory is used by one daemon at a time, and `stop` waits for the end before it returns.

Between us and the daemon stands a keeper: this file run as a program. It waits on a pipe from us and
ends the daemon when the pipe closes, so no daemon is left behind however we end, and from whichever
thread it was started (Linux's PDEATHSIG would end it together with that thread).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

_PROGRAM = "secantusd-py"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
#: Another program may take a free port between our finding it and the daemon's binding it.
_PORTS_TRIED = 3

#: What the keeper is told.
_STOP, _KILL = b"s", b"k"


class SandboxUnavailable(RuntimeError):
    """The embedded server cannot be started; the message says what to install."""


class EmbeddedMongo:
    """One daemon on a free local port, with its data in a temporary (or the given) directory."""

    def __init__(self, *, directory: Path | None = None, port: int = 0, test_commands: bool = False) -> None:
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="reconcile-mongo-"))
        self._any_port = not port
        self.port = port or free_port()
        self._test_commands = test_commands
        self._keeper: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def uri(self, database: str = "shop") -> str:
        """The connection string for a database."""
        return f"mongodb://127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The daemon's process id. Raises SandboxUnavailable where none runs."""
        if self._keeper is None:
            raise SandboxUnavailable("the embedded MongoDB is not running")
        return self._pid

    def start(self) -> Self:
        """Start and wait until a real command is answered; after `stop` or `kill`, on the same port.

        Raises SandboxUnavailable, and RuntimeError where it runs already.
        """
        if self._keeper is not None:
            raise RuntimeError("the embedded MongoDB runs already")
        try:
            self._start(_program())
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self, program: str) -> None:
        for _ in range(_PORTS_TRIED if self._any_port else 1):
            self._launch(program)
            if self._answers():
                self._any_port = False
                return
            self._end(_KILL)
            if self._any_port:
                self.port = free_port()
        tail = self._log.read_text(errors="replace")[-500:]
        raise SandboxUnavailable(f"the embedded MongoDB did not start: {tail}")

    @property
    def _log(self) -> Path:
        return self.directory / "daemon.log"

    def _launch(self, program: str) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        # Without one, the daemon takes settings from the working directory, the home and /etc.
        config = self.directory / "secantusd.toml"
        config.touch()
        command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--storage-path", str(self.directory / "data"), "--log-level", "ERROR"]
        if self._test_commands:
            command.append("--enable-test-commands")
        # Isolated and without `site`: the keeper needs the standard library, quickly.
        keeper = [sys.executable, "-I", "-S", __file__, str(self.directory) if self._temporary else ""]
        with self._log.open("ab") as log:
            # A session of its own: Ctrl-C at the terminal is for us, and we still need the daemon then.
            self._keeper = subprocess.Popen(  # noqa: S603  our own arguments
                [*keeper, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        if self._keeper.stdout is not None:
            with self._keeper.stdout as said:
                self._pid = int(said.readline() or 0)

    def _answers(self) -> bool:
        """Wait for an answer, and that it is ours: whoever else has the port would answer too."""
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError

        deadline = time.monotonic() + _START_SECONDS
        with MongoClient[dict[str, object]](self.uri(), serverSelectionTimeoutMS=300) as client:
            while time.monotonic() < deadline and self._keeper is not None and self._keeper.poll() is None:
                with contextlib.suppress(PyMongoError):
                    return client.admin.command("serverStatus").get("pid") == self._pid
        return False

    def stop(self) -> None:
        """Ask it to end, wait, and remove a temporary directory. May be repeated."""
        self._end(_STOP)
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """End it at once, as a crash would; the data stays for the next `start`."""
        self._end(_KILL)

    def _end(self, how: bytes) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        if keeper.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # the daemon has ended by itself
                keeper.stdin.write(how)
                keeper.stdin.flush()
        # The pipe closes only after the end: to the keeper that says that we are gone.
        keeper.wait()
        if keeper.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                keeper.stdin.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """A local port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _program() -> str:
    beside = Path(sys.executable).with_name(_PROGRAM)
    found = str(beside) if beside.exists() else shutil.which(_PROGRAM)
    if found is None:
        raise SandboxUnavailable(
            "the embedded MongoDB is not installed; install it with: pip install 'frappe-reconcile[demo]'"
        )
    return found


def _keep(temporary: str, *command: str) -> int:
    """The keeper: run the daemon until it ends, or we are told to end it, or nobody is there to tell."""
    daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)  # noqa: S603
    orphaned = threading.Event()

    def listen() -> None:
        # Not sys.stdin: a thread that holds its lock would abort the interpreter's exit.
        told = os.read(0, 1)
        if not told:
            orphaned.set()
        if told != _KILL:
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(_STOP_SECONDS)
        daemon.kill()

    threading.Thread(target=listen, daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        os.write(1, b"%d\n" % daemon.pid)
    code = daemon.wait()
    if orphaned.is_set() and temporary:
        shutil.rmtree(temporary, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(_keep(*sys.argv[1:]))
