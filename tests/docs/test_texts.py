"""Links resolve, the crontab works, and no text knows the machine it was written on."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest

from reconcile.cli import COMMANDS
from reconcile.jobs.crontab import next_times
from tests.docs.documents import ROOT, markdown, prose

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _anchors(path: Path) -> set[str]:
    """The headings as GitHub names them."""
    headings = re.findall(r"^#+ +(.+)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", markdown(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_resolve(path: Path) -> None:
    for link in _LINK.findall(prose(path.read_text(encoding="utf-8"))):
        if link.startswith(("https://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / unquote(file)).resolve() if file else path
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert not anchor or anchor in _anchors(target), f"{link}: there is no such heading"


def test_each_decision_record_is_numbered_and_no_longer_than_a_page() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} ")
        assert all(f"\n## {part}\n" in text for part in ("Context", "Decision", "Consequences"))
        assert len(text.splitlines()) <= 60


def test_the_crontab_lines_work() -> None:
    lines = (ROOT / "crontab.example").read_text(encoding="utf-8").splitlines()
    jobs = [line for line in lines if line and not line.startswith("#") and not re.match(r"[A-Z]+=", line)]
    assert len(jobs) == 4
    for line in jobs:
        *fields, command = line.split(None, 5)
        assert next_times(" ".join(fields), after=datetime.now(UTC), timezone="UTC", count=1)
        assert "%" not in command, "cron makes a line break of it"
        called = re.findall(r"([\w./]*/reconcile) (\w+)", command)
        assert called
        for program, name in called:
            assert program.startswith("/")
            assert name in COMMANDS
        checked = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(("code", "mailed"), [(0, False), (1, False), (75, False), (2, True), (4, True)])
def test_the_crontab_mails_only_what_a_person_must_see(code: int, mailed: bool, tmp_path: Path) -> None:
    """The five-minute line, with a reconcile that does nothing but end."""
    lines = (ROOT / "crontab.example").read_text(encoding="utf-8").splitlines()
    command = next(line for line in lines if line.startswith("*/5")).split(None, 5)[5]
    program = tmp_path / "reconcile"
    program.write_text(f"#!/bin/sh\necho noise\nexit {code}\n")
    program.chmod(0o700)
    for place, ours in (
        ("/opt/reconcile/bin/reconcile", str(program)),
        ("/etc/reconcile", str(tmp_path)),
        ("/var/log/reconcile", str(tmp_path)),
    ):
        command = command.replace(place, ours)

    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)

    assert bool(done.stdout or done.stderr) == mailed
    assert "noise" in (tmp_path / "run.log").read_text()


_MACHINE = re.compile(r"(?<![\w.])/(?:root|home|Users|work|mnt|workspace)/\w|[A-Z]:\\\\?Users")


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    if listed.returncode != 0:  # not a checkout: an unpacked archive
        pytest.skip("no git here to say what belongs to the project")
    return [ROOT / name for name in listed.stdout.decode().split("\0") if name]


def test_no_text_knows_the_machine_it_was_written_on() -> None:
    found = []
    for path in _tracked():
        if path == Path(__file__).resolve() or not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            if _MACHINE.search(line) or str(ROOT) in line:
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []
