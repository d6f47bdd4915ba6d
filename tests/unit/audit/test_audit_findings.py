"""What a verification of the audit counts, keeps and prints."""

from __future__ import annotations

from reconcile.audit.chain.digests import Seal
from reconcile.audit.chain.findings import Finding, Verification, What


def finding(number: int = 7) -> Finding:
    return Finding(what=What.CHANGED, table="attempts", text="attempt was changed", attempt_id=number)


def test_an_intact_audit() -> None:
    told = Verification(limit=2, newest_seal=Seal(3, "a" * 64), runs=1).as_json()

    assert (told["status"], told["findings"], told["findings_total"]) == ("intact", [], 0)
    assert (told["newest_seal"], told["runs"], told["links"]) == (f"3:{'a' * 64}", 1, 0)
    assert told["since"] == {"pruned": 0, "forgotten": 0, "resealed": 0}
    assert Verification(limit=2).as_json()["newest_seal"] is None


def test_findings_are_counted_and_the_first_ones_kept() -> None:
    found = Verification(limit=2)
    for number in (1, 1, 2, 3):
        found.add(finding(number))

    assert not found.is_intact
    assert found.findings == [finding(1), finding(2)], "one thing is found once"
    assert found.total == 3
    told = found.as_json()
    assert (told["status"], told["findings_total"], len(told["findings"])) == ("tampered", 3, 2)


def test_a_finding_names_what_it_is_about() -> None:
    assert finding().as_json() == {
        "what": "changed",
        "table": "attempts",
        "run_id": None,
        "attempt_id": 7,
        "seal_number": None,
        "text": "attempt was changed",
    }
