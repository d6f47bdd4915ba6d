"""How many enrollments go in one request, and what follows when the LMS refuses them together. Pure.

The LMS takes a batch whole or not at all, and does not say whom it refused (FRAPPE, point 12). So a refusal
is nobody's fault: the caller looks again, which finds most who cannot be enrolled; the rest goes in halves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from reconcile.run.answers import LARGEST_BATCH

T = TypeVar("T")

#: After so many refused parts of one batch, halving costs more requests than it saves.
_PATIENCE = 3

#: Where `auto` begins, and its most: four of them in flight did best on a real LMS (FRAPPE, point 15).
_USUAL = 25
#: Seconds. An answer that took longer keeps a worker of the LMS from others, and nears the time-out.
_SLOW = 1.0
#: Clean answers to batches as large as can be, before one more is tried.
_CLEAN = 4


@dataclass(frozen=True, kw_only=True)
class Halving(Generic[T]):
    """What is still to be sent of one batch: the first of `parts` next, one at a time, until there are none.

    A learner is in 2·⌈log2 n⌉ + 2 requests at most, of a batch of n: those to write, and the look after each
    that was refused. A part of one goes as a single write, whose refusal is the learner's own. Whom an
    unanswered part held is on hold and no more the plan's; the other parts go on.
    """

    parts: tuple[tuple[T, ...], ...]
    refused_parts: int = 0  #: parts, not the batch itself
    halved: bool = False  #: whether the batch itself was refused

    @classmethod
    def of(cls, batch: Sequence[T]) -> Halving[T]:
        """A batch before it is sent for the first time; nobody in it twice."""
        return cls(parts=_filled([batch]))

    @property
    def next_part(self) -> tuple[T, ...]:
        """Who is to be sent next, together; empty when all is done."""
        return self.parts[0] if self.parts else ()

    def taken(self) -> Halving[T]:
        """The next part was sent, and was not refused together: done, refused alone, or unanswered."""
        return replace(self, parts=self.parts[1:])

    def refused(self, left: Iterable[T]) -> Halving[T]:
        """The LMS refused the next part, of more than one; after a look, `left` of it are still to enroll.

        Large parts come before small ones: whoever is fine goes with many others, before patience ends.
        """
        if len(self.next_part) < 2:
            raise ValueError("who is refused alone is not refused together with others")
        left, later = tuple(left), self.parts[1:]
        refused_parts = self.refused_parts + self.halved
        if refused_parts >= _PATIENCE:
            alone = tuple((item,) for part in (*later, left) for item in part)
            return replace(self, parts=alone, refused_parts=refused_parts)
        middle = (len(left) + 1) // 2
        parts = (*later, *_filled([left[:middle], left[middle:]]))
        return replace(self, parts=parts, refused_parts=refused_parts, halved=True)


class BatchSize:
    """How many go in one request: a fixed number, or found out by the answers. For one thread at a time."""

    def __init__(self, fixed: int | None) -> None:
        """A number fixes it, 1 is one by one; None finds out: 25, fewer after trouble, slowly more again."""
        if fixed is not None and not 1 <= fixed <= LARGEST_BATCH:
            raise ValueError(f"a batch is of 1 to {LARGEST_BATCH}")
        self._fixed = fixed is not None
        self._size = fixed or _USUAL
        self._clean = 0

    @property
    def size(self) -> int:
        """At most so many."""
        return self._size

    def answered(self, sent: int, *, seconds: float) -> None:
        """So many were sent together (also one alone) and created, after so long."""
        if seconds > _SLOW:
            # One alone so slow: many would run into the time-out, and all be on hold.
            self._fewer((sent if sent > 1 else self._size) // 2)
        elif sent >= self._size:
            self._clean += 1
            if self._clean >= _CLEAN:
                self._become(min(_USUAL, self._size + 1))

    def refused(self, sent: int) -> None:
        """So many were refused together. Parts of a batch that is halved already do not count again."""
        self._fewer(sent // 2)

    def unanswered(self, sent: int) -> None:
        """So many were sent together, and nobody knows what became of them."""
        self._fewer(sent // 2)

    def _fewer(self, size: int) -> None:
        # Never more than it is, and once for all that were in flight at the same size.
        self._become(max(1, min(self._size, size)))

    def _become(self, size: int) -> None:
        self._clean = 0
        if not self._fixed:
            self._size = size


def _filled(parts: Iterable[Sequence[T]]) -> tuple[tuple[T, ...], ...]:
    return tuple(tuple(part) for part in parts if part)
