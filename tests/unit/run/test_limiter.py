"""How many may be in flight: what single answers do, and where it ends against a server with a queue."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcile.run.limiter import HIGHEST, LOWEST, Limiter
from tests.unit.run.queueing import Client, Seen, Service, noisy, shared, simulate, steady, together

#: Simulated, for each of so many runs.
SECONDS, RUNS = 45.0, 3


def feed(limiter: Limiter, count: int, seconds: Callable[[int], float] = lambda _: 0.05) -> list[int]:
    """So many answers to a client that always has as many in flight as it may; the limits after them."""
    limits = []
    for _ in range(count):
        limit = limiter.limit
        limiter.observed(seconds(limit), in_flight=limit, dropped=False)
        limits.append(limiter.limit)
    return limits


# --- single answers ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 3, 64])
def test_a_number_stays_that_number(number: int) -> None:
    limiter = Limiter(number)

    limiter.observed(0.0, in_flight=number, dropped=True)

    assert set(feed(limiter, 200)) == {number}


@pytest.mark.parametrize("number", [0, -1])
def test_somebody_must_be_in_flight(number: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Limiter(number)


def test_it_begins_at_four_and_looks_at_the_server_unpressed_before_it_grows() -> None:
    limiter = Limiter(None)
    assert limiter.limit == 4

    limits = feed(limiter, 48)

    assert limits[:15] == [4] * 15
    assert limits[15:31] == [2] * 16
    assert limits[31:47] == [4] * 16
    assert limits[47] == 5


def test_it_grows_to_its_bound_while_answers_get_no_slower() -> None:
    limits = feed(Limiter(None), 2000)

    assert limits[-1] == HIGHEST == max(limits)


def test_it_shrinks_when_answers_get_slower() -> None:
    limiter = Limiter(None)

    limits = feed(limiter, 3000, lambda limit: 0.05 * max(1.0, limit / 8))

    assert max(limits) <= 9
    assert 7 <= limits[-1] <= 8


@pytest.mark.parametrize("server", [1, 2])
def test_it_shrinks_to_one_where_even_two_are_too_many(server: int) -> None:
    limiter = Limiter(None)

    limits = feed(limiter, 5000, lambda limit: 0.05 * max(1.0, limit / server))

    assert sum(limit > server for limit in limits[1000:]) < 200
    assert limits[-1] <= server


def test_a_drop_halves_it_once_for_all_that_were_in_flight() -> None:
    limiter = Limiter(None)
    feed(limiter, 2000)
    assert limiter.limit == 32
    limits = []
    for _ in range(33):
        limiter.observed(10.0, in_flight=32, dropped=True)
        limits.append(limiter.limit)

    # The server is looked at unpressed next: half of what it may be.
    assert limits[:32] == [8] * 32
    assert limits[32] == 4


def test_drop_after_drop_it_ends_at_one_and_finds_back() -> None:
    limiter = Limiter(None)
    for _ in range(20):
        limiter.observed(10.0, in_flight=1, dropped=True)
    assert limiter.limit == LOWEST

    assert feed(limiter, 20_000)[-1] > 4


def test_fewer_in_flight_than_may_be_prove_nothing() -> None:
    limiter = Limiter(None)
    feed(limiter, 48)
    assert limiter.limit == 5
    for _ in range(500):
        limiter.observed(0.05, in_flight=2, dropped=False)
    assert limiter.limit == 5
    for _ in range(500):
        limiter.observed(0.5, in_flight=30, dropped=False)
    assert limiter.limit == 5


def test_answers_that_take_no_time_are_not_slower() -> None:
    assert feed(Limiter(None), 100, lambda _: 0.0)[-1] > 4


OBSERVED = st.tuples(st.floats(0, 100), st.integers(1, 64), st.sampled_from([False] * 9 + [True]))


@given(st.lists(OBSERVED, max_size=300))
def test_it_stays_within_bounds_and_follows_from_what_was_observed(
    observed: list[tuple[float, int, bool]],
) -> None:
    one, other = Limiter(None), Limiter(None)
    for seconds, in_flight, dropped in observed:
        for each in (one, other):
            each.observed(seconds, in_flight=in_flight, dropped=dropped)
        assert LOWEST <= one.limit == other.limit <= HIGHEST


@settings(max_examples=25)
@given(st.lists(st.floats(0.04, 0.06), min_size=64, max_size=64), st.integers(1, 32))
def test_whatever_the_noise_it_keeps_going(noise: list[float], workers: int) -> None:
    """No state in which it is stuck: it goes on judging, and below the server's own number never for good."""
    limiter, turn = Limiter(None), iter(range(10**9))

    limits = feed(limiter, 12_000, lambda limit: noise[next(turn) % 64] * max(1.0, limit / workers))

    assert len(set(limits[-6000:])) > 1


# --- against a server with a queue -----------------------------------------------------------


def rise(workers: int, service: Service, other: Client, fixed: int | None = None) -> tuple[float, Seen]:
    """By what part the other client's p95 rises while we are at work, and what was seen."""

    def run(limiters: list[Limiter | None]) -> Seen:
        return together(
            simulate(
                workers=workers, service=service, limiter=each, others=[other], seconds=SECONDS, seed=seed
            )
            for seed, each in enumerate(limiters)
        )

    with_us = run([Limiter(fixed) for _ in range(RUNS)])
    return with_us.p95() / run([None] * RUNS).p95() - 1, with_us


OTHERS = {
    "one after the other": Client(),
    "with pauses": Client(pause=0.01),
    "25 a second by chance": Client(per_second=25),
    "50 a second by chance": Client(per_second=50),
}


@pytest.mark.parametrize("variation", [0.03, 0.15, 0.4])
@pytest.mark.parametrize("other", OTHERS)
def test_another_client_of_sixteen_workers_hardly_notices(other: str, variation: float) -> None:
    """V9: its p95 rises by less than a tenth. And the workers are not left idle for it."""
    risen, seen = rise(16, noisy(0.04, variation), OTHERS[other])

    assert risen < 0.10
    assert seen.mean_limit(after=10) >= (13 if other == "one after the other" and variation < 0.1 else 8)


@pytest.mark.parametrize("other", ["one after the other", "with pauses"])
def test_nor_does_it_where_every_answer_takes_the_same(other: str) -> None:
    risen, seen = rise(16, steady(0.04), OTHERS[other])

    assert risen < 0.10
    assert seen.mean_limit(after=10) >= 13


@pytest.mark.parametrize("fixed", [20, 32])
def test_it_would_notice_a_number_that_is_too_high(fixed: int) -> None:
    """What the tests above are worth: the simulation does tell."""
    risen, _ = rise(16, noisy(0.04, 0.15), OTHERS["one after the other"], fixed)

    assert risen > 0.25


def test_a_large_server_is_used() -> None:
    risen, seen = rise(64, noisy(0.05, 0.15), OTHERS["one after the other"])

    assert risen < 0.10
    assert seen.mean_limit(after=10) > 24


@pytest.mark.parametrize("cores", [2, 4])
def test_a_small_server_is_not_pressed_whatever_its_workers(cores: int) -> None:
    """Beyond its cores each answer gets slower, and not one more is given a second."""
    _, seen = rise(16, shared(0.019, cores), Client(pause=0.1))
    _, at_32 = rise(16, shared(0.019, cores), Client(pause=0.1), 32)

    assert seen.mean_limit(after=10) <= cores + 0.5
    assert seen.ours > 0.9 * at_32.ours


def test_a_server_that_becomes_slower_for_everybody_is_not_ours_to_spare() -> None:
    """Answers of 40 ms, then of 120 ms: it is looked at unpressed, and the limit comes back."""
    turn = iter(range(10**9))

    def slower_later(_busy: int, _chance: object) -> float:
        return 0.04 if next(turn) < 6000 else 0.12

    seen = simulate(workers=64, service=slower_later, limiter=Limiter(None), others=[Client()], seconds=120)

    assert seen.mean_limit(after=100) > 12
