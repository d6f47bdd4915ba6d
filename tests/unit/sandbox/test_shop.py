"""The sandbox's shop: deterministic, complete, and read by the domain as it says it is."""

from __future__ import annotations

import ast
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId, encode

import reconcile.sandbox
from reconcile.domain.model import (
    AnyEnrollment,
    Confirm,
    CourseMissing,
    CourseUnpublished,
    Defer,
    Enroll,
    Enrolled,
    Enrollment,
    GiveUp,
    History,
    MalformedEnrollment,
    MemberDisabled,
    MemberMissing,
    NotEnrolled,
    Observation,
    Reason,
    Skip,
    Wait,
)
from reconcile.run.decision import decide
from reconcile.run.retry import RetryPolicy
from reconcile.sandbox.shop.lms_errors import DOWN
from reconcile.sandbox.shop.many_orders import VOLUME_COURSES, many_courses, many_orders, many_users
from reconcile.sandbox.shop.seed import (
    CONFIRMABLE,
    COVERED,
    ENROLLABLE,
    OUTCOMES,
    Shop,
    load,
    shop,
)
from reconcile.storefront.documents import instant, parse_enrollment
from reconcile.storefront.email_rule import email_problem

NOW = datetime(2026, 3, 18, 10, 30, 12, 345678, tzinfo=UTC)
SHOP = shop(NOW)
ORDERS = {str(order["_id"]): order for order in SHOP.enrollments}

#: Every kind of order, and what becomes of it where that is not `Enroll` or `Confirm`.
LEFT_ALONE: dict[str, Any] = {
    "no_account": Wait(Reason.MEMBER_MISSING),
    "placeholder_email": GiveUp(Reason.PLACEHOLDER_EMAIL),
    "disabled_account": Wait(Reason.MEMBER_DISABLED),
    "course_renamed": Wait(Reason.COURSE_MISSING),
    "course_unpublished": Wait(Reason.COURSE_UNPUBLISHED),
    "invalid_email": GiveUp(Reason.INVALID_EMAIL),
    "invalid_course": GiveUp(Reason.INVALID_COURSE),
    "malformed": GiveUp(Reason.MALFORMED),
    "unpaid": Skip(Reason.NOT_PAID),
    "unmarked": Skip(Reason.NOT_PAID),
    "being_marked": Skip(Reason.NOT_PAID),
    "too_new": Skip(Reason.TOO_NEW),
    "just_paid": Skip(Reason.TOO_NEW),
    "unanswered_try": Skip(Reason.TOO_NEW),
    "job_active": Skip(Reason.RETRY_JOB_ACTIVE),
}
REPAIRED = {
    "lost_pending",
    "late_answer",
    "outage",
    "duplicate_payment",
    "full_grant",
    "partial_grant",
    "affiliate",
    "lms_context",
    "other_currency",
    "job_stuck",
    "imported",
    "given_up_by_shop",
    "overdue",
    "sent_as_another",
    "odd_id",
    "placeholder_known",
}
NOT_PAID = {"unpaid", "unmarked", "being_marked"}
UNREADABLE = {"invalid_email", "invalid_course", "malformed", "placeholder_email"}


def parsed(order: dict[str, Any], among: Shop = SHOP) -> AnyEnrollment:
    made: datetime = order["_id"].generation_time
    return parse_enrollment(
        order,
        enrollment_id=str(order["_id"]),
        email_rule=email_problem,
        created_at=made,
        job_addresses=sent_as(order, among),
    )


def sent_as(order: dict[str, Any], among: Shop) -> list[str]:
    """The addresses that the shop itself has sent to the LMS."""
    return [job["payload"]["user_email"] for job in jobs_of(order, among)]


def history(order: dict[str, Any], among: Shop) -> History:
    """A job is active while it has been processing for less than ten minutes."""
    return History(
        retry_job_active=any(
            job["status"] == "processing" and job["processingTimeout"] > NOW for job in jobs_of(order, among)
        )
    )


def jobs_of(order: dict[str, Any], among: Shop) -> list[dict[str, Any]]:
    return [job for job in among.retry_jobs if job["enrollmentId"] == order["_id"]]


def observation(item: AnyEnrollment, among: Shop, sent: list[str]) -> Observation:
    """What the LMS shows, in the order in which the job asks; `sent` are the retry job's addresses."""
    if not isinstance(item, Enrollment):
        return NotEnrolled()
    given = {(row["member"], row["course"]) for row in among.lms_enrollments}
    users = {row["email"]: row["enabled"] for row in among.lms_users}
    courses = {row["name"]: row["published"] for row in among.lms_courses}
    if any((member, item.course) in given for member in (item.member, *sent)):
        return Enrolled("lms-name")
    if item.course not in courses:
        return CourseMissing()
    if not courses[item.course]:
        return CourseUnpublished()
    known = [member for member in (item.member, *sent) if member in users]
    if not known:
        return MemberMissing()
    return NotEnrolled() if users[known[0]] else MemberDisabled()


def decision(order_id: str, among: Shop = SHOP) -> Any:
    order = next(each for each in among.enrollments if str(each["_id"]) == order_id)
    item, sent = parsed(order, among), sent_as(order, among)
    return decide(item, observation(item, among, sent), history(order, among), RetryPolicy(), NOW)


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_the_same_seed_and_now_give_the_same_shop() -> None:
    assert shop(NOW) == SHOP
    assert shop(NOW.astimezone()) == SHOP
    assert shop(NOW, seed=8) != SHOP


@pytest.mark.parametrize("seed", range(12))
def test_every_seed_and_hour_make_a_shop_of_the_same_kinds(seed: int) -> None:
    now = NOW + timedelta(days=37 * seed, hours=2 * seed)
    other = shop(now, seed=seed)

    assert {kind: len(ids) for kind, ids in other.expected.items()} == {
        kind: len(ids) for kind, ids in SHOP.expected.items()
    }
    assert len({order["paymentId"] for order in other.enrollments}) == len(SHOP.enrollments)
    assert all(order.get("updatedAt", now) <= now for order in other.enrollments)
    assert all(job["createdAt"] <= job["updatedAt"] <= now for job in other.retry_jobs)


def test_now_must_be_aware() -> None:
    with pytest.raises(ValueError, match="aware"):
        shop(NOW.replace(tzinfo=None))


def test_every_kind_is_there_and_no_other() -> None:
    kinds = set(SHOP.expected) - set(OUTCOMES)

    assert kinds == REPAIRED | set(LEFT_ALONE) | {"synced"}
    assert [kind for kind, ids in SHOP.expected.items() if len(ids) < 2] == ["being_marked"]
    assert 250 <= len(SHOP.enrollments) <= 300
    assert max(kinds, key=lambda kind: len(SHOP.expected[kind])) == "synced"


def test_every_order_is_of_exactly_one_kind() -> None:
    kinds = Counter(
        order_id for kind, ids in SHOP.expected.items() if kind not in OUTCOMES for order_id in ids
    )

    assert set(kinds) == set(ORDERS)
    assert set(kinds.values()) == {1}
    assert all(SHOP.kind_of(order_id) in kinds_of(order_id) for order_id in ORDERS)
    with pytest.raises(KeyError):
        SHOP.kind_of("0" * 24)


def kinds_of(order_id: str) -> set[str]:
    return {kind for kind, ids in SHOP.expected.items() if order_id in ids}


def test_every_repaired_order_and_no_other_has_an_outcome() -> None:
    counted = Counter(order_id for outcome in OUTCOMES for order_id in SHOP.expected[outcome])
    without = {order_id for order_id in ORDERS if order_id not in counted}

    assert set(counted.values()) == {1}
    assert {SHOP.kind_of(order_id) for order_id in counted} == REPAIRED
    # Of a pair of payments, the first may be synced.
    assert {SHOP.kind_of(order_id) for order_id in without} == {*LEFT_ALONE, "synced", "duplicate_payment"}


@pytest.mark.parametrize("kind", sorted(set(SHOP.expected) - set(OUTCOMES)))
def test_the_domain_reads_every_order_as_its_kind_says(kind: str) -> None:
    for order_id in SHOP.expected[kind]:
        item = parsed(ORDERS[order_id])
        synced = kind == "synced" or (kind == "duplicate_payment" and kinds_of(order_id) == {kind})

        assert isinstance(item, MalformedEnrollment) is (kind in UNREADABLE)
        assert item.paid is (kind not in NOT_PAID)
        assert item.sync.is_synced is synced


@pytest.mark.parametrize("kind", sorted(LEFT_ALONE))
@pytest.mark.parametrize("seed", [7, 8])
def test_what_a_run_leaves_alone_and_why(kind: str, seed: int) -> None:
    among = SHOP if seed == 7 else shop(NOW, seed=seed)

    assert {decision(order_id, among) for order_id in among.expected[kind]} == {LEFT_ALONE[kind]}


@pytest.mark.parametrize("seed", [7, 8])
@pytest.mark.parametrize(
    ("outcome", "wanted"), [(ENROLLABLE, Enroll), (COVERED, Enroll), (CONFIRMABLE, Confirm)]
)
def test_what_a_run_puts_right(outcome: str, wanted: type, seed: int) -> None:
    among = SHOP if seed == 7 else shop(NOW, seed=seed)

    assert {type(decision(order_id, among)) for order_id in among.expected[outcome]} == {wanted}
    assert Defer not in {type(decision(order_id, among)) for order_id in among.expected[outcome]}


def test_nobody_is_given_one_course_twice() -> None:
    first = [parsed(ORDERS[order_id]).key for order_id in SHOP.expected[ENROLLABLE]]  # type: ignore[union-attr]
    again = {parsed(ORDERS[order_id]).key for order_id in SHOP.expected[COVERED]}  # type: ignore[union-attr]

    assert len(set(first)) == len(first)
    assert again < set(first)


def test_the_first_of_two_payments_is_the_one_that_counts() -> None:
    twins = [ORDERS[order_id] for order_id in SHOP.expected["duplicate_payment"]]

    for first, second in zip(twins[::2], twins[1::2], strict=True):
        assert (first["email"], first["courseId"]) == (second["email"], second["courseId"])
        assert first["_id"] < second["_id"]
        assert first["paymentId"] != second["paymentId"]


def test_what_is_synced_is_in_the_lms_and_says_so() -> None:
    given = {(row["member"], row["course"]) for row in SHOP.lms_enrollments}

    for order_id in SHOP.expected["synced"]:
        order, sync = ORDERS[order_id], ORDERS[order_id]["frappeSync"]
        assert (order["email"], order["courseId"]) in given
        assert sync["synced"] is True
        assert sync["syncStatus"] == "success"
        assert sync["enrollmentId"]
        assert sync["syncCompletedAt"] <= NOW


def test_the_documents_hold_what_the_storefront_would_write() -> None:
    payments = [order["paymentId"] for order in SHOP.enrollments]
    states = {(order.get("frappeSync") or {}).get("syncStatus", "pending") for order in SHOP.enrollments}

    assert len(set(payments)) == len(payments)
    assert states == {"pending", "success", "failed", "retrying"}
    assert {order["status"] for order in SHOP.enrollments} == {"paid", "pending", "failed"}
    assert {order["enrollmentType"] for order in SHOP.enrollments} == {
        "paid_stripe", "free_grant", "partial_grant", "affiliate_referral", "lms_redirect",
    }  # fmt: skip
    assert {order.get("currency") for order in SHOP.enrollments} >= {"usd", "eur", "inr", "gbp", None}
    assert all(encode(document) for document in (*SHOP.enrollments, *SHOP.retry_jobs, *SHOP.courses))


def test_ids_tell_the_time_of_the_order_and_are_unique() -> None:
    ids = [row["_id"] for row in (*SHOP.enrollments, *SHOP.retry_jobs, *SHOP.courses)]

    assert len(set(ids)) == len(ids)
    assert [order["_id"] for order in SHOP.enrollments] == sorted(order["_id"] for order in SHOP.enrollments)
    for order in SHOP.enrollments:
        ordered = instant(order["timestamp"])
        assert ordered is not None
        assert order["_id"].generation_time == ordered.replace(microsecond=0)
        assert ordered < NOW


def test_the_outage_is_one_afternoon() -> None:
    orders = [ORDERS[order_id] for order_id in SHOP.expected["outage"]]
    times = [order["createdAt"] for order in orders]

    assert len(orders) == 30
    assert max(times) - min(times) < timedelta(hours=2)
    assert {order["frappeSync"]["retryCount"] for order in orders} > {0, 1, 2, 5}
    assert {order["frappeSync"]["syncStatus"] for order in orders} == {"failed", "retrying", "pending"}
    assert all(order["frappeSync"]["errorMessage"] in DOWN for order in orders)


def test_retry_jobs_and_orders_know_each_other() -> None:
    jobs = {job["_id"]: job for job in SHOP.retry_jobs}

    assert len({job["enrollmentId"] for job in jobs.values()}) == len(jobs)
    for job in jobs.values():
        order = ORDERS[str(job["enrollmentId"])]
        sync, done = order["frappeSync"], job["status"] == "completed"
        kind = SHOP.kind_of(str(order["_id"]))
        assert (sync.get("retryJobId") == job["_id"]) is not done
        assert done is (kind == "synced")
        assert (job["payload"]["user_email"] == order["email"]) is not (
            kind == "sent_as_another" or ("lmsContext" not in order and kind == "placeholder_known")
        )
        assert (job["status"] == "failed") is (sync["retryCount"] == 5) is (sync["syncStatus"] == "failed")
        assert job["createdAt"] <= job["updatedAt"] <= NOW
    assert {job["status"] for job in jobs.values()} == {"pending", "processing", "completed", "failed"}


def test_no_address_is_a_real_persons() -> None:
    everything = [SHOP.enrollments, SHOP.retry_jobs, SHOP.courses, SHOP.lms_users, SHOP.lms_enrollments]
    addresses = [text for rows in everything for text in texts(rows) if "@" in text]
    reserved = re.compile(
        r"[^@]+@+([a-z.]*\.)?example(\.(com|org|net))?|temp_\d+@placeholder\.com", re.IGNORECASE
    )

    assert len(addresses) > 500
    assert [each for each in addresses if reserved.fullmatch(each.strip()) is None] == []


def test_the_lms_has_every_course_but_the_renamed_one() -> None:
    sold = {course["courseId"] for course in SHOP.courses}
    offered = {course["name"]: course for course in SHOP.lms_courses}

    assert len(sold) == 10
    assert len(sold - set(offered)) == 1
    assert [course["name"] for course in offered.values() if not course["published"]] == [
        "blockchain-fundamentals"
    ]
    assert all(row["course"] in offered for row in SHOP.lms_enrollments)
    assert {row["member"] for row in SHOP.lms_enrollments} <= {row["email"] for row in SHOP.lms_users}


class _Collection:
    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = [{"_id": "old"}]
        self.indexes: list[tuple[tuple[tuple[str, int], ...], bool]] = []

    def drop(self) -> None:
        self.documents.clear()

    def insert_many(self, documents: list[dict[str, Any]]) -> None:
        self.documents += documents

    def create_index(self, keys: list[tuple[str, int]], *, unique: bool) -> None:
        self.indexes.append((tuple(keys), unique))


def test_load_replaces_what_is_there_and_indexes_as_the_storefront_does() -> None:
    database: Any = {name: _Collection() for name in ("enrollments", "retry_jobs", "courses")}

    load(SHOP, database)

    assert database["enrollments"].documents == SHOP.enrollments
    assert database["retry_jobs"].documents == SHOP.retry_jobs
    assert database["courses"].documents == SHOP.courses
    assert ((("paymentId", 1),), True) in database["enrollments"].indexes
    assert len(database["enrollments"].indexes) == 5


def test_many_orders_are_unsynced_due_and_mostly_in_the_lms() -> None:
    made = list(many_orders(2000, now=NOW))
    items = [parsed(order) for order, _ in made]
    users = {user["email"] for user in many_users(2000)}
    courses = {course["name"] for course in many_courses()}

    assert made == list(many_orders(2000, now=NOW))
    assert 0.87 < sum(there for _, there in made) / len(made) < 0.93
    assert len({order["_id"] for order, _ in made}) == len({order["paymentId"] for order, _ in made}) == 2000
    assert courses == {course.slug for course in VOLUME_COURSES}
    for item in items:
        assert isinstance(item, Enrollment)
        assert item.member in users
        assert item.course in courses
        assert not item.sync.is_synced
        assert decide(item, NotEnrolled(), History(), RetryPolicy(), NOW) == Enroll()


def test_many_orders_stream() -> None:
    first = list(islice(many_orders(10**9, now=NOW, in_lms_share=0), 3))

    assert [there for _, there in first] == [False] * 3
    assert all(isinstance(order["_id"], ObjectId) for order, _ in first)
    assert len(list(islice(many_users(10**9), 3))) == 3


def test_the_shop_imports_nothing_else_of_the_product() -> None:
    for path in Path(reconcile.sandbox.__file__).parent.glob("shop/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reconcile"):
                assert str(node.module).startswith("reconcile.sandbox.shop.")
