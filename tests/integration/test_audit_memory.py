"""Verifying many rows, and looking through them for an address, needs no more memory than few."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fakes.audit_file import new_audit
from tests.fakes.audit_history import close
from tests.fakes.audit_samples import HERE, record, summary

RUNS, EACH = 12, 1000
ROOT = Path(__file__).resolve().parents[2]
# Run apart, where nothing else has used memory before: prints how much the peak grew, in KiB.
PROGRAM = """
import re, sys
from pathlib import Path
from reconcile.audit.log import open_audit
from reconcile.audit.forget import forget
from reconcile.audit.schema import read_secret
from reconcile.audit.chain.verify import verify
from tests.fakes.audit_samples import NOON

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

def work(path):
    with open_audit(path) as log:
        secret = read_secret(log.store)
        forget(log.store, secret=secret, email="nobody@example.com", by="test", at=NOON)
        result = verify(log.store, secret=secret)
        assert result.is_intact
        return result.attempts

small, large = sys.argv[1:]
print(work(small))
before = peak()
print(work(large))
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    for name, runs in (("small.db", 1), ("large.db", RUNS)):
        with new_audit(tmp_path, name) as log:
            for number in range(runs):
                run_id = f"run-{number}"
                log.open_run(summary(run_id), HERE)
                log.record([record(id=f"{run_id}-{n}", run_id=run_id) for n in range(EACH)])
                close(log, run_id)

    files = [f"sqlite:///{tmp_path / name}" for name in ("small.db", "large.db")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *files], cwd=ROOT, capture_output=True, text=True, check=True
    )

    few, many, grown = map(int, done.stdout.split())
    assert (few, many) == (EACH, RUNS * EACH)
    # A row and its link, read, are about 2 kB: kept, they would be 24 MB.
    assert grown < 6 * 1024
