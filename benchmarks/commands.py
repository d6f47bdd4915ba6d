"""The command as its own process: how long it takes, and the most memory that it ever had."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of a command. `peak` is in MB."""

    code: int
    output: str
    seconds: float
    peak: float


def reconcile(
    environment: Mapping[str, str], *arguments: str, cwd: Path, stop_after: float | None = None
) -> Measured:
    """Run it. `stop_after` so many seconds it gets SIGTERM. Raises where it fails otherwise."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    began = time.monotonic()
    stopped = False
    with (cwd / "stdout").open("w+b") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconcile", *arguments],
            stdout=stdout,
            cwd=cwd,
            env={**kept, "RECONCILE_LOG_LEVEL": "error", **environment},
        )
        peak = 0.0
        # Not ru_maxrss: that of a child begins with the memory of the process that it was forked from.
        while process.poll() is None:
            peak = max(peak, peak_of(process.pid))
            if stop_after is not None and not stopped and time.monotonic() - began > stop_after:
                process.send_signal(signal.SIGTERM)
                stopped = True
            time.sleep(0.02)
        stdout.seek(0)
        output = stdout.read().decode()
    if process.returncode != 0 and not stopped:
        raise RuntimeError(f"reconcile {' '.join(arguments)}: exit code {process.returncode}\n{output}")
    return Measured(code=process.returncode, output=output, seconds=time.monotonic() - began, peak=peak)


def peak_of(pid: int) -> float:
    """The most memory that a process has had, in MB; 0 where it is gone."""
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0
