"""Statistics of a judge, on judges whose bias is known, and against slow second versions."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_processing.judging.judgements import COLUMNS, judgement_table
from data_processing.judging.report import (
    agreement_between_users,
    position_bias,
    repeat_agreement,
    statistics,
    told_statistics,
)


def row(**values: Any) -> tuple:
    usual = {"user_id": "u", "query_id": "q", "llm_id": "a", "position": 1, "answers": 4, "state": "read", "reply": "1"}
    rest = {"again_llm_id": None, "again_position": None, "again_state": "", "again_reply": "", "input_tokens": 10}
    return tuple({**usual, **rest, "output_tokens": 2, "cost_usd": 0.5, **values}[name] for name in COLUMNS)


def positions(drawn: list[tuple[int, int]]) -> pd.DataFrame:
    return judgement_table([row(query_id=str(i), position=p, answers=n) for i, (p, n) in enumerate(drawn)])


@pytest.mark.parametrize("seed", range(5))
def test_blind_choices_show_no_bias(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 11, size=1000)
    found = position_bias(positions([(int(rng.integers(1, n + 1)), int(n)) for n in counts]))
    assert found is not None
    assert found["p_value"] > 0.001
    assert found["degrees_of_freedom"] == sum(range(1, 10))
    assert found["mean_relative_position"] == pytest.approx(0.5, abs=0.05)
    assert sum(item["share"] for item in found["shares"]) == pytest.approx(1)
    assert sum(item["expected"] for item in found["shares"]) == pytest.approx(1)


def test_p_values_of_blind_choices_are_uniform() -> None:
    rng = np.random.default_rng(0)
    values = []
    for _ in range(100):
        drawn = [(int(rng.integers(1, n + 1)), int(n)) for n in rng.choice([3, 5], size=100)]
        found = position_bias(positions(drawn))
        assert found is not None
        values.append(found["p_value"])
    assert np.mean(np.array(values) < 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(values) == pytest.approx(0.5, abs=0.07)


def test_a_slight_preference_for_the_first_is_found_in_many_choices() -> None:
    rng = np.random.default_rng(0)
    drawn = [1 if rng.random() < 0.1 else int(rng.integers(1, 11)) for _ in range(1000)]
    found = position_bias(positions([(p, 10) for p in drawn]))
    assert found is not None
    assert found["p_value"] < 1e-4
    assert found["mean_relative_position"] < 0.5


def test_chi_squared_by_hand() -> None:
    found = position_bias(positions([(1, 2)] * 9 + [(2, 2)] * 3))
    assert found is not None
    assert found["chi_squared"] == pytest.approx((9 - 6) ** 2 / 6 + (3 - 6) ** 2 / 6)
    assert found["degrees_of_freedom"] == 1
    assert found["p_value"] == pytest.approx(0.0833, abs=1e-4)
    assert found["shares"] == [
        {"position": 1, "share": 0.75, "expected": 0.5},
        {"position": 2, "share": 0.25, "expected": 0.5},
    ]


def test_few_choices_are_told_but_not_tested() -> None:
    found = statistics(positions([(1, 10)] * 20))
    assert found["position"]["p_value"] is None
    assert found["position"]["shares"][0]["share"] == 1.0
    assert any("too few choices" in line for line in told_statistics({**found, "by": "llm"}))


def test_repeat_agreement_counts_texts_and_not_positions() -> None:
    rows = [row(query_id=str(i), again_llm_id="a", again_position=3, again_state="read") for i in range(6)]
    rows += [row(query_id=str(i), again_llm_id="b", again_position=1, again_state="read") for i in range(6, 8)]
    rows += [row(user_id="v", query_id="0", again_llm_id="b", again_position=1, again_state="repaired")]
    rows += [row(user_id="v", query_id="1"), row(user_id="v", query_id="2", again_state="unusable")]
    found = repeat_agreement(judgement_table(rows))
    assert found is not None
    assert (found["asked"], found["same"], found["by_chance"]) == (9, 6, 0.25)
    # Wilson 1927, by its formula.
    p, n, z = 6 / 9, 9, 1.959964
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = [(middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)]
    assert found["ci95"] == pytest.approx(expected, abs=1e-6)
    assert {user: item["same"] for user, item in found["users"].items()} == {"u": 6, "v": 0}


def test_agreement_between_users_equals_the_count_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    rows = [
        row(user_id=str(user), query_id=str(query), llm_id="abc"[rng.integers(3)], answers=3)
        for user, query in itertools.product(range(5), range(7))
        if rng.random() < 0.8
    ]
    table = judgement_table(rows)
    choice = {(r.user_id, r.query_id): r.llm_id for r in table.itertuples()}
    same = [
        choice[u, q] == choice[v, q]
        for q in map(str, range(7))
        for u, v in itertools.combinations(map(str, range(5)), 2)
        if (u, q) in choice and (v, q) in choice
    ]
    found = agreement_between_users(table)
    assert found is not None
    assert found["pairs"] == len(same)
    assert found["agreement"] == pytest.approx(np.mean(same))
    assert found["by_chance"] == pytest.approx(1 / 3)


def test_everything_is_counted_and_told() -> None:
    rows = [row(), row(query_id="r", state="repaired", again_state="failed")]
    rows += [row(query_id="s", llm_id=None, position=None, state="unusable")]
    found = statistics(judgement_table(rows))
    assert found["judgements"] == 3
    assert found["chosen"] == 2
    assert found["askings"] == {"read": 1, "repaired": 1, "unusable": 1, "failed": 1}
    assert (found["input_tokens"], found["output_tokens"], found["cost_usd"]) == (30, 6, 1.5)
    assert "2 choices of 3 judgements" in told_statistics({**found, "by": "llm"})[0]


def test_nothing_chosen_has_no_statistics() -> None:
    found = statistics(judgement_table([row(llm_id=None, position=None, state="failed")]))
    assert (found["position"], found["again"], found["personas"]) == (None, None, None)
    assert statistics(judgement_table([]))["judgements"] == 0
