"""The shop's day as everybody tells it who has seen it, each from their own records.

The stories must agree: that is what the demo is about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reconcile.metrics.metrics import Metrics
    from reconcile.sandbox.day import Script
    from reconcile.sandbox.listeners import Bell, Mailbox
    from reconcile.sandbox.servers import Sandbox
    from reconcile.settings import Settings

# What the stories are about: the lines of the table.
GIVEN = "learners given access by reconcile"
IN_VAIN = "runs in vain while the LMS was down"
PERSON = "orders that need a person"
UNMARKED = "orders paid and never marked as paid"
MAILED = "mails to learners with their access"
TOLD = "alerts of the outage, and all-clears"
TWICE = "learners enrolled twice"
FACTS = (GIVEN, MAILED, IN_VAIN, TOLD, PERSON, UNMARKED, TWICE)


@dataclass(kw_only=True)
class Witness:
    """All that is left of the day."""

    script: Script
    sandbox: Sandbox
    settings: Settings
    mailbox: Mailbox
    bell: Bell
    metrics: Metrics
    firings: int = 0
    sold: int = 0
    by_shop: set[str] = field(default_factory=set)  #: LMS enrollments that the shop itself has made
    orders: list[dict[str, Any]] = field(default_factory=list)  #: MongoDB's, at the end
    log: list[dict[str, Any]] = field(default_factory=list)
    notified: list[tuple[str, str]] = field(default_factory=list)  #: title and body


@dataclass(frozen=True, kw_only=True)
class Teller:
    """Somebody who has seen the day. `tell` gives a number for each of FACTS that it knows of."""

    name: str
    tell: Callable[[Witness], Mapping[str, int]]


def _script_says(witness: Witness) -> Mapping[str, int]:
    """What was bound to happen."""
    from reconcile.sandbox import day

    script = witness.script
    return {
        GIVEN: len(script.left_to_us),
        MAILED: len(script.left_to_us),
        TOLD: 2 if script.start <= script.outage[0] < script.end else 0,
        PERSON: sum(sale.fate in day.NEEDS_A_PERSON for sale in script.sales),
        UNMARKED: sum(sale.fate == day.UNMARKED for sale in script.sales),
        TWICE: 0,
    }


def _log_says(witness: Witness) -> Mapping[str, int]:
    enrolled = [line for line in witness.log if line["event"] == "FrappeLMS enrollment successful"]
    again = [line for line in witness.log if line["event"] == "Job runs again"]
    last = [line for line in witness.log if line["event"] == "Run completed"][-1]
    return {
        GIVEN: len(enrolled),
        MAILED: sum(line["event"] == "Mail sent" for line in witness.log),
        TOLD: sum(
            line["event"] == "Alert sent" and line["key"].startswith("aborted:") for line in witness.log
        ),
        IN_VAIN: sum(line["tried_in_vain"] for line in again),
        PERSON: last["outcomes"].get("failed", 0),
    }


def _audit_says(witness: Witness) -> Mapping[str, int]:
    from reconcile.app.build import build
    from reconcile.reports.model import ReportFilter
    from reconcile.reports.queries import enrollment_rows, run_rows

    with build(witness.settings) as app, app.reading() as connection:
        if connection is None:
            return {}
        everything = ReportFilter()
        outcomes = [row["outcome"] for row in enrollment_rows(connection, everything)]
        statuses = [row["status"] for row in run_rows(connection, everything)]
    return {
        GIVEN: sum(outcome in ("enrolled", "recovered") for outcome in outcomes),
        IN_VAIN: statuses.count("aborted"),
        PERSON: outcomes.count("failed"),
    }


def _orders_say(witness: Witness) -> Mapping[str, int]:
    synced = {order["frappeSync"].get("enrollmentId") for order in witness.orders} - {None}
    failed = [order for order in witness.orders if order["frappeSync"]["syncStatus"] == "failed"]
    unmarked = [
        order
        for order in witness.orders
        if order["status"] != "paid"
        and any(event["status"] == "processing" for event in order["stripeEvents"])
    ]
    return {GIVEN: len(synced - witness.by_shop), PERSON: len(failed), UNMARKED: len(unmarked)}


def _lms_says(witness: Witness) -> Mapping[str, int]:
    site = witness.sandbox.lms.site
    names = {row["name"] for row in site.enrollments()}
    return {GIVEN: len(names - witness.by_shop), TWICE: len(site.duplicates())}


def _metrics_say(witness: Witness) -> Mapping[str, int]:
    value = witness.metrics.value
    given = sum(
        value("reconcile_enrollments_total", outcome=outcome, reason="none")
        for outcome in ("enrolled", "recovered")
    )
    failed = value("reconcile_backlog", status="failed")
    return {
        GIVEN: int(given),
        IN_VAIN: int(value("reconcile_runs_total", status="aborted")),
        PERSON: -1 if math.isnan(failed) else int(failed),
    }


def _mailbox_says(witness: Witness) -> Mapping[str, int]:
    addresses = [address for address, _ in witness.mailbox.mails]
    return {MAILED: len(addresses), TWICE: len(addresses) - len(set(addresses))}


def _alerts_say(witness: Witness) -> Mapping[str, int]:
    outage = [
        title for title in witness.bell.titles if "runs are aborted" in title or "succeed again" in title
    ]
    failed = [path for path in witness.bell.pings if path.endswith("/fail")]
    return {TOLD: len(outage), IN_VAIN: len(failed)}


#: Whoever has seen the day, and from whose records.
TELLERS = (
    Teller(name="script", tell=_script_says),
    Teller(name="log", tell=_log_says),
    Teller(name="audit", tell=_audit_says),
    Teller(name="orders", tell=_orders_say),
    Teller(name="LMS", tell=_lms_says),
    Teller(name="metrics", tell=_metrics_say),
    Teller(name="alerts", tell=_alerts_say),
    Teller(name="mailbox", tell=_mailbox_says),
)
