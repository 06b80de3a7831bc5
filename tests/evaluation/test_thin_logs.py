"""Thin logs: which configurations are prepared, that each is judged by the rewards of the full log, and the rows."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from configs.schema import Config, ThinLogs
from evaluation.study import Setting, fit, judged_by, score
from evaluation.thin_logs import panel, thin_logs, thinned
from graph.routing_data import PreparedData
from tests.evaluation.study_world import make_setting

STUDY = ThinLogs(
    observed_llms_per_query=(1, None), interactions_per_user=(2, None), policies=("graph", "best_single", "oracle")
)


def watched(setting: Setting) -> tuple[Setting, list[Config]]:
    """Return the setting and the list of configurations that get prepared."""
    seen: list[Config] = []

    def prepare_with(config: Config) -> PreparedData:
        seen.append(config)
        return setting.prepare_with(config)

    return dataclasses.replace(setting, prepare_with=prepare_with), seen


@pytest.fixture(scope="module")
def setting() -> Setting:
    return make_setting(thin_logs=STUDY)


@pytest.fixture(scope="module")
def run(setting: Setting) -> tuple[pd.DataFrame, list[Config]]:
    spied, seen = watched(setting)
    return thin_logs(spied), seen


def test_every_pair_is_a_row_of_each_policy(run: tuple[pd.DataFrame, list[Config]]) -> None:
    rows = {(row.panel, row.x, row.series) for row in run[0].itertuples()}
    assert rows == {
        (log, x, name)
        for log in ("1 LLM per query", "all LLMs per query")
        for x in (2.0, math.inf)
        for name in ("graph", "best_single", "oracle")
    }
    assert len(run[0]) == len(rows)


def test_only_thinner_logs_are_prepared_again(setting: Setting, run: tuple[pd.DataFrame, list[Config]]) -> None:
    pairs = [(c.data.observed_llms_per_query, c.users.interactions_per_user) for c in run[1]]
    assert pairs == [(1, 2), (1, None), (None, 2)]
    for config in run[1]:
        assert thinned(config, None, None) == setting.config, "nothing else changes"


def test_the_whole_log_gives_the_policies_of_the_main_run(
    setting: Setting, run: tuple[pd.DataFrame, list[Config]]
) -> None:
    whole = run[0][(run[0]["panel"] == "all LLMs per query") & (run[0]["x"] == math.inf)].set_index("series")
    main = score(setting.graph, setting.prepared)
    assert (whole["reward"]["graph"], whole["accuracy"]["graph"]) == (main.reward, main.accuracy)
    references = run[0].groupby("series")["reference"].agg(["min", "max"])
    assert references.loc["graph"].tolist() == [main.reward, main.reward]
    assert references.loc["best_single"].isna().all(), "the main run did not fit it"
    assert references["min"]["oracle"] > main.reward


def test_thin_policies_are_fitted_on_the_thin_log_and_judged_by_the_full_one(
    setting: Setting, run: tuple[pd.DataFrame, list[Config]]
) -> None:
    config = thinned(setting.config, 1, 2)
    thin = setting.prepare_with(config)
    assert (np.isfinite(thin.train.performance).sum(axis=1) == 1).all()
    assert thin.train.interactions.groupby("user_id").size().max() == 2
    assert not np.allclose(thin.test.cost, setting.prepared.test.cost), "costs are scaled by what was seen"
    policy = fit("graph", setting, thin, config)
    rows = run[0].set_index(["panel", "x", "series"])["reward"]
    assert rows["1 LLM per query", 2.0, "graph"] == score(policy, judged_by(setting.prepared, thin)).reward
    assert rows["1 LLM per query", 2.0, "graph"] != score(policy, thin).reward
    oracle = run[0][run[0]["series"] == "oracle"]
    assert oracle["reward"].nunique() == 1, "nobody's rewards change with the log"


def test_an_empty_list_is_the_configured_value(setting: Setting) -> None:
    study = ThinLogs(interactions_per_user=(3,), policies=("best_single",))
    evaluate = setting.config.evaluate.model_copy(update={"thin_logs": study})
    config = thinned(setting.config.model_copy(update={"evaluate": evaluate}), 2, None)
    spied, seen = watched(dataclasses.replace(setting, config=config, prepared=setting.prepare_with(config)))
    rows = thin_logs(spied)
    assert [(c.data.observed_llms_per_query, c.users.interactions_per_user) for c in seen] == [(2, 3)]
    assert rows[["panel", "x"]].to_numpy().tolist() == [["2 LLMs per query", 3.0]]


def test_panels_are_in_words() -> None:
    assert [panel(n) for n in (1, 2, None)] == ["1 LLM per query", "2 LLMs per query", "all LLMs per query"]
