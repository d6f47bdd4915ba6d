"""When orders were lost on the way to the LMS: the leak diagnosis."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from reconcile.reports.model import Bars, Figure, Row, Section, Table
from reconcile.reports.owner.buckets import buckets
from reconcile.reports.owner.facts import Fact
from reconcile.reports.owner.part import Scope, listing, numbers, words
from reconcile.reports.owner.runs import Runs
from reconcile.reports.owner.verdicts import ascending
from reconcile.reports.words import between, counted, listed
from reconcile.story.leaks import Leak, find_leaks, was_lost

#: Leaks that are told in a sentence of their own; the table has the others.
_TOLD = 3
#: A run that begins so soon after a leak would still have met an LMS that was down.
_SOON = timedelta(minutes=30)


class Leaks:
    """Part: the rate of orders that arrived unsynced, over the time of their payment."""

    def __init__(self, scope: Scope, runs: Runs) -> None:
        self._scope = scope
        self._runs = runs
        # Eight bytes for each lost order.
        self._paid = array("d")
        self._own_cause = 0

    def add(self, fact: Fact) -> None:
        """Count it at the time of its payment, unless it had a cause of its own at first sight."""
        if fact.paid_at is None or not self._within(fact.paid_at):
            return
        if was_lost(fact.first_reason):
            self._paid.append(fact.paid_at.timestamp())
        else:
            self._own_cause += 1

    def _within(self, paid_at: datetime) -> bool:
        chosen = self._scope.chosen
        return not (
            (chosen.since is not None and paid_at < chosen.since)
            or (chosen.until is not None and paid_at >= chosen.until)
        )

    def section(self) -> Section:
        """The diagnosis in words, the rate as a chart, the leaks as a table."""
        paid = ascending(self._paid)
        leaks = find_leaks(paid)
        in_leaks = sum(leak.orders for leak in leaks)
        figures = [
            Figure(name="lost", label="orders arrived unsynced, for no cause of their own", value=len(paid)),
            Figure(name="leaks", label="leaks", value=len(leaks)),
            Figure(name="in_leaks", label="orders lost in leaks", value=in_leaks),
        ]
        return Section(
            name="leaks",
            title="Where orders get lost",
            words=self._words(leaks, len(paid)),
            figures=figures,
            chart=_chart(paid, leaks) if paid else None,
            tables=[self._table(leaks)] if leaks else [],
        )

    def _words(self, leaks: list[Leak], lost: int) -> list[str]:
        if not lost:
            return ["No order was lost on the way."]
        worst = sorted(leaks, key=lambda leak: -leak.orders)[:_TOLD]
        said = [self._sentence(leak) for leak in sorted(worst, key=lambda leak: leak.start)]
        if len(leaks) > _TOLD:
            said.append(f"{counted(len(leaks) - _TOLD, 'smaller leak')} are in the table.")
        rest = lost - sum(leak.orders for leak in leaks)
        if not leaks:
            said.append("There was no leak: at no time were clearly more orders lost than usual.")
        said.append(
            f"Lost one by one: {counted(rest, 'order')}. Had a cause of their own at first sight (no account "
            f"yet, a wrong course, a refusal) and are not counted here: {counted(self._own_cause, 'order')}. "
            "Lost means: paid, and not synced when reconcile first looked."
        )
        return said

    def _sentence(self, leak: Leak) -> str:
        start, end = _instants(leak)
        said = (
            f"The webhook lost {counted(leak.orders, 'order')} {between(start, end)} UTC; "
            f"usual in so long a time: {leak.usual:.1f}."
        )
        if reasons := self._at_the_time(start, end):
            return f"{said} Runs of that time stopped with {listed(reasons)}: look there first."
        if not self._runs.any_between(start, end + _SOON):
            return f"{said} No run is recorded of that time: look at the logs of the webhook and of the LMS."
        return f"{said} Runs of that time found nothing wrong with the LMS: look at the webhook's log."

    def _at_the_time(self, start: datetime, end: datetime) -> list[str]:
        now = self._scope.as_of
        return sorted(
            {
                outage.reason
                for outage in self._runs.outages.found
                if outage.start <= end and (outage.end or now) >= start
            }
        )

    def _table(self, leaks: list[Leak]) -> Table:
        rows: list[Row] = []
        for leak in reversed(leaks):
            start, end = _instants(leak)
            rows.append(
                {
                    "from": start,
                    "until": end,
                    "length_seconds": leak.end - leak.start,
                    "orders_lost": leak.orders,
                    "usual": round(leak.usual, 1),
                    "runs_stopped_with": " ".join(self._at_the_time(start, end)) or None,
                }
            )
        return listing(
            "leaks",
            caption="Leaks, the latest first, by the time of payment",
            columns=(
                words("from", 20),
                words("until", 20),
                numbers("length_seconds"),
                numbers("orders_lost"),
                numbers("usual"),
                words("runs_stopped_with", 20),
            ),
            rows=rows,
        )


def _instants(leak: Leak) -> tuple[datetime, datetime]:
    return datetime.fromtimestamp(leak.start, UTC), datetime.fromtimestamp(leak.end, UTC)


def _chart(paid: Sequence[float], leaks: list[Leak]) -> Bars:
    first, last = datetime.fromtimestamp(paid[0], UTC), datetime.fromtimestamp(paid[-1], UTC)
    steps = buckets(first, last)
    one_by_one, in_leaks = [0] * steps.count, [0] * steps.count
    spans = iter(leaks)
    leak = next(spans, None)
    for instant in paid:
        while leak is not None and instant > leak.end:
            leak = next(spans, None)
        inside = leak is not None and leak.start <= instant
        (in_leaks if inside else one_by_one)[steps.place(datetime.fromtimestamp(instant, UTC))] += 1
    totals = [a + b for a, b in zip(one_by_one, in_leaks, strict=True)]
    most = max(range(steps.count), key=lambda place: totals[place])
    quiet = sum(1 for total in totals if not total)
    return Bars(
        title=f"Orders that arrived unsynced, per {steps.step_is} of their payment (UTC)",
        words=f"Most were lost in the {steps.step_is} from {steps.begin(most)} UTC: {totals[most]:,}. "
        + (f"In {quiet:,} of {counted(steps.count, 'bar')} none was." if quiet else "No bar is empty."),
        labels=steps.labels(),
        series={"one by one": one_by_one, "in a leak": in_leaks} if leaks else {"one by one": one_by_one},
    )
