"""The ports of a dry run: as the real ones, without effects."""

from __future__ import annotations

import pytest

from reconcile.domain.model import Enrolled, Enrollment
from reconcile.run.answers import CreatedMany
from reconcile.run.dry_run import ReadOnlyPlatform
from reconcile.storefront.documents import parse_enrollment
from tests.fakes.world import FakeLms, any_text_with_at, order


def paid(name: str) -> Enrollment:
    item = parse_enrollment(order(name), enrollment_id=name, email_rule=any_text_with_at)
    assert isinstance(item, Enrollment)
    return item


def test_many_are_enrolled_only_in_what_it_shows() -> None:
    real = FakeLms()
    real.batches = True
    platform = ReadOnlyPlatform(real)
    orders = [paid("e1"), paid("e2")]

    answer = platform.enroll_many(orders)

    assert isinstance(answer, CreatedMany)
    assert len(answer.lms_ids) == 2
    assert not real.rows
    assert not real.batch_calls
    assert platform.observe([item.key for item in orders]) == {
        item.key: Enrolled(answer.lms_ids[0]) for item in orders
    }


@pytest.mark.parametrize("batches", [True, False])
def test_it_batches_where_the_real_one_does(*, batches: bool) -> None:
    real = FakeLms()
    real.batches = batches

    assert ReadOnlyPlatform(real).batches is batches
