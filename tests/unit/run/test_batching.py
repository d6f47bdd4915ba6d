"""How a refused batch is taken apart, and how large the next one is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.run.batching import BatchSize, Halving


class Lms:
    """Takes a batch whole or not at all; counts in how many requests each learner was."""

    def __init__(self, bad: Collection[int], *, seen_by_look: Collection[int] = ()) -> None:
        self.bad, self.seen_by_look = frozenset(bad), frozenset(seen_by_look)
        self.requests: Counter[int] = Counter()  #: writes and looks that each learner was in
        self.sent: list[int] = []  #: sizes of the writes
        self.created: list[int] = []
        self.refused: list[int] = []  #: alone: the only ones that it counts against

    def work_off(self, batch: range) -> None:
        plan = Halving.of(batch)
        while part := plan.next_part:
            self.requests.update(part)
            self.sent.append(len(part))
            if not self.bad.intersection(part):
                self.created += part
                plan = plan.taken()
            elif len(part) == 1:
                self.refused += part
                plan = plan.taken()
            else:
                self.requests.update(part)  # the look
                plan = plan.refused(item for item in part if item not in self.seen_by_look)


@pytest.mark.parametrize(
    ("count", "bad", "sent"),
    [
        (0, [], []),
        (1, [], [1]),
        (1, [0], [1]),
        (25, [], [25]),
        (2, [0], [2, 1, 1]),
        # The others of each level go together, before what is refused is halved further.
        (25, [0], [25, 13, 12, 7, 6, 4, *[1] * 7]),
        (25, [24], [25, 13, 12, 6, 6, 3, 3, 1, 1, 1]),
        # After the third refused part the rest goes one by one: nobody is sent with others again.
        (25, [0, 6, 12, 18, 24], [25, 13, 12, 7, *[1] * 25]),
        (25, list(range(25)), [25, 13, 12, 7, *[1] * 25]),
        (8, [0, 7], [8, 4, 4, 2, *[1] * 8]),
        (200, [199], [200, 100, 100, 50, 50, 25, 25, *[1] * 25]),
    ],
)
def test_what_is_sent(count: int, bad: list[int], sent: list[int]) -> None:
    lms = Lms(bad)

    lms.work_off(range(count))

    assert lms.sent == sent
    assert sorted(lms.refused) == bad
    assert sorted(lms.created) == [item for item in range(count) if item not in bad]


def test_whom_the_look_has_found_is_not_sent_again() -> None:
    lms = Lms([3, 9], seen_by_look=[3, 9])

    lms.work_off(range(12))

    assert lms.sent == [12, 5, 5]
    assert lms.refused == []
    assert sorted(lms.created) == [item for item in range(12) if item not in (3, 9)]


def test_a_look_that_finds_all_of_them_ends_it() -> None:
    lms = Lms(range(4), seen_by_look=range(4))

    lms.work_off(range(4))

    assert (lms.sent, lms.refused, lms.created) == ([4], [], [])


def test_a_refusal_of_one_is_the_learners_own() -> None:
    with pytest.raises(ValueError, match="alone"):
        Halving.of([1]).refused([1])


@given(st.data(), st.integers(1, 200))
def test_each_learner_is_in_few_requests_and_only_bad_ones_are_refused(data: st.DataObject, n: int) -> None:
    how_many = data.draw(st.sampled_from([0, 1, 5, n]).map(lambda bad: min(bad, n)), "bad")
    bad = set(data.draw(st.permutations(range(n)), "who")[:how_many])
    seen = data.draw(st.sets(st.sampled_from(sorted(bad)))) if bad else set()
    lms = Lms(bad, seen_by_look=seen)

    lms.work_off(range(n))

    assert max(lms.requests.values()) <= 2 * math.ceil(math.log2(n)) + 2
    assert sorted(lms.created) == sorted(set(range(n)) - bad)
    # Those that were looked at in vain, each once and alone; nobody is forgotten or sent twice alone.
    assert len(lms.refused) == len(set(lms.refused))
    assert bad - seen <= set(lms.refused) <= bad
    # Three refused parts and the batch, and what was fine: never much more than one by one.
    assert len(lms.sent) <= n + 8


def test_a_number_stays_that_number() -> None:
    for number in (1, 7, 200):
        size = BatchSize(number)
        size.refused(number)
        size.unanswered(number)
        for _ in range(20):
            size.answered(number, seconds=5.0)
            size.answered(number, seconds=0.1)
        assert size.size == number


@pytest.mark.parametrize("number", [0, 201, -1])
def test_a_batch_has_bounds(number: int) -> None:
    with pytest.raises(ValueError, match="1 to 200"):
        BatchSize(number)


def test_trouble_makes_batches_smaller_and_clean_answers_larger_again() -> None:
    size = BatchSize(None)
    assert size.size == 25

    size.refused(25)
    assert size.size == 12
    for _ in range(3):
        size.answered(12, seconds=0.2)
    assert size.size == 12
    size.answered(12, seconds=0.2)
    assert size.size == 13
    size.unanswered(13)
    assert size.size == 6
    for _ in range(100):
        size.answered(25, seconds=0.2)
    assert size.size == 25


def test_what_was_in_flight_together_counts_once() -> None:
    size = BatchSize(None)
    for _ in range(4):
        size.answered(25, seconds=3.0)
    assert size.size == 12


def test_slow_answers_make_batches_smaller() -> None:
    size = BatchSize(None)
    sizes = []
    for _ in range(6):
        size.answered(size.size, seconds=0.3 * size.size)
        sizes.append(size.size)
    assert sizes == [12, 6, 3, 3, 3, 3]


def test_one_alone_that_is_slow_warns_of_many() -> None:
    size = BatchSize(None)
    size.answered(1, seconds=1.5)
    assert size.size == 12
    for _ in range(10):
        size.answered(1, seconds=1.5)
    assert size.size == 1


def test_from_one_by_one_it_finds_back() -> None:
    size = BatchSize(None)
    for _ in range(9):
        size.refused(size.size)
    assert size.size == 1
    for _ in range(4):
        size.answered(1, seconds=0.1)
    assert size.size == 2


def test_a_small_rest_proves_nothing() -> None:
    size = BatchSize(None)
    size.refused(25)
    for _ in range(50):
        size.answered(3, seconds=0.1)
    assert size.size == 12
