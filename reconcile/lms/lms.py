"""A Frappe LMS over HTTP, as the port `LearningPlatform`: looks in bulk, enrolls one by one or many at once.

What answers mean stands in `answers` and `errors`, what a write carries in `bodies`, which rows belong to
whom in `pages`, how requests are made safely in `http`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

from reconcile.base import log
from reconcile.base.errors import AuthenticationFailed, TerminalError
from reconcile.domain.identity import normalise_name
from reconcile.domain.model import EffectKey, Enrolled, Enrollment, Observation, Reason, Unknown
from reconcile.lms import answers, bodies, pages
from reconcile.lms.courses import SeenCourses
from reconcile.lms.errors import GIVE_ROLE, error_text
from reconcile.lms.http.answer import Answer
from reconcile.lms.http.client import Http, Observer
from reconcile.lms.probe import FrappeProbe
from reconcile.run.answers import LARGEST_BATCH, EnrollAnswer, ManyAnswer, Refused, RefusedMany
from reconcile.run.ports import Sight

_log = log.get_logger(__name__)

#: Enrollments looked at to prove that the key sees other people's.
_SAMPLE = 100
#: Answers that mean "you may not": a missing role, or a field hidden from it (FRAPPE 3.1, 4).
_NOT_PERMITTED = (403, 417)

Via = Literal["confirm_payment", "rest"]
_Answered = TypeVar("_Answered", EnrollAnswer, ManyAnswer)


class FrappeLms:
    """`LearningPlatform` on one Frappe site. Thread-safe. Raises TransientError and TerminalError kinds."""

    def __init__(
        self,
        *,
        base_url: str,
        authorization: str | None = None,
        via: Via = "confirm_payment",
        timeout: float = 10.0,
        on_request: Observer | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`authorization` is the header's whole value, None without a key; `timeout` is in seconds."""
        self._http = Http(
            base_url=base_url,
            authorization=authorization,
            timeout=timeout,
            on_request=on_request,
            sleep=sleep,
        )
        self._keyless = not authorization
        self._via = via
        self._courses = SeenCourses()
        self._lock = threading.Lock()
        #: Doctypes that this key may not list: asked once, warned about once.
        self._closed: set[str] = set()

    @property
    def verified(self) -> bool:
        """False without a key: nothing can be looked up."""
        return not self._keyless

    @property
    def batches(self) -> bool:
        """Whether many can be enrolled in one request: `rest` alone, and with a key to look again with."""
        return self._via == "rest" and not self._keyless

    @property
    def requests(self) -> int:
        """Requests sent so far, repeated reads included."""
        return self._http.requests

    def close(self) -> None:
        """Close the connections that nobody uses right now; the next request opens new ones."""
        self._http.close()

    def ping(self) -> None:
        """Return if the LMS answers. Read only, may be repeated.

        Whoever looks afterwards asks for courses anew. A wrong key fails even this (FRAPPE 2). Raises
        TransientError kinds, AuthenticationFailed, and ProtocolViolation(ends_run=True) where the address is
        no Frappe site.
        """
        self._courses.forget()
        answers.check_ping(self._http.read("ping", "GET", "/api/method/ping"))

    def prove_sight(self) -> Sight:
        """Whether this key sees other people's enrollments; unproven where there are none yet, or no key.

        A key with the role LMS Student is answered 200 with its own rows only, while the count counts
        all (FRAPPE, point 2). Read only, may be repeated. Raises AuthenticationFailed(reason="blind").
        """
        if self._keyless:
            return Sight(proven=False)
        total, shown = self._count(), self._sample()
        if total is not None and len(shown) < min(_SAMPLE, total):
            # Somebody may have been unenrolled between the two: look once more.
            total, shown = self._count(), self._sample()
            if total is not None and len(shown) < min(_SAMPLE, total):
                raise AuthenticationFailed(
                    f"the key sees {len(shown)} of {total} LMS enrollments: others' are hidden from it",
                    reason=Reason.BLIND.value,
                    hint=f"{GIVE_ROLE} With LMS Student alone the LMS shows only one's own.",
                )
        members = {row["member"] for row in shown if isinstance(row.get("member"), str)}
        if total is None or not members:
            return Sight(proven=len(members) > 1, total=total)
        return Sight(proven=len(members) > 1 or not self._is_mine(members), total=total)

    def breather(self) -> float:
        """Seconds until the LMS's budget is whole again, when little of it is left; else 0.

        The budget is server seconds for the whole site, learners included (FRAPPE, point 11): the last
        tenth of it is theirs.
        """
        return answers.breather(self._http.last_headers)

    def observe(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Observation]:
        """What the LMS shows for each key, however many: a request for 500, one more for 500 not enrolled.

        Courses are asked for once, until the next `ping` or refusal. Read only, may be repeated. Without a
        key everything is Unknown. Believe NotEnrolled only from a key that has proven its sight. Raises
        TransientError kinds, AuthenticationFailed, and ProtocolViolation rather than conclude from an odd
        answer.
        """
        if self._keyless:
            return {key: Unknown("without an API key nothing can be looked up") for key in keys}
        page = pages.Page(enrolled=self._enrollments(keys))
        seen = {key: pages.conclude(key, page) for key in keys}
        rest = [key for key, observation in seen.items() if not isinstance(observation, Enrolled)]
        if rest:
            page = replace(page, users=self._users(rest), courses=self._published(rest))
            seen |= {key: pages.conclude(key, page) for key in rest}
        return seen

    def titles(self, courses: Collection[str]) -> Mapping[str, str]:
        """What these courses are called; absent where the LMS does not tell, or the key may not look.

        One request, none without a key or a course. Read only, may be repeated. Raises as `observe`.
        """
        if self._keyless or not courses:
            return {}
        answer = self._permitted(pages.titles_query(courses))
        if answer is None:
            return {}
        found = answers.rows(answer, f"list {pages.COURSE}", texts=("name",))
        return pages.titles_by_name(found, courses)

    def enroll(self, enrollment: Enrollment) -> EnrollAnswer:
        """Ask for one LMS enrollment: one request, never sent again by itself.

        NOT to be repeated unless the caller has looked again. Raises AmbiguousWrite (sent and not
        answered), ServiceUnavailable, RateLimited, AuthenticationFailed, and ProtocolViolation, whose
        `ends_run` tells a wrong address or a missing method from one odd answer.
        """
        if self._via == "rest":
            path, body = "/api/resource/LMS%20Enrollment", bodies.enrolling(enrollment)
            answer = self._http.write("create LMS Enrollment", path, body=body)
            return self._doubted(answers.created(answer, enrollment.key))
        path = f"/api/method/{answers.CONFIRM_METHOD}"
        answer = self._http.write("confirm_payment", path, body=bodies.payment(enrollment))
        return self._doubted(answers.confirmed(answer, keyless=self._keyless))

    def enroll_many(self, enrollments: Sequence[Enrollment]) -> ManyAnswer:
        """Ask for so many LMS enrollments, 1 to 200, in one request, never sent again by itself: all or none.

        Only where it `batches`, else a ValueError. An LMS accepts a pair twice, also inside one batch
        (FRAPPE, point 14): the caller sees to it. NOT to be repeated, whole or in part, unless the caller has
        looked again. Raises as `enroll`; AmbiguousWrite also for a refusal that is not Frappe's own words.
        """
        if not self.batches or not 1 <= len(enrollments) <= LARGEST_BATCH:
            raise ValueError(f"cannot enroll {len(enrollments)} at once")
        path, body = "/api/method/frappe.client.insert_many", bodies.enrolling_many(enrollments)
        answer = self._http.write("create LMS Enrollments", path, body=body)
        return self._doubted(answers.created_many(answer, len(enrollments)))

    def enrolled(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Enrolled]:
        """Which of these are enrolled, and nothing else: one request for 500. Needs a key.

        Read only, may be repeated. Raises as `observe`.
        """
        page = pages.Page(enrolled=self._enrollments(keys))
        seen = {key: pages.conclude(key, page) for key in keys}
        return {key: there for key, there in seen.items() if isinstance(there, Enrolled)}

    def roster(self, *, after: str, at_least: int) -> tuple[Mapping[EffectKey, Sequence[str]], str | None]:
        """The enrollments of the members behind `after`, and the member to go on behind; None at the end.

        Whole members only, so that whoever is there twice is seen twice on one page. Read only, may be
        repeated. Raises as `observe`.
        """
        size = at_least + pages.SPARE
        while True:
            answer = self._list(pages.roster_query(after, size))
            rows = answers.rows(answer, f"list {pages.ENROLLMENT}", texts=("name", "member", "course"))
            whole, last = pages.whole_members(rows, size)
            if whole or last is None:
                return pages.names_by_key(whole), last
            size *= 2  # more rows of one member than fit: ask for more

    def probe(self) -> FrappeProbe:
        """The same site, for questions that only people ask."""
        return FrappeProbe(self._http)

    def whoami(self) -> str:
        """The LMS user that the key belongs to. Read only, may be repeated. Raises as `observe`."""
        answer = self._http.read("whoami", "GET", "/api/method/frappe.auth.get_logged_user")
        return answers.user(answer, "whoami")

    def _doubted(self, answer: _Answered) -> _Answered:
        """The answer. After a refusal the next look asks for courses anew: one may have gone meanwhile."""
        if isinstance(answer, (Refused, RefusedMany)):
            self._courses.forget()
        return answer

    def _enrollments(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Enrolled]:
        found: dict[EffectKey, Enrolled] = {}
        for chunk in pages.portions(keys):
            answer = self._list(pages.enrollments_query(chunk))
            rows = answers.rows(answer, f"list {pages.ENROLLMENT}", texts=("name", "member", "course"))
            found |= pages.enrolled_by_key(rows)
        return found

    def _users(self, keys: Sequence[EffectKey]) -> Mapping[str, bool] | None:
        found: dict[str, bool] = {}
        for chunk in pages.portions(keys):
            flags = self._flags(pages.users_query(chunk), "enabled")
            if flags is None:
                return None
            found |= flags
        return found

    def _published(self, keys: Sequence[EffectKey]) -> Mapping[str, bool] | None:
        return self._courses.look(
            {key.course for key in keys}, lambda asked: self._flags(pages.courses_query(asked), "published")
        )

    def _flags(self, query: Mapping[str, Any], flag: str) -> dict[str, bool] | None:
        """Which names are there, with their flag; None where the key may not look."""
        answer = self._permitted(query)
        if answer is None:
            return None
        found = answers.rows(answer, f"list {query['doctype']}", texts=("name",), flag=flag)
        return pages.flags_by_name(found, flag)

    def _permitted(self, query: Mapping[str, Any]) -> Answer | None:
        """The answer to a list; None where the key may not list this: asked once, told once."""
        doctype = query["doctype"]
        if doctype in self._closed:
            return None
        answer = self._list(query)
        if answer.status in _NOT_PERMITTED:
            with self._lock:
                known = doctype in self._closed
                self._closed.add(doctype)
            if not known:
                _log.warning(
                    "the key may not list this doctype, so what is missing there shows only when enrolling",
                    doctype=doctype,
                    http_status=answer.status,
                    error=error_text(answer),
                )
            return None
        return answer

    def _list(self, query: Mapping[str, Any], operation: str = "list") -> Answer:
        # POST: a long GET is refused, and a raw + becomes a space (FRAPPE, point 1).
        name = f"{operation} {query['doctype']}"
        return self._http.read(name, "POST", "/api/method/frappe.client.get_list", body=query)

    def _count(self) -> int | None:
        """How many LMS enrollments there are, permitted to see or not; None where even that is refused."""
        operation = f"count {pages.ENROLLMENT}"
        body = {"doctype": pages.ENROLLMENT}
        answer = self._http.read(operation, "POST", "/api/method/frappe.client.get_count", body=body)
        return None if answer.status in _NOT_PERMITTED else answers.count(answer, operation)

    def _sample(self) -> list[dict[str, Any]]:
        answer = self._list(pages.sample_query(_SAMPLE), "sample")
        return answers.rows(answer, f"sample {pages.ENROLLMENT}", texts=("name",))

    def _is_mine(self, members: set[str]) -> bool:
        """Whether the only learner shown is the key's own user: then the list proves nothing."""
        try:
            return normalise_name(self.whoami()) in map(normalise_name, members)
        except TerminalError:
            return False
