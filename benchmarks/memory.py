"""Orders and leases in memory: what the run costs beside the storefront's database.

The fakes of the tests, which the contract suites keep honest, without their habit of reading every document
anew for each question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from reconcile.base.clock import SystemClock
from reconcile.domain.model import AnyEnrollment, EffectKey, Enrollment
from reconcile.run.source import Selection, WriteBack
from tests.fakes.world import FakeClock, FakeLeases, FakeSource


class MemorySource(FakeSource):
    """Orders that are parsed once, and again after a write-back."""

    def __init__(self, documents: Iterable[dict[str, Any]]) -> None:
        self._parsed: dict[str, AnyEnrollment] = {}
        super().__init__({**each, "_id": str(each["_id"])} for each in documents)
        self._by_key: dict[EffectKey, list[str]] = {}
        for name, document in self.documents.items():
            item = self._parse(document)
            if isinstance(item, Enrollment):
                self._by_key.setdefault(item.key, []).append(name)

    def _parse(self, document: dict[str, Any]) -> AnyEnrollment:
        name = document["_id"]
        if name not in self._parsed:
            self._parsed[name] = super()._parse(document)
        return self._parsed[name]

    def scan(self, selection: Selection) -> Iterator[AnyEnrollment]:
        """The unsynced ones. They were entered in the order of their ids."""
        for document in list(self.documents.values()):
            item = self._parse(document)
            if item.paid and (not item.sync.is_synced or (selection.unnamed and item.sync.is_unnamed)):
                yield item

    def _paid_orders(self, keys: Iterable[EffectKey]) -> Mapping[EffectKey, Sequence[Enrollment]]:
        """As the fake, by an index."""
        found: dict[EffectKey, list[Enrollment]] = {}
        for key in keys:
            for name in self._by_key.get(key, ()):
                item = self._parse(self.documents[name])
                if isinstance(item, Enrollment) and item.paid:
                    found.setdefault(key, []).append(item)
        return found

    def write_back(self, items: Sequence[WriteBack]) -> frozenset[str]:
        """As the fake; what it has changed is read again when somebody asks for it."""
        taken = super().write_back(items)
        for name in taken:
            del self._parsed[name]
        return taken


def memory_leases() -> FakeLeases:
    """Leases by the real clock."""
    return FakeLeases(cast("FakeClock", SystemClock()))
