"""How the sandbox shop's own calls to the LMS went: `frappeSync`, and the jobs of its retry queue. No I/O.

The storefront's habits: the webhook calls twice and then leaves `retrying` and a job due in two
minutes; the success page and a free grant call once and leave a job due in five seconds; the
worker waits longer each time and gives up after the fifth. The worker runs only when somebody posts
to it, so most jobs are overdue and stay so.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reconcile.sandbox.shop.documents import MAX_ATTEMPTS, Document, backoff, claimed, new_job, succeeded
from reconcile.sandbox.shop.lms_errors import TIMEOUT, UNREACHABLE
from reconcile.sandbox.shop.seed_books import Books

_SOON = timedelta(seconds=5)
#: What passes by itself.
_PASSING = (TIMEOUT, UNREACHABLE)


def synced(books: Books, document: Document, *, attempts: int = 0) -> None:
    """The shop's own success, after so many tries of its worker; the LMS has it."""
    paid: datetime = document["updatedAt"]
    done = paid + timedelta(seconds=books.random.randint(2, 8), milliseconds=books.random.randrange(1000))
    if attempts:
        first_call_failed(books, document, books.random.choice(_PASSING), tries=2)
        job = books.retry_jobs[-1]
        done = min(job["createdAt"] + _waited(attempts), books.ago(minutes=1))
        job |= {"attempts": attempts, "status": "completed", "completedAt": done, "updatedAt": done}
    name = f"{books.random.getrandbits(40):010x}"
    document["frappeSync"] = succeeded(name, retry_count=attempts, at=done)
    document["updatedAt"] = done
    books.access(document["email"], document["courseId"])


def first_call_failed(books: Books, document: Document, error: str, *, tries: int) -> None:
    """The call after the payment came to nothing: the webhook's second one, or the only one of another path.

    `tries` is the `retryCount` that it left, 0 to 2; always 0 from the success page.
    """
    paid: datetime = document["updatedAt"]
    failed = paid + timedelta(seconds=books.random.randint(3, 35))
    free = document["enrollmentType"] == "free_grant"
    page = not document["stripeEvents"] and not free
    document["frappeSync"] = {
        "synced": False,
        "syncStatus": "pending" if page else "retrying",
        "errorMessage": error,
        "retryCount": 0 if page else tries,
        "lastSyncAttempt": failed,
    }
    document["updatedAt"] = failed
    due = failed + (_SOON if page or free else backoff(0))
    job = {"_id": books.object_id(failed)} | new_job(document, error, made=failed, due=due)
    document["frappeSync"]["retryJobId"] = job["_id"]
    books.retry_jobs.append(job)


def worker_failed(
    books: Books, document: Document, error: str, *, attempts: int, last: datetime | None = None
) -> Document:
    """So many tries of the worker after that, the last of them at `last`; the fifth gives the order up."""
    first_call_failed(books, document, error, tries=books.random.randint(0, 2))
    job = books.retry_jobs[-1]
    made: datetime = job["createdAt"]
    last = last or min(made + _waited(attempts), books.ago(minutes=60))
    given_up = attempts >= MAX_ATTEMPTS
    document["frappeSync"] |= {
        "syncStatus": "failed" if given_up else "retrying",
        "retryCount": attempts,
        "lastSyncAttempt": last,
    }
    document["updatedAt"] = last
    job |= {"attempts": attempts, "status": "failed" if given_up else "pending", "updatedAt": last}
    if not given_up:
        job["nextRetryAt"] = last + backoff(attempts) * books.random.uniform(0.9, 1.1)
        job["nextRetryAt"] = job["nextRetryAt"].replace(microsecond=0)
    return job


def take(books: Books, job: Document, *, at: datetime) -> None:
    """The worker has claimed a job, and has not come back yet."""
    job |= claimed(job, worker=f"worker-{books.random.getrandbits(24):06x}", at=at)


def _waited(attempts: int) -> timedelta:
    """From the making of a job to the end of its n-th try, each made when it was due."""
    return sum((backoff(number) for number in range(attempts)), timedelta(seconds=3 * attempts))
