"""How things stand: the backlog, what the shop has left undone, the last runs. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from reconcile.domain.model import MalformedEnrollment, Outcome
from reconcile.domain.shop_queue import ShopQueue
from reconcile.domain.unmarked import Unmarked
from reconcile.run.decision import shop_tries
from reconcile.run.options import Ports
from reconcile.run.unmarked import find_unmarked
from reconcile.story.backlog import Backlog
from reconcile.story.runs import recent_runs
from reconcile.story.unsynced import unsynced

#: Runs that are shown.
_LAST = 5


@dataclass(kw_only=True)
class Status:
    """All that is shown."""

    now: datetime
    backlog: Backlog = field(default_factory=Backlog)
    waiting: Counter[str] = field(default_factory=Counter)
    unsendable: dict[str, Backlog] = field(default_factory=dict)  #: by what is wrong with the order itself
    visits: int = 0  #: of ours, all orders of the backlog together
    shop_tries: int = 0  #: by the shop itself, the same
    unmarked: Unmarked = field(default_factory=Unmarked)
    queue: ShopQueue = field(default_factory=ShopQueue)
    last_runs: list[dict[str, Any]] = field(default_factory=list)
    mail: Mapping[str, int] | None = None  #: None where learners are not mailed


def current_status(
    ports: Ports, reading: Callable[[], AbstractContextManager[Connection | None]], *, page_size: int
) -> Status:
    """How things stand, but for the mail. Raises StoreUnavailable and AuditUnavailable.

    `reading` opens the audit database; None where there is none yet.
    """
    now = ports.clock.now()
    unmarked = find_unmarked(ports.source, ports.audit, now)
    status = Status(now=now, unmarked=unmarked, queue=ports.source.shop_queue(now))
    for item, history in unsynced(ports.source, ports.audit, page_size=page_size):
        status.backlog.add(item)
        if isinstance(item, MalformedEnrollment):
            status.unsendable.setdefault(item.reason.value, Backlog()).add(item)
        status.visits += history.visits
        status.shop_tries += shop_tries(item, history)
        # As the audit last saw it.
        if history.last_outcome is Outcome.WAITING and history.last_reason is not None:
            status.waiting[history.last_reason.value] += 1
    with reading() as connection:
        status.last_runs = recent_runs(connection, _LAST) if connection is not None else []
    return status
