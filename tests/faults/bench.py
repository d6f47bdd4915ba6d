"""What the fault tests are written with: the real edges in this process, against embedded servers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from sqlite3 import Row, connect
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from reconcile.app.app import App
from reconcile.app.build import build
from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.base.clock import SystemClock
from reconcile.domain.model import EffectKey
from reconcile.run.options import RunResult
from reconcile.run.ports import LearningPlatform
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.servers import KEY
from reconcile.settings import Settings

Document = dict[str, Any]

COURSE = "python-basics"
#: Seconds that the client waits for the LMS, and longer than that.
TIMEOUT, HANGING = 0.2, 3.0
_DOMAIN = "example.com"


class QuickClock(SystemClock):
    """The real clock, which sleeps at most a moment."""

    def sleep(self, seconds: float) -> None:
        super().sleep(min(seconds, 0.05))


@dataclass(kw_only=True)
class Bench:
    """One test's orders, LMS and audit file, and runs over them."""

    database: Database[Document]
    mongodb_uri: str
    lms: FrappeStandIn
    folder: Path

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self.environment = {
            "MONGODB_URI": self.mongodb_uri,
            "FRAPPE_LMS_BASE_URL": self.lms.url,
            "FRAPPE_LMS_API_KEY": KEY,
            "RECONCILE_AUDIT_URL": f"sqlite:///{self.audit_file}",
            "RECONCILE_RETRY_DELAY": "0s",
            "RECONCILE_TIMEOUT": f"{TIMEOUT}s",
            "RECONCILE_LEASE_TTL": "1s",
            "RECONCILE_CONCURRENCY": "1",
        }

    @property
    def audit_file(self) -> Path:
        return self.folder / "audit.db"

    # --- runs ------------------------------------------------------------------------------

    @contextmanager
    def app(
        self,
        *,
        platform: Callable[[LearningPlatform], LearningPlatform] = lambda real: real,
        busy_timeout: float = 2.0,
        broken: Callable[[SqlAuditLog], None] = lambda _: None,
        **environment: str,
    ) -> Iterator[App]:
        """The application; `platform` may stand before the real LMS, `broken` spoils the audit."""
        settings = Settings.load(self.environment | environment, env_file=None)
        with open_audit(settings.audit_url.get_secret_value(), busy_timeout=busy_timeout) as audit:
            broken(audit)
            with build(settings, audit=audit, clock=QuickClock()) as app:
                app.ports = type(app.ports)(**vars(app.ports) | {"platform": platform(app.ports.platform)})
                yield app

    def run(self, **options: Any) -> RunResult:
        """One run over everything, as `reconcile run` makes it."""
        with self.app(**options) as app:
            return app.reconciler().run(app.options())

    # --- the orders ------------------------------------------------------------------------

    def orders(self, count: int, **changes: Any) -> list[str]:
        """So many paid orders of learners with an account; their addresses."""
        when = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        emails = [f"learner{next(self._numbers)}.x@{_DOMAIN}" for _ in range(count)]
        if self.lms.site.course(COURSE) is None:
            self.lms.site.add_course(COURSE)
        documents = []
        for email in emails:
            self.lms.site.add_user(email)
            document = {
                "_id": ObjectId(),
                "courseId": COURSE,
                "email": email,
                "paymentId": f"pi_{email}",
                "amount": 49,
                "currency": "usd",
                "status": "paid",
                "timestamp": when.isoformat(),
                "frappeSync": {"synced": False, "syncStatus": "pending", "retryCount": 0},
            }
            documents.append(document | changes)
        self.database.enrollments.insert_many(documents)
        return emails

    def sync(self, email: str) -> Document:
        """The `frappeSync` of the learner's order as it is now."""
        found = self.database.enrollments.find_one({"email": email})
        assert found is not None
        sync: Document = found["frappeSync"]
        return sync

    def unsynced(self) -> int:
        """How many orders have no access yet."""
        return self.database.enrollments.count_documents({"frappeSync.synced": False})

    # --- the LMS ---------------------------------------------------------------------------

    def fault(self, kind: str, **options: Any) -> None:
        """Arm a fault; those that hang do so for longer than the client waits."""
        defaults: dict[str, Any] = {"delay": 0.05 if kind == "latency" else HANGING, "retry_after": 0.05}
        if kind not in ("latency", "timeout_before", "timeout_after_write", "late_write"):
            defaults["delay"] = 0.0
        self.lms.faults.add(Fault(kind=kind, **defaults | options))

    def asked(self, email: str | None = None) -> int:
        """Requests to enroll: of one learner, or of all."""
        return sum(
            entry.operation.startswith("enroll") and email in (None, entry.member) for entry in self.lms.log
        )

    def copies(self, email: str) -> int:
        """How often the learner is enrolled."""
        return len(self.lms.site.enrollments_of(email, COURSE))

    # --- the audit -------------------------------------------------------------------------

    def attempts(self, file: Path | None = None) -> list[Row]:
        """The audit's rows of LMS writes, in the order in which they began."""
        return self.audit("SELECT * FROM attempts WHERE number > 0 ORDER BY attempt_id", file)

    def open_attempts(self) -> list[int]:
        """The attempts that nobody has finished."""
        return [row["attempt_id"] for row in self.attempts() if row["finished_at"] is None]

    def audit(self, query: str, file: Path | None = None) -> list[Row]:
        """What an audit file says, read past the application."""
        with closing(connect(file or self.audit_file)) as connection:
            connection.row_factory = Row
            return connection.execute(query).fetchall()

    def is_whole(self) -> None:
        """Nobody is enrolled twice, nothing is half-recorded, no success without the LMS's own name."""
        assert self.lms.site.duplicates() == {}
        assert self.open_attempts() == []
        for order in self.database.enrollments.find({"frappeSync.syncStatus": "success"}):
            names = {row["name"] for row in self.lms.site.enrollments_of(order["email"], order["courseId"])}
            assert order["frappeSync"]["enrollmentId"] in names


def key(email: str) -> EffectKey:
    """The effect key of an order of the bench."""
    return EffectKey(email, COURSE)
