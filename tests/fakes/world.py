"""A small world in memory: orders, an LMS, leases and a clock, with the ugly habits of the real ones."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from reconcile.domain.model import (
    SYNC_STATUS,
    AnyEnrollment,
    CourseMissing,
    CourseUnpublished,
    EffectKey,
    Enrolled,
    Enrollment,
    MemberDisabled,
    MemberMissing,
    NotEnrolled,
    Observation,
    Outcome,
    Reason,
    Unknown,
)
from reconcile.domain.shop_queue import NO_JOB, ShopJob, ShopQueue
from reconcile.domain.unmarked import Unmarked
from reconcile.run.answers import (
    LARGEST_BATCH,
    AlreadyThere,
    Created,
    CreatedMany,
    EnrollAnswer,
    ManyAnswer,
    Refused,
    RefusedMany,
)
from reconcile.run.leases import IN_FLIGHT, Lease, Owner
from reconcile.run.ports import Sight
from reconcile.run.source import NO_TWINS, Fresh, Selection, WriteBack
from reconcile.storefront.documents import parse_enrollment
from reconcile.storefront.order_times import is_unmarked

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@dataclass
class FakeClock:
    """Stands still unless told; sleeping moves it."""

    time: datetime = NOON
    ticks: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.ticks

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.ticks += seconds


def order(enrollment_id: str, **changes: Any) -> dict[str, Any]:
    """An order document as the storefront's webhook leaves it after a failed call."""
    document: dict[str, Any] = {
        "_id": enrollment_id,
        "courseId": "python-basics",
        "email": f"{enrollment_id}@example.com",
        "paymentId": f"pi_{enrollment_id}",
        "amount": 199,
        "currency": "usd",
        "status": "paid",
        "timestamp": (NOON - timedelta(days=1)).isoformat(),
        "frappeSync": {"synced": False, "syncStatus": "pending", "retryCount": 0},
    }
    return document | changes


def any_text_with_at(email: str) -> str | None:
    return None if email.count("@") == 1 and not email.startswith("@") else "is not an address"


class FakeSource:
    """Orders as plain documents."""

    def __init__(self, documents: Iterable[dict[str, Any]] = ()) -> None:
        self.documents = {document["_id"]: document for document in documents}
        self.active_jobs: set[str] = set()
        self.sent_as: dict[str, tuple[str, ...]] = {}  #: addresses that the shop's own jobs carry
        self.queue = ShopQueue()
        self.writes: list[WriteBack] = []
        self.before_recheck: Callable[[str], None] = lambda _: None

    def _parse(self, document: dict[str, Any]) -> AnyEnrollment:
        name = document["_id"]
        return parse_enrollment(
            document,
            enrollment_id=name,
            email_rule=any_text_with_at,
            job_addresses=self.sent_as.get(name, ()),
        )

    def scan(self, selection: Selection) -> Iterator[AnyEnrollment]:
        found = 0
        for document in sorted(self.documents.values(), key=lambda item: item["_id"]):
            item = self._parse(document)
            wanted = not item.sync.is_synced or (selection.unnamed and item.sync.is_unnamed)
            if not item.paid or not wanted:
                continue
            if selection.enrollment_ids and item.id not in selection.enrollment_ids:
                continue
            if selection.course and item.course != selection.course:
                continue
            if selection.since and (item.paid_at is None or item.paid_at < selection.since):
                continue
            if selection.limit is not None and found >= selection.limit:
                return
            found += 1
            yield item

    def shop_jobs(self, enrollment_ids: Sequence[str]) -> Mapping[str, ShopJob]:
        known = self.active_jobs | self.sent_as.keys()
        return {
            name: ShopJob(active=name in self.active_jobs, addresses=self.sent_as.get(name, ()))
            for name in enrollment_ids
            if name in known
        }

    def _paid_orders(self, keys: Iterable[EffectKey]) -> Mapping[EffectKey, Sequence[Enrollment]]:
        found: dict[EffectKey, list[Enrollment]] = {}
        for item in map(self._parse, self.documents.values()):
            if isinstance(item, Enrollment) and item.paid and item.key in set(keys):
                found.setdefault(item.key, []).append(item)
        return found

    def last_look(
        self, orders: Sequence[Enrollment], *, twins: Mapping[str, Sequence[str]] = NO_TWINS
    ) -> Mapping[str, Fresh]:
        for item in orders:
            self.before_recheck(item.id)
        paid = self._paid_orders({item.key for item in orders})
        return {item.id: self._fresh(item, paid.get(item.key, ())) for item in orders}

    def _fresh(self, item: Enrollment, paid: Sequence[Enrollment]) -> Fresh:
        document = self.documents.get(item.id)
        twins = sorted((each for each in paid if each.id != item.id), key=lambda each: each.id)
        jobs = self.shop_jobs([item.id, *(twin.id for twin in twins)])
        return Fresh(
            order=None if document is None else self._parse(document),
            job=jobs.get(item.id, NO_JOB),
            twins=twins,
            jobs={twin.id: jobs.get(twin.id, NO_JOB) for twin in twins},
        )

    def paid_twice(self, orders: Sequence[Enrollment]) -> Mapping[EffectKey, Sequence[Enrollment]]:
        mine: dict[EffectKey, set[str]] = {}
        for item in orders:
            mine.setdefault(item.key, set()).add(item.id)
        paid = self._paid_orders(mine)
        return {key: found for key, found in paid.items() if len({each.id for each in found} | mine[key]) > 1}

    def unmarked(self, now: datetime, *, without: Container[str | None] = ()) -> Unmarked:
        found = Unmarked()
        for document in self.documents.values():
            if is_unmarked(document, now) and document["_id"] not in without:
                found.add(self._parse(document))
        return found

    def shop_queue(self, now: datetime) -> ShopQueue:
        return self.queue

    def end_settled_jobs(self, now: datetime) -> int:
        return 0  # the fake's jobs are in work or not there

    def write_back(self, items: Sequence[WriteBack]) -> frozenset[str]:
        taken = set()
        for item in items:
            document = self.documents[item.enrollment_id]
            sync_state = self._parse(document).sync
            if document["status"] != "paid" or (sync_state.is_synced and not sync_state.is_unnamed):
                continue
            self.writes.append(item)
            taken.add(item.enrollment_id)
            sync = document["frappeSync"] = dict(document.get("frappeSync") or {})
            sync["syncStatus"] = SYNC_STATUS[item.verdict.outcome].value
            sync["lastSyncAttempt"] = item.at
            sync["retryCount"] = sync.get("retryCount", 0) + item.verdict.attempts
            if item.verdict.outcome.has_access:
                sync |= {"synced": True, "enrollmentId": item.verdict.lms_id, "syncCompletedAt": item.at}
                sync.pop("errorMessage", None)
                self.active_jobs.discard(item.enrollment_id)
            else:
                sync["errorMessage"] = item.verdict.error
        return frozenset(taken)


class FakeLms:
    """An LMS without uniqueness: every accepted write makes a row."""

    def __init__(self, *, verified: bool = True) -> None:
        self.verified = verified
        self.members: set[str] = set()
        self.everybody = True  #: every address has an account
        self.disabled: set[str] = set()
        self.courses = {"python-basics": True}
        self.rows: list[tuple[str, EffectKey]] = []
        self.requests = 0
        self.enroll_calls: list[EffectKey] = []
        self.batches = False  #: by `confirm_payment`, as is the default
        self.batch_calls: list[list[EffectKey]] = []
        self.blind = False
        self.answers: dict[EffectKey, Callable[[EffectKey], EnrollAnswer]] = {}
        self.down: Exception | None = None
        self._names = itertools.count(1)
        self._lock = threading.Lock()

    def ping(self) -> None:
        self._request()

    def _request(self) -> None:
        with self._lock:
            self.requests += 1
        if self.down is not None:
            raise self.down

    def prove_sight(self) -> Sight:
        self._request()
        return Sight(proven=bool(self.rows), total=len(self.rows))

    def titles(self, courses: Collection[str]) -> Mapping[str, str]:
        if not self.verified or not courses:
            return {}
        self._request()
        return {slug: slug.replace("-", " ").title() for slug in courses if slug in self.courses}

    def breather(self) -> float:
        return 0.0

    def observe(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Observation]:
        if not self.verified:
            return {key: Unknown("no key") for key in keys}
        if keys:
            self._request()
        return {key: self._look(key) for key in keys}

    def _look(self, key: EffectKey) -> Observation:
        ids = [lms_id for lms_id, row in self.rows if row == key]
        if ids and not self.blind:
            return Enrolled(ids[0], len(ids))
        if key.course not in self.courses:
            return CourseMissing()
        if not self.courses[key.course]:
            return CourseUnpublished()
        if not self.everybody and key.member not in self.members:
            return MemberMissing()
        if key.member in self.disabled:
            return MemberDisabled()
        return NotEnrolled()

    def add(self, key: EffectKey) -> str:
        with self._lock:
            lms_id = f"lms{next(self._names):04d}"
            self.rows.append((lms_id, key))
        return lms_id

    def enroll(self, enrollment: Enrollment) -> EnrollAnswer:
        with self._lock:
            self.enroll_calls.append(enrollment.key)
        self._request()
        if enrollment.key in self.answers:
            return self.answers[enrollment.key](enrollment.key)
        if not self.verified and any(row == enrollment.key for _, row in self.rows):
            return AlreadyThere(http_status=200)
        return Created(lms_id=self.add(enrollment.key), http_status=200)

    def enroll_many(self, enrollments: Sequence[Enrollment]) -> ManyAnswer:
        """All or nothing: what one of them is answered, or raises, happens to all."""
        if not self.batches or not 1 <= len(enrollments) <= LARGEST_BATCH:
            raise ValueError(f"cannot enroll {len(enrollments)} at once")
        keys = [enrollment.key for enrollment in enrollments]
        with self._lock:
            self.batch_calls.append(keys)
        self._request()
        for key in keys:
            said = self.answers[key](key) if key in self.answers else None
            if isinstance(said, Refused):
                return RefusedMany(reason=said.reason, error=said.error, http_status=said.http_status)
            if isinstance(self._look(key), (CourseMissing, MemberMissing)):
                return RefusedMany(reason=Reason.LMS_REJECTED, error="Could not find", http_status=417)
        return CreatedMany(lms_ids=[self.add(key) for key in keys], http_status=200)


def refuse(text: str = "no") -> Callable[[EffectKey], EnrollAnswer]:
    return lambda _: Refused(reason=Reason.LMS_REJECTED, error=text, http_status=417)


def fail(error: Exception) -> Callable[[EffectKey], EnrollAnswer]:
    def answer(_: EffectKey) -> EnrollAnswer:
        raise error

    return answer


class FakeLeases:
    """Leases on the fake clock; holds and fences as the real ones."""

    def __init__(self, clock: FakeClock, *, ttl: float = 120.0, hold_seconds: float = 180.0) -> None:
        self._clock = clock
        self._ttl = ttl
        self._hold = hold_seconds
        self.rows: dict[EffectKey, dict[str, Any]] = {}
        self.left: set[str] = set()
        self._tokens = itertools.count(1)
        self._lock = threading.Lock()

    def take(self, keys: Sequence[EffectKey], run_id: str) -> Mapping[EffectKey, Lease]:
        now = self._clock.now()
        taken = {}
        with self._lock:
            for key in keys:
                row = self.rows.get(key)
                if row is not None and row["expires_at"] > now:
                    continue
                token = f"t{next(self._tokens)}"
                hold, owners = _latest(row, now), _owners(row)
                self.rows[key] = {
                    "token": token,
                    "run_id": run_id,
                    "expires_at": now + timedelta(seconds=self._ttl),
                    "hold_until": hold,
                    "writing_until": None,
                    "attempts": set(),
                    "owners": owners,
                }
                taken[key] = Lease(key=key, token=token, hold_until=hold, owners=owners)
        return taken

    def peek(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Lease]:
        now = self._clock.now()
        free = {}
        for key in keys:
            row = self.rows.get(key)
            if row is None or row["expires_at"] <= now:
                hold = _latest(row, now)
                free[key] = Lease(key=key, token="", hold_until=hold, owners=_owners(row))
        return free

    def fence_all(self, attempts: Sequence[tuple[Lease, int]]) -> frozenset[EffectKey]:
        with self._lock:
            return frozenset(lease.key for lease, attempt in attempts if self._fence(lease, attempt))

    def _fence(self, lease: Lease, attempt: int) -> bool:
        now = self._clock.now()
        row = self.rows.get(lease.key)
        if row is None or row["token"] != lease.token or row["expires_at"] <= now:
            return False
        row["writing_until"] = now + timedelta(seconds=self._hold + IN_FLIGHT)
        row["attempts"].add(attempt)
        return True

    def hold_all(self, leases: Sequence[Lease]) -> datetime:
        with self._lock:
            until = self._clock.now() + timedelta(seconds=self._hold)
            for lease in leases:
                row = self.rows.get(lease.key)
                if row is not None and row["token"] == lease.token:
                    row["hold_until"] = until
            return until

    def release(self, leases: Sequence[Lease], *, keep_owners: Collection[EffectKey] = ()) -> None:
        now = self._clock.now()
        with self._lock:
            for lease in leases:
                row = self.rows.get(lease.key)
                if row is None or row["token"] != lease.token:
                    continue
                kept = row["owners"] if lease.key in keep_owners else ()
                if kept or (row["hold_until"] is not None and row["hold_until"] > now):
                    row |= {"expires_at": now, "token": None, "writing_until": None}
                    row |= {"attempts": set(), "owners": kept}
                else:
                    del self.rows[lease.key]

    def leave(self, leases: Sequence[Lease]) -> None:
        with self._lock:
            self.left |= {lease.token for lease in leases}

    def renew(self) -> None:
        with self._lock:
            for row in self.rows.values():
                if row["expires_at"] > self._clock.now() and row["token"] not in self.left:
                    row["expires_at"] = self._clock.now() + timedelta(seconds=self._ttl)

    def take_over(self, run_ids: Sequence[str]) -> None:
        with self._lock:
            for row in self.rows.values():
                if row["run_id"] in run_ids:
                    row["expires_at"] = self._clock.now()


def _latest(row: dict[str, Any] | None, now: datetime) -> datetime | None:
    holds = [row["hold_until"], row["writing_until"]] if row else []
    return max((hold for hold in holds if hold is not None and hold > now), default=None)


def _owners(row: dict[str, Any] | None) -> tuple[Owner, ...]:
    if row is None:
        return ()
    before: tuple[Owner, ...] = row["owners"]
    if row["token"] is None:
        return before
    return (*before, Owner(token=row["token"], attempts=frozenset(row["attempts"])))


def outcomes(counter: Counter[Outcome]) -> dict[str, int]:
    """A run's outcomes without the zeros, for comparing."""
    return {outcome.value: count for outcome, count in counter.items() if count}
