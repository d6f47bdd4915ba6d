"""Leaks: where orders were lost in crowds, and where they were not."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.domain.model import Reason
from reconcile.story.leaks import DAY, FEWEST, HOUR, Usual, find_leaks, was_lost

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
AFTERNOON = MIDNIGHT + 17 * DAY + 14 * HOUR + 300


def crowd(orders: int, *, start: float = AFTERNOON, minutes: float = 155) -> list[float]:
    return [start + number * minutes * 60 / (orders - 1) for number in range(orders)]


def trickle(days: int, *, a_day: int = 1, seed: int = 7, first: int = 0, last: int = 24) -> list[float]:
    """So many a day, at random times between two hours."""
    chance = random.Random(seed)
    return [
        MIDNIGHT + day * DAY + chance.uniform(first, last) * HOUR for day in range(days) for _ in range(a_day)
    ]


def found(*instants: list[float]) -> list[tuple[str, str, int]]:
    def shown(instant: float) -> str:
        return f"{datetime.fromtimestamp(instant, UTC):%d %H:%M}"

    leaks = find_leaks(sorted(instant for part in instants for instant in part))
    return [(shown(leak.start), shown(leak.end), leak.orders) for leak in leaks]


@pytest.mark.parametrize(
    ("instants", "leaks"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([[AFTERNOON]], [], id="one order"),
        pytest.param([crowd(4, minutes=3)], [], id="four may fall together by chance"),
        pytest.param([crowd(37)], [("18 14:05", "18 16:40", 37)], id="nothing but the crowd"),
        pytest.param([trickle(24)], [], id="one a day"),
        pytest.param([trickle(30), crowd(37)], [("18 14:05", "18 16:40", 37)], id="a crowd in a trickle"),
        pytest.param([trickle(60, a_day=50, first=9, last=17)], [], id="busy hours are no leak"),
        pytest.param(
            [crowd(37), crowd(10, start=AFTERNOON + 6 * HOUR, minutes=90)],
            [("18 14:05", "18 16:40", 37), ("18 20:05", "18 21:35", 10)],
            id="two crowds of one day",
        ),
        pytest.param(
            [crowd(37), crowd(20, start=AFTERNOON + 8 * DAY, minutes=60)],
            [("18 14:05", "18 16:40", 37), ("26 14:05", "26 15:05", 20)],
            id="two crowds far apart",
        ),
        pytest.param(
            [trickle(30), crowd(20, minutes=48 * 60)],
            [("18 14:05", "20 14:05", 23)],
            id="two slow days with their nights",
        ),
        pytest.param([[AFTERNOON] * 12], [("18 14:05", "18 14:05", 12)], id="all at one moment"),
        pytest.param(
            [[AFTERNOON] * 6 + [AFTERNOON + DAY] * 6],
            [("18 14:05", "18 14:05", 6), ("19 14:05", "19 14:05", 6)],
            id="two moments",
        ),
    ],
)
def test_leaks_are_the_crowds(instants: list[list[float]], leaks: list[tuple[str, str, int]]) -> None:
    assert found(*instants) == leaks


def test_a_shop_that_always_loses_so_many_has_its_usual_rate() -> None:
    often = trickle(40, a_day=96)

    usual = Usual(sorted(often))

    assert usual.between(MIDNIGHT, MIDNIGHT + DAY) == pytest.approx(96, rel=0.2)
    (leak,) = find_leaks(sorted(often + crowd(60)))
    assert leak.orders >= 60
    assert leak.usual == pytest.approx(96 * 155 / 60 / 24, rel=0.3)


def test_the_worst_days_do_not_count_as_usual() -> None:
    quiet = Usual(trickle(30))

    with_outage = Usual(sorted(trickle(30) + crowd(500)))

    expected = quiet.between(MIDNIGHT, MIDNIGHT + DAY)
    assert with_outage.between(MIDNIGHT, MIDNIGHT + DAY) == pytest.approx(expected, rel=0.2)


def test_where_little_is_known_one_order_a_day_is_usual() -> None:
    assert Usual([]).between(MIDNIGHT, MIDNIGHT + 3 * DAY) == pytest.approx(3)
    assert Usual([AFTERNOON]).between(MIDNIGHT, MIDNIGHT + HOUR) == pytest.approx(1 / 24)


@given(st.lists(st.floats(0, 60 * DAY), max_size=200), st.floats(-10 * DAY, 10 * DAY))
def test_leaks_are_in_order_disjoint_and_count_their_orders(instants: list[float], shift: float) -> None:
    paid = sorted(instant + shift for instant in instants)

    leaks = find_leaks(paid)

    for leak in leaks:
        assert leak.orders == sum(leak.start <= instant <= leak.end for instant in paid) >= FEWEST
        assert leak.usual >= 0
    assert all(one.end < other.start for one, other in pairwise(leaks))


@pytest.mark.parametrize("reason", [None, *Reason])
def test_an_order_is_lost_unless_the_webhook_could_not_have_settled_it(reason: Reason | None) -> None:
    own = {
        "member_missing", "member_disabled", "course_missing", "course_unpublished",
        "invalid_email", "invalid_course", "malformed", "placeholder_email", "lms_rejected", "not_paid",
    }  # fmt: skip
    assert was_lost(reason) == (reason is None or reason.value not in own)
