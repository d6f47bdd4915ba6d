"""What the acceptance tests are written with: the installed command as a process, and a world around it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.database import Database

from reconcile.audit.log import open_audit
from reconcile.run.ports import Intent
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.sandbox.servers import KEY
from reconcile.sandbox.shop.seed import Shop
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_history import close
from tests.fakes.audit_samples import ELSEWHERE, NOON, REFUSED, enrollment, summary

Document = dict[str, Any]

COURSE = "python-basics"
#: What may never be printed, beside whole addresses.
SECRETS = ("secret_integration", "secret_student", "secret_lowpriv", "wr0ng-s3cret", "m0ng0-p4ss")
#: An @ between two parts of an address; masked ones have an asterisk before it.
_WHOLE_ADDRESS = re.compile(r"[\w.+'-]*[^\s*/\"'`(<=]@[\w-]+\.\w+")
_PATIENCE = 90.0


def program() -> list[str]:
    """The console script beside the interpreter; the module where it is not installed."""
    script = Path(sys.executable).with_name("reconcile")
    return [str(script)] if script.exists() else [sys.executable, "-P", "-m", "reconcile"]


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one JSON object on stdout; fails where there is anything else."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict), self
        return found

    @property
    def logged(self) -> list[Document]:
        """The log lines on stderr."""
        return [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]

    @property
    def said(self) -> str:
        """What stderr says to people: everything but the log."""
        return "\n".join(line for line in self.stderr.splitlines() if not line.startswith("{"))

    def has_whole_addresses(self) -> list[str]:
        """The e-mail addresses that are not masked."""
        return _WHOLE_ADDRESS.findall(self.stdout + self.stderr)

    def is_clean(self, *, addresses: bool = False) -> None:
        """No traceback, no bug, no secret; no whole address unless they were asked for."""
        text = self.stdout + self.stderr
        assert "Traceback" not in text, text
        assert "this is a bug" not in text, text
        for secret in SECRETS:
            assert secret not in text, f"{secret} in {text}"
        if not addresses:
            assert self.has_whole_addresses() == [], text


class Started:
    """A command that runs in the background."""

    def __init__(self, process: subprocess.Popen[str], arguments: tuple[str, ...]) -> None:
        self.process = process
        self._arguments = arguments

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command alone."""
        self.process.send_signal(number)

    def wait(self, *, timeout: float = _PATIENCE, addresses: bool = False) -> Done:
        """Wait for its end; what it printed was clean."""
        stdout, stderr = self.process.communicate(timeout=timeout)
        done = Done(
            arguments=self._arguments, code=self.process.returncode, stdout=stdout or "", stderr=stderr or ""
        )
        done.is_clean(addresses=addresses)
        return done


@dataclass(kw_only=True)
class World:
    """One test's orders, LMS and audit database, and the command to let loose on them."""

    mongo: EmbeddedMongo
    database: Database[Document]
    lms: FrappeStandIn
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    shop: Shop | None = None
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "MONGODB_URI": self.mongo.uri(self.database.name),
            "FRAPPE_LMS_BASE_URL": self.lms.url,
            "FRAPPE_LMS_API_KEY": KEY,
            "RECONCILE_AUDIT_URL": f"sqlite:///{self.audit_file}",
            "RECONCILE_RETRY_DELAY": "0.1s",
        } | self.environment

    @property
    def audit_file(self) -> Path:
        """Where the audit database is, or would be."""
        return self.folder / "audit.db"

    # --- the command -----------------------------------------------------------------------

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str | None] | None = None,
        code: int | None = None,
        addresses: bool = False,
        **options: Any,
    ) -> Done:
        """Run the command to its end. `env` changes settings, None takes one away."""
        done = self.start(*arguments, env=env, **options).wait(addresses=addresses)
        if code is not None:
            assert done.code == code, f"{done.code} is not {code}: {done}"
        return done

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str | None] | None = None,
        command: Sequence[str] = (),
        **options: Any,
    ) -> Started:
        """Start the command, or another one in its place."""
        settings = {**self.environment, **(env or {})}
        defaults = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": self.folder}
        options = {**defaults, "text": True, "encoding": "utf-8"} | options
        process = subprocess.Popen(
            [*(command or program()), *arguments],
            stdin=subprocess.DEVNULL,
            env={name: value for name, value in settings.items() if value is not None},
            **options,
        )
        self._started.append(process)
        return Started(process, arguments)

    def clean_up(self) -> None:
        """End what a failed test left running."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    # --- the orders ------------------------------------------------------------------------

    def order(self, email: str, *, account: bool = True, course: str = COURSE, **changes: Any) -> str:
        """A paid order, lost a day ago, and the learner's LMS account; the order's id."""
        when = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        name = ObjectId()
        document: Document = {
            "_id": name,
            "courseId": course,
            "email": email,
            "paymentId": f"pi_{name}",
            "amount": 49,
            "currency": "usd",
            "status": "paid",
            "enrollmentType": "paid_stripe",
            "timestamp": when.isoformat(),
            "frappeSync": {"synced": False, "syncStatus": "pending", "retryCount": 0},
            "createdAt": when,
            "updatedAt": when,
        }
        self.database.enrollments.insert_one(document | changes)
        if account:
            self.lms.site.add_user(email)
        if course == COURSE and self.lms.site.course(course) is None:
            self.lms.site.add_course(course)
        return str(name)

    def orders(self, count: int, **changes: Any) -> list[str]:
        """So many orders of different learners; their ids."""
        return [self.order(f"learner{number}@example.com", **changes) for number in range(count)]

    def document(self, enrollment_id: str) -> Document:
        """An order as it is now."""
        found = self.database.enrollments.find_one({"_id": ObjectId(enrollment_id)})
        assert found is not None
        return found

    def sync(self, enrollment_id: str) -> Document:
        """The `frappeSync` of an order as it is now."""
        found: Document = self.document(enrollment_id)["frappeSync"]
        return found

    def dump(self) -> dict[str, Any]:
        """Every collection: the documents byte for byte, and the indexes."""
        raw = self.database.with_options(codec_options=CodecOptions(document_class=RawBSONDocument))
        return {
            name: (
                sorted(document.raw for document in raw[name].find()),
                sorted(map(repr, self.database[name].index_information().items())),
            )
            for name in sorted(self.database.list_collection_names())
        }

    def leases(self) -> list[Document]:
        """What is held, or on hold."""
        return list(self.database.reconcile_leases.find())

    # --- the LMS ---------------------------------------------------------------------------

    def lms_state(self) -> str:
        """All that the LMS holds."""
        return json.dumps(self.lms.site.state(), sort_keys=True, default=str)

    def enrolled(self, email: str, course: str = COURSE) -> list[str]:
        """The names of the learner's LMS enrollments in the course."""
        return [row["name"] for row in self.lms.site.enrollments_of(email, course)]

    def enrolls_asked(self) -> int:
        """Requests that would create an LMS enrollment."""
        return sum(count for name, count in self.lms.counters.items() if name.startswith("enroll"))

    # --- the audit -------------------------------------------------------------------------

    def audit(self, query: str) -> list[sqlite3.Row]:
        """What the audit database says, read past the command."""
        with contextlib.closing(sqlite3.connect(self.audit_file)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query).fetchall()

    def visited(self, enrollment_id: str, times: int = 6) -> None:
        """So many visits of ours in the audit, by default all that there are, and none of them any good."""
        order = self.document(enrollment_id)
        item = enrollment(
            enrollment_id, member=order["email"], email=order["email"], course=order["courseId"]
        )
        with contextlib.closing(open_audit(f"sqlite:///{self.audit_file}")) as log:
            for visit in range(times):
                name = f"visit-{enrollment_id}-{visit}"
                log.open_run(summary(name), ELSEWHERE)
                intent = Intent(run_id=name, enrollment=item, number=visit + 1, started_at=NOON)
                finish(log, begin(log, intent), REFUSED, run_id=name, at=NOON)
                close(log, name)

    def attempts(self) -> list[sqlite3.Row]:
        """The audit's attempts, in the order in which they began."""
        return self.audit("SELECT * FROM attempts ORDER BY attempt_id")


def until(condition: Callable[[], object], *, patience: float = 30.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The living processes that a process has started (Linux)."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended since
            parent = file.read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid:
                found.append(int(file.parent.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether there is such a process and it is no zombie."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "\nState:\tZ" not in status


def lines_of(text: str) -> Iterator[str]:
    """The lines that say something."""
    return (line for line in text.splitlines() if line.strip())


def by(rows: Iterable[Mapping[str, Any]], name: str) -> dict[Any, list[Mapping[str, Any]]]:
    """Rows by the value of one column."""
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found
