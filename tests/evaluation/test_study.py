"""What the studies share: scoring by LLM id, users of one's choice, nested draws, one measure for all variants."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest

import evaluation.evaluate as evaluate_module
from configs.schema import Encoder
from evaluation.evaluate import evaluate
from evaluation.results import STUDY_COLUMNS
from evaluation.study import (
    AlignedPolicy,
    Score,
    Setting,
    fit,
    fit_graph,
    judged_by,
    nested_draw,
    row,
    score,
    score_oracle,
    table,
)
from graph.records import Queries
from tests.evaluation.study_world import Spy, make_setting
from tests.graph.world import TRAIN, tiny_config


@pytest.fixture(scope="module")
def setting() -> Setting:
    return make_setting()


class Fixed(Spy):
    """Scores that are given, with columns in an order of its own."""

    def __init__(self, llm_ids: list[str], scores: dict[str, float]) -> None:
        self.llm_ids, self.values = llm_ids, scores

    def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        return np.tile([self.values[name] for name in self.llm_ids], (len(queries), 1))

    def grid(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        return np.stack([self.scores(queries, users)] * len(users))


def test_scores_are_the_means_of_the_main_evaluation(setting: Setting) -> None:
    decisions = evaluate(setting.prepared, setting.fitted, setting.config, 0).decisions
    for name in ("graph", "knn"):
        mine = decisions[decisions["policy"] == name]
        got = score(setting.fitted[name].policy, setting.prepared)
        assert (got.reward, got.accuracy) == pytest.approx((mine["reward"].mean(), mine["best"].mean()))
    oracle = decisions[decisions["policy"] == "oracle"]
    assert score_oracle(setting.prepared) == Score(pytest.approx(oracle["reward"].mean()), 1.0)


def test_only_the_users_asked_for_count(setting: Setting) -> None:
    decisions = evaluate(setting.prepared, setting.fitted, setting.config, 0).decisions
    users = ["user_4", "user_2"]
    mine = decisions[(decisions["policy"] == "graph") & decisions["user_id"].isin(users)]
    got = score(setting.graph, setting.prepared, users)
    assert got.reward == pytest.approx(mine["reward"].mean())
    assert got.reward != pytest.approx(score(setting.graph, setting.prepared).reward)
    everyone = decisions[(decisions["policy"] == "oracle") & decisions["user_id"].isin(users)]
    assert score_oracle(setting.prepared, users).reward == pytest.approx(everyone["reward"].mean())


def test_scores_follow_the_ids_of_the_llms_and_an_unknown_llm_is_not_chosen(setting: Setting) -> None:
    test, alpha = setting.prepared.test, setting.prepared.true_users["preference"].to_numpy()[:, None]
    values = {"ocean": -5.0, "brook": -7.0, "fjord": -6.0}  # delta, which it does not know, would win with zero
    got = score(Fixed(["ocean", "brook", "fjord"], values), setting.prepared)
    column = test.llm_ids.index("ocean")
    wanted = (alpha * test.performance[:, column] - (1 - alpha) * test.cost[:, column]).mean()
    assert got.reward == pytest.approx(wanted)


def test_an_unknown_llm_is_left_where_it_alone_was_observed(setting: Setting) -> None:
    test = setting.prepared.test
    only = np.array(test.llm_ids) != "delta"
    hidden = np.where(only & (np.arange(len(test.queries)) == 0)[:, None], np.nan, test.performance)
    prepared = dataclasses.replace(setting.prepared, test=dataclasses.replace(test, performance=hidden))
    got = score(Fixed(["ocean", "brook", "fjord"], {"ocean": 1.0, "brook": 0.0, "fjord": 0.0}), prepared)
    assert math.isfinite(got.reward)
    with pytest.raises(RuntimeError, match="not a finite number"):
        score(Fixed(["ocean", "brook", "fjord"], {"ocean": 1.0, "brook": 0.0, "fjord": math.nan}), prepared)


def test_alignment_keeps_every_score_of_what_is_known(setting: Setting) -> None:
    knn, queries = setting.fitted["knn"].policy, setting.prepared.test.queries
    order = ["delta", "stranger", *reversed([name for name in knn.llm_ids if name != "delta"])]
    users = ["user_1"] * len(queries)
    got, scores = AlignedPolicy(knn, order).scores(queries, users), knn.scores(queries, users)
    for place, name in enumerate(order):
        if name == "stranger":
            assert (got[:, place] < scores.min(axis=1)).all()
        else:
            np.testing.assert_array_equal(got[:, place], scores[:, knn.llm_ids.index(name)])


def test_users_without_rewards_are_scored_by_accuracy() -> None:
    assert Score(0.4, 0.7).value == 0.4
    assert Score(math.nan, 0.7).value == 0.7


def test_rows_have_the_columns_of_the_table(setting: Setting) -> None:
    rows = table([row(dataclasses.replace(setting, repeat=3), "graph", Score(0.4, 0.7), "p", 5, 0.5)])
    assert list(rows.columns) == STUDY_COLUMNS
    assert rows.iloc[0].tolist() == ["p", "graph", 5.0, 3, 0.4, 0.7, 0.5]
    assert table([]).empty


def test_draws_are_nested_and_depend_on_ids_seed_and_name_alone() -> None:
    ids = [f"q{number}" for number in range(50)]
    drawn = nested_draw(ids, 1, "user_1")
    assert sorted(drawn) == sorted(ids)
    assert drawn == nested_draw(ids[::-1], 1, "user_1")
    assert drawn != nested_draw(ids, 2, "user_1")
    assert drawn != nested_draw(ids, 1, "user_2")
    assert drawn != sorted(ids)


def test_a_variant_is_judged_by_the_outcomes_of_the_experiment_joined_by_id(setting: Setting) -> None:
    other = setting.prepare_with(
        tiny_config(
            encoder=Encoder(model="hashing:8"), data=setting.config.data.model_copy(update={"cost_scaling": "global"})
        )
    )
    assert not np.allclose(other.test.cost, setting.prepared.test.cost)
    rows = np.arange(len(other.test.queries))[::-1]
    turned = dataclasses.replace(other, test=dataclasses.replace(other.test, queries=other.test.queries.take(rows)))
    judged = judged_by(setting.prepared, turned)
    np.testing.assert_array_equal(judged.test.cost, setting.prepared.test.cost)
    assert judged.test.queries.query_ids == setting.prepared.test.queries.query_ids
    np.testing.assert_array_equal(judged.test.queries.embeddings, other.test.queries.embeddings)
    fewer = dataclasses.replace(other, test=dataclasses.replace(other.test, queries=other.test.queries.take(rows[1:])))
    for wrong, right in ((fewer, setting.prepared), (setting.prepared, fewer)):
        with pytest.raises(RuntimeError, match="other test queries"):
            judged_by(right, wrong)


def test_fitting_again_gives_the_policy_of_the_main_run(setting: Setting) -> None:
    queries = setting.prepared.test.queries
    for name in ("graph", "knn"):
        again = fit(name, setting, setting.prepared)
        users = ["user_2"] * len(queries)
        np.testing.assert_array_equal(again.scores(queries, users), setting.fitted[name].policy.scores(queries, users))


def test_a_training_that_was_cut_is_no_row_of_a_table(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(Spy):
        interrupted = True  # type: ignore[assignment]

    monkeypatch.setattr(evaluate_module, "GraphPolicy", Cut)
    with pytest.raises(KeyboardInterrupt):
        fit_graph(setting, setting.prepared)


def test_another_configuration_reaches_the_policy(setting: Setting) -> None:
    config = setting.config.model_copy(update={"train": TRAIN.model_copy(update={"epochs": 0})})
    graph = fit_graph(setting, setting.prepared, config)
    assert graph.training is not None
    assert len(graph.training.history) == 1
    assert setting.graph.training is not None
    assert len(setting.graph.training.history) > 1
