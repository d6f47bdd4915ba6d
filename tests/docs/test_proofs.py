"""docs/testing.md: the tests that it names as proofs exist, and every promise has one."""

from __future__ import annotations

import re

from tests.docs.documents import ROOT, section

PROOFS = section((ROOT / "docs" / "testing.md").read_text(encoding="utf-8"), "Proofs")


def test_every_proof_is_a_test() -> None:
    named = set(re.findall(r"`(test_\w+)`", PROOFS))
    there = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"^ *def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(named) > 30
    assert named - there == set()


def test_every_promise_has_its_proof() -> None:
    rows = [line.strip("|").split("|") for line in PROOFS.splitlines() if line.startswith("| ")][1:]
    assert all("`test_" in proof for _, _, proof in rows)
    promises = {match[1] for promise, _, _ in rows if (match := re.match(r" \*\*(P\d)\*\*", promise))}
    assert promises == {f"P{number}" for number in range(1, 9)}
