"""What the LMS says of one order's learner now, also under the addresses that the shop itself has sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconcile.base.errors import ReconcileError
from reconcile.base.redaction import redact
from reconcile.domain.model import AnyEnrollment, EffectKey, Enrolled, Enrollment, Observation
from reconcile.run.ports import LearningPlatform


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen."""

    observation: Observation | None = None  #: as a run takes it: whoever is in the course is, by any address
    failure: str | None = None  #: why the LMS could not be asked
    found_as: str | None = None  #: the other address under which the learner is in the course
    others: Mapping[str, Observation | None] = field(default_factory=dict)  #: by each other address


def look(platform: LearningPlatform, item: AnyEnrollment, *, sent_as: Iterable[str]) -> Look:
    """Ask the LMS, as a run does. An LMS that does not answer is an answer.

    `sent_as`: the addresses under which the shop itself has sent the order.
    """
    known = item.member if isinstance(item, Enrollment) else item.email
    sent = [address for address in sent_as if address != known]
    unseen: dict[str, Observation | None] = dict.fromkeys(sent)
    if not isinstance(item, Enrollment):
        return Look(others=unseen)
    keys = {address: EffectKey(address, item.course) for address in sent}
    try:
        platform.ping()
        if platform.verified:
            platform.prove_sight()
        shown = platform.observe([item.key, *keys.values()])
    except ReconcileError as error:
        return Look(failure=redact(str(error)), others=unseen)
    others = {address: shown[key] for address, key in keys.items()}
    there = next((address for address, seen in others.items() if isinstance(seen, Enrolled)), None)
    if there is None or isinstance(shown[item.key], Enrolled):
        return Look(observation=shown[item.key], others=others)
    return Look(observation=others[there], found_as=there, others=others)
