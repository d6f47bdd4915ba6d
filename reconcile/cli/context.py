"""What every command begins with: settings, logging, the application, signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from reconcile.base.errors import AuditUnavailable, ReconcileError
from reconcile.run.summary import ExitCode

if TYPE_CHECKING:
    from reconcile.app.app import App
    from reconcile.audit.store import Store
    from reconcile.metrics.metrics import Metrics
    from reconcile.settings import Group, Settings


def load_settings(*, require: Sequence[Group] | None = None, quiet: bool = False) -> Settings:
    """Settings, with logging set up as they say. Raises ConfigurationError."""
    from reconcile.base import log
    from reconcile.settings import Settings

    settings = Settings.load() if require is None else Settings.load(require=require)
    log.configure("warning" if quiet else settings.log_level, settings.log_format)
    return settings


#: How long a drain may take; supervisors kill after 30 s as a rule (10 s in some: set theirs higher).
DRAIN_SECONDS = 15.0


@contextmanager
def application(
    *,
    create_audit: bool = True,
    asks_lms: bool = True,
    quiet: bool = False,
    stop: threading.Event | None = None,
    metrics: Metrics | None = None,
    watched: bool = False,
) -> Iterator[App]:
    """The application over the real ports. Raises ConfigurationError and AuditUnavailable.

    `asks_lms`: whether the command does. `watched`: it is opened for a run, and whoever watches over the runs
    is told where it cannot be.
    """
    settings = load_settings(quiet=quiet)
    from reconcile.app.build import build

    try:
        app = build(settings, create_audit=create_audit, asks_lms=asks_lms, stop=stop, metrics=metrics)
    except ReconcileError as error:
        if watched:
            from reconcile.app.alerts import could_not_begin

            could_not_begin(settings, error)
        raise
    with app:
        yield app


@contextmanager
def opened_audit(*, writing: bool) -> Iterator[tuple[Store, bytes]]:
    """The audit database that is there, and the secret of its keys; none is made.

    With `writing` an older schema is upgraded. Raises AuditUnavailable, also where there is none.
    """
    settings = load_settings(require=("audit",), quiet=True)
    from reconcile.audit import schema

    url = settings.audit_url.get_secret_value()
    exists = schema.current(url) is not None
    store = schema.open_store(url, create=writing) if exists else None
    if store is None:
        raise no_audit_yet()
    try:
        yield store, schema.read_secret(store)
    finally:
        store.close()


def no_audit_yet() -> AuditUnavailable:
    """What is raised where an audit database is needed and none is made."""
    return AuditUnavailable(
        "there is no audit database yet",
        hint="`reconcile init` or the first `reconcile run` makes it; RECONCILE_AUDIT_URL says where.",
    )


@contextmanager
def draining() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM ask to finish what is in flight; a second one ends at once."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  a signal handler's signature
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()
        sys.stderr.write("reconcile: finishing what is in flight; once more ends at once\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with drain_deadline(stop):
            yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def drain_deadline(stop: threading.Event) -> Iterator[None]:
    """End the process, as a crash would, when a drain that `stop` has begun takes too long."""
    over = threading.Event()

    def watch() -> None:
        stop.wait()
        if not over.wait(DRAIN_SECONDS):
            _give_up()

    threading.Thread(target=watch, name="drain-deadline", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _give_up() -> None:
    """The drain took too long (a server that hangs): end as a crash would; the next run settles it."""
    sys.stderr.write(f"reconcile: not finished within {DRAIN_SECONDS:g} s, ending as a crash would\n")
    sys.stderr.flush()
    os._exit(ExitCode.INTERRUPTED)
