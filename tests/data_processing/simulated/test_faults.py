"""Faults: drawn by rate, seed and number; rates as a person types them."""

from __future__ import annotations

from collections import Counter

import pytest

from configs.errors import InputError
from data_processing.simulated.faults import KINDS, PASSING, Faults, evenly, read_rates


def test_faults_come_at_their_rates() -> None:
    faults = Faults({"server": 0.1, "slow": 0.05})
    drawn = Counter(faults.draw(number) for number in range(5000))
    assert set(drawn) == {None, "server", "slow"}
    assert drawn["server"] / 5000 == pytest.approx(0.1, abs=0.015)
    assert drawn["slow"] / 5000 == pytest.approx(0.05, abs=0.012)


def test_a_fault_depends_on_seed_and_number_alone() -> None:
    first, again, other = (Faults(evenly(0.5), seed) for seed in (0, 0, 1))
    numbers = range(200)
    assert [first.draw(n) for n in reversed(numbers)][::-1] == [again.draw(n) for n in numbers]
    assert [first.draw(n) for n in numbers] != [other.draw(n) for n in numbers]


def test_evenly_is_all_that_the_same_request_gets_over() -> None:
    rates = evenly(0.2)
    assert set(rates) == set(KINDS) - {"judge_nonsense"} == set(PASSING)
    assert sum(rates.values()) == pytest.approx(0.2)
    assert {Faults(evenly(1.0)).draw(n) for n in range(300)} == set(PASSING)


def test_no_rates_no_faults() -> None:
    assert [Faults().draw(number) for number in range(50)] == [None] * 50


def test_single_rates_win_over_the_even_ones() -> None:
    rates = read_rates(0.16, ["server=0.5", "judge_nonsense=0.1"])
    assert rates["rate_limit"] == pytest.approx(0.02)
    assert (rates["server"], rates["judge_nonsense"]) == (0.5, 0.1)


@pytest.mark.parametrize(
    ("every", "entries", "message"),
    [
        (0.0, ["rate_limt=0.1"], "did you mean 'rate_limit'"),
        (0.0, ["server"], r"--fault server: expected a share of the requests in \[0, 1\], got ''"),
        (0.0, ["server=nan"], "got 'nan'"),
        (0.0, ["server=-0.1"], "got '-0.1'"),
        (1.5, [], "--faults: expected a share"),
        (0.0, ["server=0.6", "slow=0.5"], "sum to at most 1, got 1.1"),
    ],
)
def test_wrong_rates_are_refused(every: float, entries: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rates(every, entries)
