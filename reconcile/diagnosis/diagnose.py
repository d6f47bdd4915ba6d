"""The order in which things are looked at; each room has its own module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

from reconcile.base.errors import ConfigurationError, ReconcileError
from reconcile.diagnosis.audit_checks import audit_checks
from reconcile.diagnosis.backlog_checks import backlog_checks
from reconcile.diagnosis.checks import Check, Diagnosis, Grade, ok, problem, skipped
from reconcile.diagnosis.lms_checks import key_checks, lms_checks
from reconcile.diagnosis.mongo_checks import mongo_checks
from reconcile.diagnosis.systems import Connect
from reconcile.run.summary import ExitCode
from reconcile.settings import Settings

_REST = ("mongodb", "lms", "key", "audit", "backlog")


def diagnose(load: Callable[[], Settings], connect: Connect) -> Diagnosis:
    """Look at everything. `load` reads the settings. Reads only; never raises ReconcileError."""
    return Diagnosis(checks=tuple(_checks(load, connect)))


def _checks(load: Callable[[], Settings], connect: Connect) -> Iterator[Check]:
    try:
        settings = load()
    except ConfigurationError as error:
        for text in error.problems:
            name, _, says = text.partition(": ")
            yield problem("settings", name, says or text, f"correct {name}; {error.hint}")
        for area in _REST:
            yield skipped(area, area, "the settings are not usable")
        return
    yield ok("settings", "settings", "every setting is usable")
    yield from audit_checks(settings)
    with ExitStack() as opened:
        try:
            systems = connect(settings, opened)
        except ConfigurationError as error:
            yield problem("mongodb", "address", "; ".join(error.problems), error.hint)
            return
        found = list(mongo_checks(systems.database, settings))
        yield from found
        lms = list(lms_checks(systems.lms, settings))
        yield from lms
        broken = [check for check in (*found, *lms) if check.grade is Grade.PROBLEM]
        keys = (
            list(key_checks(systems.lms, settings))
            if not _has_problem(lms)
            else [skipped("key", "key", "the LMS does not answer")]
        )
        yield from keys
        if broken or _has_problem(keys):
            yield skipped("backlog", "backlog", "MongoDB, the LMS or the key is a problem")
            return
        try:
            yield from backlog_checks(systems, page_size=settings.page_size)
        except ReconcileError as error:
            yield problem("backlog", "backlog", str(error), error.hint, code=ExitCode.TEMPORARY)


def _has_problem(checks: list[Check]) -> bool:
    return any(check.grade is Grade.PROBLEM for check in checks)
