"""Which process this is, and whether another one is still there.

A pid means something only on one host, within one boot and one pid namespace, and only as long as
the process that had it lives; so each is told with what makes it unique. Works without /proc, less
sharply: then a pid that is in use again counts as the process that had it before.
"""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

from reconcile.run.ports import Origin

_PROC = Path("/proc")
#: In /proc/PID/stat, counted after the command's closing parenthesis (which may hold blanks itself).
_STATE, _START_TIME = 0, 19
_DEAD_STATES = frozenset("ZXx")


def current_origin() -> Origin:
    """The process that calls, as a run's row names it. Never raises."""
    pid = os.getpid()
    return Origin(host=_host(), pid=pid, process_started=_start_time(pid) or "")


def is_gone(process: Origin, *, seen_from: Origin, is_stale: bool) -> bool:
    """Whether nobody is there any more who would end what `process` has begun. Never raises.

    On another host its silence tells (`is_stale`), on this one whether it lives. So does its silence where it
    is the very process that asks: of an earlier run, in a scheduler, whose end could not be recorded.
    """
    if process.host != seen_from.host or process == seen_from:
        return is_stale
    return not is_alive(process.pid, process.process_started)


def is_alive(pid: int, process_started: str) -> bool:
    """True while that very process of this host exists; a zombie does not count. Never raises."""
    found = _stat(pid)
    if found is None:
        return _answers(pid)
    if found[_STATE] in _DEAD_STATES:
        return False
    return not process_started or found[_START_TIME] == process_started


def _host() -> str:
    parts = [socket.gethostname(), _boot_id(), _pid_namespace()]
    return "/".join(part for part in parts if part)


def _boot_id() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str((_PROC / "self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def _start_time(pid: int) -> str | None:
    found = _stat(pid)
    return found[_START_TIME] if found else None


def _stat(pid: int) -> list[str] | None:
    """The fields after the command name; None where there is no such process or no /proc."""
    try:
        line = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = line.rpartition(")")[2].split()
    return fields if len(fields) > _START_TIME else None


def _answers(pid: int) -> bool:
    """Ask the kernel: /proc may be absent, or hide other users' processes (`hidepid`)."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def operator() -> str:
    """Who runs this process, for the record of what was done to the audit: `sam on db1`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        user = f"uid {os.getuid()}"
    return f"{user} on {socket.gethostname()}"
