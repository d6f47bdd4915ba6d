"""What is hashed how: pinned for ever, because what a release has sealed must verify in all later ones."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.audit.chain import digests as chain
from reconcile.audit.chain.digests import Event, Seal
from reconcile.audit.tables import attempts, runs, seals

NOON = datetime(2026, 11, 24, 12, 0, 0, 5, tzinfo=UTC)
ROW = {
    "attempt_id": 7,
    "run_id": "run-1",
    "enrollment_id": "order-ä",
    "email_key": "k",
    "email_masked": "s***@example.com",
    "number": 1,
    "action": "enroll",
    "started_at": NOON,
    "flags": "",
    "amount_e4": 1_995_000,
    "currency": "usd",
}
YEARS = [NOON.replace(year=year, tzinfo=None) for year in (1900, 9000)]
ZONES = (UTC, timezone(timedelta(hours=-3, minutes=7)), ZoneInfo("Asia/Tokyo"))
#: All that a column or a link may hold, and what only somebody else can have put there.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),
    st.binary(),
    st.sampled_from(Event),
    st.datetimes(*YEARS, timezones=st.sampled_from(ZONES)),
)
VALUES = st.one_of(st.none(), st.integers(), st.text(), st.datetimes(timezones=st.just(UTC)))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def test_a_digest_is_sha_256_of_json_that_anybody_can_write() -> None:
    written = (
        '{"action":"enroll","amount_e4":1995000,"attempt_id":7,"course":null,"currency":"usd","email_key":"k",'
        '"enrollment_id":"order-\\u00e4","flags":"","member_key":null,"number":1,"paid_at":null,'
        '"payment_id":null,"run_id":"run-1","started_at":"2026-11-24T12:00:00.000005Z"}'
    )

    assert chain.digest(chain.INTENT, ROW) == _sha256(written)


def _in_json(value: object) -> object:
    """A value as the module's text tells it, by the library alone."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\x00", "\ufffd")
    return value


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), sort_keys=True)


@given(st.dictionaries(st.sampled_from((*chain.WHOLE, "never_sent", "lease_token")), ODD))
def test_a_row_of_odd_values_is_hashed_as_the_library_writes_it(row: dict[str, object]) -> None:
    for columns in chain.COVERED.values():
        text = _dumped({name: _in_json(row.get(name)) for name in columns})
        assert chain.digest(columns, row) == _sha256(text)


@given(st.tuples(*[ODD.filter(lambda value: not isinstance(value, bytes | datetime))] * 6))
def test_a_link_of_odd_values_is_hashed_as_the_library_writes_it(values: tuple[Any, ...]) -> None:
    previous, seq, kind, attempt_id, flags, digest = values
    link = chain.link(previous, seq=seq, kind=kind, attempt_id=attempt_id, flags=flags, digest=digest)

    assert link == _sha256(_dumped(["link", *values]))


def test_links_and_seals_are_what_the_module_says() -> None:
    link = chain.link("a" * 64, seq=3, kind="began", attempt_id=7, flags="", digest="d")
    row = {
        "seal_number": 2,
        "kind": "closed",
        "subject": "run-1",
        "links": 3,
        "last_link": link,
        "digest": "d",
        "detail": None,
        "sealed_at": NOON,
    }

    assert link == _sha256(f'["link","{"a" * 64}",3,"began",7,"","d"]')
    assert chain.first_link("run-1") == _sha256('["run","run-1"]')
    assert chain.seal("b" * 64, row) == _sha256(
        f'["seal","{"b" * 64}",2,"closed","run-1",3,"{link}","d",null,"2026-11-24T12:00:00.000005Z"]'
    )
    assert chain.digest_of_numbers([1, 20]) == _sha256('["pruned",1,20]')
    assert chain.digest_of_secret(b"\x01") == _sha256('["secret","01"]')


def test_each_column_is_proven_or_known_not_to_be() -> None:
    """A column that comes later needs a decision."""
    # What MongoDB said of the shop at that moment proves nothing about what we did.
    said_by_the_shop = {"shop_tries", "unmarked"}
    assert {column.name for column in attempts.c} - set(chain.WHOLE) == {
        "email_masked",
        "shop_tries",
        # By kinds of their own; an end that is redacted later still is a link of the kind `unsent`.
        "lease_token",
        "never_sent",
    }
    assert "lease_token" in chain.COVERED[Event.LEASED]
    assert {"lease_token", "never_sent"} < set(chain.COVERED[Event.UNSENT])
    assert {column.name for column in runs.c} - said_by_the_shop == set(chain.CLOSING)
    assert set(chain.INTENT) | set(chain.ENDING) == set(chain.WHOLE)
    row = dict.fromkeys((column.name for column in seals.c), 1)
    before = chain.seal(chain.NO_SEAL, row)
    proven = {name for name in row if chain.seal(chain.NO_SEAL, {**row, name: 2}) != before}
    # Its own value follows from the rest; the mark of a pruning is proven by the pruning's seal.
    assert set(row) - proven == {"seal", "pruned_by"}


def test_no_address_is_covered() -> None:
    assert all(
        "masked" not in name and name != "email" for columns in chain.COVERED.values() for name in columns
    )
    assert set(chain.COVERED) == set(Event)


@given(st.dictionaries(st.sampled_from(chain.WHOLE), VALUES), st.sampled_from(chain.WHOLE), VALUES)
def test_every_other_value_has_another_digest(row: dict[str, object], name: str, value: object) -> None:
    changed = {**row, name: value}
    same = all(
        chain._value(changed.get(column)) == chain._value(row.get(column)) for column in (*row, name)
    ) and type(changed.get(name)) is type(row.get(name))

    assert (chain.digest(chain.WHOLE, changed) == chain.digest(chain.WHOLE, row)) == same


def test_the_same_instant_has_the_same_digest_in_every_time_zone() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert chain.digest(("paid_at",), {"paid_at": elsewhere}) == chain.digest(("paid_at",), {"paid_at": NOON})


def test_bytes_that_somebody_put_there_have_a_digest_too() -> None:
    assert chain.digest(("error",), {"error": b"\xff"}) == _sha256('{"error":{"bytes":"ff"}}')
    assert chain.digest(("error",), {"error": b"a"}) != chain.digest(("error",), {"error": "a"})


@given(st.text())
def test_what_is_hashed_is_what_a_database_holds(text: str) -> None:
    held = chain.plain(text)

    assert "\x00" not in held
    held.encode("utf-8")
    assert chain.digest(("error",), {"error": text}) == chain.digest(("error",), {"error": held})


def test_a_seal_is_written_and_read() -> None:
    seal = Seal(412, "9f" * 32)

    assert str(seal) == f"412:{'9f' * 32}"
    assert Seal.parse(f" 412:{'9F' * 32}\n") == seal


@pytest.mark.parametrize(
    "text", ["", "412", f"x:{'0' * 64}", f"1:{'0' * 63}", f"1:{'g' * 64}", f"²:{'0' * 64}", json.dumps({})]
)
def test_what_is_no_seal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 hex digits"):
        Seal.parse(text)
