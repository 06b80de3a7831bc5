import dataclasses

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError
from evaluation.results import DECISION_COLUMNS, all_decisions, chosen_epoch, mean_singles, validate
from tests.evaluation.fake_results import change, make_results


@pytest.fixture(scope="module")
def results():
    return make_results(users=2, llms=3, queries=5, repeats=2, policies=("graph", "random"))


def test_good_results_pass(results):
    validate(results)
    decisions = all_decisions(results)
    assert list(decisions.columns) == ["repeat", *DECISION_COLUMNS]
    assert len(decisions) == 2 * 2 * 2 * 5


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.drop(columns="best"), "missing best"),
        (lambda t: t.iloc[1:], "expected every policy on every test row"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "expected one row per"),
        (lambda t: t[t["policy"] != "random"], "expected rows of the policies graph, random"),
        (lambda t: t.assign(user_id="nobody"), "known user_id in decisions, got 'nobody'"),
        (lambda t: t.assign(llm_id="no-llm"), "known llm_id in decisions, got 'no-llm'"),
    ],
)
def test_bad_decisions_are_named(results, damage, message):
    bad = change(results, 1, decisions=damage(results.repeats[1].decisions))
    with pytest.raises(InputError, match=message) as caught:
        validate(bad)
    assert "repeat 1" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_repeats_must_exist_and_differ(results):
    with pytest.raises(InputError, match="at least one repeat"):
        validate(dataclasses.replace(results, repeats=[]))
    with pytest.raises(InputError, match="different repeat numbers"):
        validate(dataclasses.replace(results, repeats=[results.repeats[0]] * 2))


def test_mean_singles_is_the_mean_over_repeats_strongest_first(results):
    singles = mean_singles(results)
    first = singles.iloc[0]
    values = [r.singles.set_index("llm_id")["performance"][first["llm_id"]] for r in results.repeats]
    assert first["performance"] == pytest.approx(sum(values) / 2)
    assert singles["performance"].is_monotonic_decreasing


def test_chosen_epoch(results):
    history = pd.DataFrame(
        {
            "epoch": [10, 20, 30],
            "train_loss": 1.0,
            "validation_loss": [3.0, 2.0, 1.0],
            "validation_reward": [0.1, 0.5, 0.5],
        }
    )
    repeat = dataclasses.replace(results.repeats[0], history=history)
    assert chosen_epoch(repeat) == 20
    assert chosen_epoch(dataclasses.replace(repeat, chosen_epoch=10)) == 10
    assert chosen_epoch(dataclasses.replace(repeat, history=history.assign(validation_reward=np.nan))) == 30
    assert chosen_epoch(dataclasses.replace(repeat, history=history.iloc[:0])) is None
