"""How values are spread over bounds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.domain.histogram import Histogram

BOUNDS = (1.0, 5.0, 10.0)
VALUES = st.lists(st.floats(min_value=0, max_value=100))


def spread(values: list[float]) -> Histogram:
    made = Histogram(bounds=BOUNDS)
    for value in values:
        made.observe(value)
    return made


def test_a_bound_belongs_to_what_is_below_it() -> None:
    made = spread([0.0, 1.0, 1.1, 5.0, 10.0, 11.0])

    assert list(made.cumulative()) == [(1.0, 2), (5.0, 4), (10.0, 5), (math.inf, 6)]
    assert (made.count, made.total) == (6, pytest.approx(28.1))


def test_a_negative_value_counts_as_nothing() -> None:
    made = spread([-3.0])

    assert (made.counts[0], made.total) == (1, 0.0)


@given(VALUES)
def test_each_bound_counts_all_that_is_at_most_so_large(values: list[float]) -> None:
    for bound, count in spread(values).cumulative():
        assert count == sum(value <= bound for value in values)


@given(VALUES, VALUES)
def test_adding_is_as_if_one_had_seen_both(first: list[float], second: list[float]) -> None:
    one = spread(first)
    one.add(spread(second))

    assert one.counts == spread(first + second).counts
    assert one.total == pytest.approx(sum(first + second))


def test_other_bounds_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="bounds"):
        spread([]).add(Histogram(bounds=(1.0,)))


def test_two_histograms_share_nothing() -> None:
    counts = [0, 0, 0, 0]
    one = Histogram(bounds=BOUNDS, counts=counts)
    one.observe(2)

    assert counts == [0, 0, 0, 0]
