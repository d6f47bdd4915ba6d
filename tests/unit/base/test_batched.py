from itertools import count

from reconcile.base.batched import batched


def test_everything_comes_in_order_and_the_last_one_may_be_shorter() -> None:
    assert list(batched("abcdefg", 3)) == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert list(batched(range(4), 2)) == [[0, 1], [2, 3]]
    assert list(batched([], 3)) == []


def test_no_more_is_read_than_is_asked_for() -> None:
    numbers = count()
    assert next(batched(numbers, 3)) == [0, 1, 2]
    assert next(numbers) == 3
