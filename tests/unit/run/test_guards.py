"""Plausibility limits drawn from recent runs."""

from __future__ import annotations

import pytest

from reconcile.run.guards import is_suddenly_empty, surge_limit


@pytest.mark.parametrize(
    ("enrolled", "limit"),
    [([], None), ([3, 3, 3, 3], None), ([0, 0, 0, 0, 0], 500), ([9, 80, 2, 0, 1], 800), ([1000] * 5, 10000)],
)
def test_the_surge_limit(enrolled: list[int], limit: int | None) -> None:
    assert surge_limit(enrolled) == limit


@pytest.mark.parametrize(
    ("total", "before", "empty"),
    [
        (0, [5000, None], True),
        (0, [100], True),
        (0, [99], False),
        (0, [], False),
        (0, [None], False),
        (1, [5000], False),
        (None, [5000], False),
    ],
)
def test_sudden_emptiness(total: int | None, before: list[int | None], empty: bool) -> None:
    assert is_suddenly_empty(total, before) is empty
