"""Long lists of values, cut for `$in`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

#: `$in` lists are cut to this: long ones are slow on small servers and gain nothing on large ones.
CHUNK = 200


def chunks(values: Sequence[Any]) -> Iterator[list[Any]]:
    """Slices of at most CHUNK values."""
    for start in range(0, len(values), CHUNK):
        yield list(values[start : start + CHUNK])
