"""Every request that a run makes to the LMS has its purpose in monitoring's list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest

from reconcile.base.errors import ReconcileError
from reconcile.domain.model import EffectKey
from reconcile.lms.operations import PURPOSES, by_purpose
from reconcile.metrics.measures import OPERATIONS
from reconcile.metrics.metrics import Metrics
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from tests.fakes.metrics import numbers
from tests.integration.lms_clients import KEY, Clients, order


@pytest.fixture
def lms() -> Iterator[FrappeStandIn]:
    with FrappeStandIn() as stand_in:
        yield stand_in


def test_purposes_are_in_the_list() -> None:
    assert set(PURPOSES.values()) == set(OPERATIONS) - {"other"}


@pytest.mark.parametrize("via", ["confirm_payment", "rest"])
def test_nothing_that_a_run_asks_is_other(via: str, lms: FrappeStandIn) -> None:
    seen: Counter[str] = Counter()
    with Clients(lms.url) as clients:
        client = clients(via=via, on_request=by_purpose(lambda kind, *_: seen.update([kind])))
        client.ping()
        client.prove_sight()
        client.whoami()
        client.observe([EffectKey("nobody@example.com", "no-such-course")])
        client.enroll(order(member="student60@example.com", email="student60@example.com"))
        if client.batches:
            client.enroll_many([order(member="student61@example.com", email="student61@example.com")])

        assert seen.total() == client.requests
    assert set(seen) == set(OPERATIONS) - {"other"}
    assert (seen["ping"], seen["sight"], seen["enroll"]) == (1, 3, 1 + (via == "rest"))


@pytest.mark.parametrize(
    ("fault", "answer"),
    [("500_html", "5xx"), ("429", "429"), ("cut_before", "none"), ("refuse", "4xx"), ("redirect", "4xx")],
)
def test_how_the_lms_answered(fault: str, answer: str, lms: FrappeStandIn) -> None:
    metrics = Metrics()
    lms.faults.add(Fault(kind=fault, operation="enroll"))
    with Clients(lms.url) as clients:
        client = clients(on_request=by_purpose(metrics.request))
        with suppress(ReconcileError):
            client.enroll(order(member=KEY.member))

    requests = numbers(metrics, "reconcile_lms_request_duration_seconds_count")
    assert requests["enroll", answer] == 1
    assert sum(requests.values()) == 1
