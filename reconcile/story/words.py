"""Counts in words, as every command says them. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def counted(counts: Mapping[str, int]) -> str:
    """`12 enrolled, 1 failed`: what there is any of; empty where there is nothing."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def plural(count: int, noun: str) -> str:
    """`visit` of one, `visits` of any other number."""
    return noun if count == 1 else f"{noun}s"
