"""What of the checked goes together in one request. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconcile.base.batched import batched
from reconcile.run.page import Batch, Checked, Group, Parcel, Task


def parcels(groups: Sequence[Group], checked: Checked, *, most: int) -> list[Parcel]:
    """One for each part of a batch, `most` of the others together; alone, whose earlier write has failed."""
    ready = {id(task) for task in checked.ready}
    made: list[Parcel] = []
    together: list[Task] = []
    for group in groups:
        tasks = [task for task in group.tasks if id(task) in ready]
        if group.batch is not None:
            made += _parcel(tasks, checked, group.batch)
            continue
        for task in tasks:
            if most == 1 or task.goes_alone:
                made += _parcel([task], checked)
            else:
                together.append(task)
    return made + [Parcel(tasks=part, checked_at=checked.checked_at) for part in batched(together, most)]


def following(groups: Sequence[Group], checked: Checked) -> Iterator[Group]:
    """The next parts of the batches of which nobody could be sent now."""
    ready = {id(task) for task in checked.ready}
    for group in groups:
        batch = group.batch
        if batch is not None and not any(id(task) in ready for task in group.tasks):
            batch.plan = batch.plan.taken()
            if part := batch.plan.next_part:
                yield Group(tasks=part, batch=batch)


def _parcel(tasks: Sequence[Task], checked: Checked, batch: Batch | None = None) -> list[Parcel]:
    return [Parcel(tasks=tasks, checked_at=checked.checked_at, batch=batch)] if tasks else []
