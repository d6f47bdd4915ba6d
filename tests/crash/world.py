"""A small shop, an LMS and an audit with a past, for one story; and what they say at its end."""

from __future__ import annotations

import ast
import functools
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database

from reconcile.audit.log import open_audit
from reconcile.domain.model import Enrollment
from reconcile.run.ports import Intent, Origin
from reconcile.run.summary import RunSummary
from reconcile.sandbox.lms.calls import Call
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.lms.site import Site, load_site
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.sandbox.servers import KEY
from reconcile.storefront.documents import parse_enrollment
from tests.fakes.attempts import begin

Document = dict[str, Any]
Pair = tuple[str, str]

COURSES = ("data-science", "python-basics", "web-dev")
LEARNERS = ("ida", "lou", "rita", "sam", "tara", "theo", "uma")
FORMER_RUN = "former-run"
LONG_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


def address(name: str) -> str:
    return f"{name}@example.com"


def order(number: int, name: str, course: str, **changes: Any) -> Document:
    """An order as the webhook leaves it when its calls have failed."""
    document: Document = {
        "_id": ObjectId(f"{number:024x}"),
        "courseId": course,
        "email": address(name),
        "paymentId": f"pi_{number:04d}",
        "amount": 199,
        "currency": "usd",
        "status": "paid",
        "timestamp": (LONG_AGO + timedelta(minutes=number)).isoformat(),
        "frappeSync": {"synced": False, "syncStatus": "pending", "retryCount": 0},
    }
    return document | changes


SYNCED = {"synced": True, "syncStatus": "success", "enrollmentId": "lou-is-in"}

#: One page: four learners to enroll (one of them ordered twice, one was being enrolled when an earlier
#: run died, one has an open retry job), one who is in the LMS already, and four to leave out of it.
ORDERS = {
    "plain": order(1, "sam", "python-basics"),
    "twin": order(2, "tara", "web-dev"),
    "other twin": order(3, "tara", "web-dev"),
    "there": order(4, "theo", "python-basics"),
    "with a retry job": order(5, "rita", "web-dev"),
    "interrupted": order(6, "ida", "data-science"),
    "no account": order(7, "mia", "python-basics"),
    "malformed": order(8, "max", "web-dev", email=42),
    "unpaid": order(9, "uma", "python-basics", status="pending"),
    # The earlier run died over this one too, and the storefront has synced it since.
    "left over": order(10, "lou", "web-dev", frappeSync=SYNCED),
}
TO_ENROLL = ("plain", "twin", "other twin", "with a retry job", "interrupted")
WITH_ACCESS = (*TO_ENROLL, "there")
IN_LMS = (("theo", "python-basics"), ("lou", "web-dev"))


def site() -> Site:
    """The LMS at the beginning."""
    return load_site(
        [{"email": address(name)} for name in LEARNERS],
        [{"name": name} for name in COURSES],
        [{"member": address(name), "course": course} for name, course in IN_LMS]
        + [{"name": "lou-is-in", "member": address("lou"), "course": "data-science"}],
    )


@functools.cache
def audit_with_a_past() -> bytes:
    """An audit file, migrated once; in it a run that died with two attempts open."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.db"
        with open_audit(f"sqlite:///{path}") as audit:
            # A process of this machine that is certainly gone: pid 1 did not start at that time.
            from reconcile.audit.process import current_origin

            gone = Origin(host=current_origin().host, pid=1, process_started="never")
            audit.open_run(RunSummary(run_id=FORMER_RUN, mode="apply", started_at=LONG_AGO), gone)
            for name in ("interrupted", "left over"):
                intent = Intent(run_id=FORMER_RUN, enrollment=parsed(name), number=1, started_at=LONG_AGO)
                begin(audit, intent)
        return path.read_bytes()


def parsed(name: str) -> Enrollment:
    document = ORDERS[name]
    item = parse_enrollment(document, enrollment_id=str(document["_id"]), email_rule=lambda _: None)
    assert isinstance(item, Enrollment)
    return item


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One learner that a request was to enroll, as the LMS saw it come in."""

    pair: Pair
    recorded: frozenset[str]  #: the orders with an open attempt in the audit at that moment


def _pairs_of(call: Call) -> list[Pair]:
    """Whom a request is to enroll: one, or those of a batch."""
    if call.operation != "insert_many":
        return [(call.member or "", call.course or "")]
    return [(doc["member"], doc["course"]) for doc in ast.literal_eval(call.members)]


@dataclass
class World:
    """The three systems of one story."""

    lms: FrappeStandIn
    database: Database[Document]
    environment: dict[str, str]
    folder: Path
    before: dict[str, Document]
    asked: list[Asked] = field(default_factory=list)
    #: Called when a request to enroll comes in, before the LMS does anything.
    on_enroll: Callable[[Asked], None] = lambda _: None
    orders: Mapping[str, Document] = field(default_factory=lambda: ORDERS)

    def __post_init__(self) -> None:
        self._note, self._lock = self.lms.calls.note, threading.Lock()
        self.lms.calls.note = self._witness  # type: ignore[method-assign]

    def _witness(self, call: Call) -> None:
        self._note(call)
        if call.operation.startswith("enroll") or call.operation == "insert_many":
            open_now = self.rows("SELECT enrollment_id FROM attempts WHERE finished_at IS NULL")
            recorded = frozenset(row["enrollment_id"] for row in open_now)
            asked = [Asked(pair=pair, recorded=recorded) for pair in _pairs_of(call)]
            with self._lock:
                self.asked += asked
            for each in asked:
                self.on_enroll(each)

    @property
    def audit_path(self) -> Path:
        return self.folder / "audit.db"

    def rows(self, query: str) -> list[Document]:
        """What the audit file says, read without our own code."""
        with closing(sqlite3.connect(f"{self.audit_path.as_uri()}?mode=rw", uri=True, timeout=10)) as file:
            file.row_factory = sqlite3.Row
            return [dict(row) for row in file.execute(query)]

    def attempts(self) -> list[Document]:
        return self.rows("SELECT * FROM attempts ORDER BY attempt_id")

    def runs(self) -> list[Document]:
        return self.rows("SELECT * FROM runs ORDER BY started_at")

    def documents(self) -> dict[Any, Document]:
        return {document["_id"]: document for document in self.database["enrollments"].find()}

    def lms_names(self, pair: Pair) -> list[str]:
        """The LMS's own ids for a learner in a course."""
        return [row["name"] for row in self.lms.site.enrollments_of(*pair)]

    def times_asked(self) -> Counter[Pair]:
        return Counter(asked.pair for asked in self.asked)

    def orders_of(self, pair: Pair) -> set[str]:
        return {
            str(document["_id"])
            for document in self.orders.values()
            if (document["email"], document["courseId"]) == pair
        }


@contextmanager
def new_world(
    mongo: EmbeddedMongo,
    folder: Path,
    *,
    name: str,
    via: str = "confirm_payment",
    **settings: str,
) -> Iterator[World]:
    """Fresh systems for one story, taken down at its end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audit.db").write_bytes(audit_with_a_past())
    with MongoClient[Document](mongo.uri(name), tz_aware=True) as client, FrappeStandIn(site()) as lms:
        database = client[name]
        database["enrollments"].insert_many(list(ORDERS.values()))
        job = {"jobType": "frappe_enrollment", "status": "pending", "attempts": 1}
        database["retry_jobs"].insert_one(job | {"enrollmentId": str(ORDERS["with a retry job"]["_id"])})
        environment = {
            "MONGODB_URI": mongo.uri(name),
            "FRAPPE_LMS_BASE_URL": lms.url,
            "FRAPPE_LMS_API_KEY": KEY,
            "RECONCILE_AUDIT_URL": f"sqlite:///{folder / 'audit.db'}",
            "RECONCILE_ENROLL_VIA": via,
            "RECONCILE_BACKOFF_BASE": "0s",
            "RECONCILE_RETRY_DELAY": "0s",
            **settings,
        }
        world = World(lms, database, environment, folder, before={})
        world.before = world.documents()
        try:
            yield world
        finally:
            client.drop_database(name)
