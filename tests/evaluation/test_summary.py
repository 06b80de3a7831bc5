"""The numbers against double loops over the rows."""

import json
import math
import statistics

import numpy as np
import pandas as pd
import pytest

from evaluation.summary import (
    best_rival,
    llm_shares,
    plain,
    policy_table,
    summarise,
    task_table,
    user_table,
    write_metrics,
    write_summary,
)
from graph.metrics import cluster_bootstrap
from tests.evaluation.fake_results import POLICIES, change, make_results


@pytest.fixture(scope="module")
def results():
    return make_results(users=4, llms=5, queries=30, repeats=3)


@pytest.fixture(scope="module")
def metrics(results):
    return summarise(results, resamples=200, seed=1)


def slow_means(results, policy, column, **where):
    """The mean of one column in each repeat, row by row."""
    means = []
    for repeat in results.repeats:
        rows = [row for row in repeat.decisions.to_dict("records") if row["policy"] == policy]
        values = [row[column] for row in rows if all(row[key] == value for key, value in where.items())]
        means.append(sum(values) / len(values))
    return means


def test_the_agreed_keys_are_there(metrics):
    top = {"schema", "dataset", "num_train", "num_test", "users", "llms", "repeats", "policies", "paired"}
    assert top <= set(metrics)
    assert metrics["schema"] == 1
    assert (metrics["users"], metrics["llms"], metrics["repeats"]) == (4, 5, 3)
    numbers = {"reward", "performance", "cost_usd", "cost", "headroom", "oracle_ratio", "accuracy"}
    numbers |= {"fit_seconds", "route_ms_per_query"}
    for policy in metrics["policies"].values():
        assert numbers <= set(policy)
        assert set(policy["reward"]) == {"mean", "std", "ci95"}
    assert set(metrics["policies"]) == set(POLICIES)
    assert set(metrics["paired"]) == set(POLICIES) - {"graph"}


@pytest.mark.parametrize("policy", ["graph", "random", "oracle"])
def test_policy_numbers_equal_double_loops(results, metrics, policy):
    numbers = metrics["policies"][policy]
    rewards = slow_means(results, policy, "reward")
    assert numbers["reward"]["mean"] == pytest.approx(sum(rewards) / 3)
    assert numbers["reward"]["std"] == pytest.approx(statistics.stdev(rewards))
    for name, column in {
        "performance": "performance",
        "cost": "cost",
        "cost_usd": "cost_usd",
        "accuracy": "best",
    }.items():
        assert numbers[name] == pytest.approx(sum(slow_means(results, policy, column)) / 3)
    low, high = numbers["reward"]["ci95"]
    assert low < numbers["reward"]["mean"] < high


def test_headroom_and_ratio_follow_from_the_reported_means(metrics):
    reward = {name: numbers["reward"]["mean"] for name, numbers in metrics["policies"].items()}
    floor, oracle = reward["best_single_per_user"], reward["oracle"]
    for name, numbers in metrics["policies"].items():
        assert numbers["headroom"] == pytest.approx((reward[name] - floor) / (oracle - floor))
        assert numbers["oracle_ratio"] == pytest.approx(reward[name] / oracle)
    assert metrics["policies"]["oracle"]["headroom"] == 1
    assert metrics["policies"]["oracle"]["oracle_ratio"] == 1
    assert metrics["policies"]["best_single_per_user"]["headroom"] == 0
    assert list(reward.values()) == sorted(reward.values(), reverse=True)


def test_paired_is_graph_minus_the_other_on_the_same_rows(results, metrics):
    for name, compared in metrics["paired"].items():
        differences = []
        for repeat in results.repeats:
            table = repeat.decisions.set_index(["policy", "user_id", "query_id"])["reward"].to_dict()
            rows = [key[1:] for key in table if key[0] == "graph"]
            differences.append(sum(table["graph", *row] - table[name, *row] for row in rows) / len(rows))
        assert compared["reward_diff"] == pytest.approx(sum(differences) / 3)
        assert compared["ci95"][0] <= compared["reward_diff"] <= compared["ci95"][1]


def test_intervals_resample_queries_within_repeats(results, metrics):
    tables = []
    for repeat in results.repeats:
        wide = repeat.decisions.pivot(index=["user_id", "query_id"], columns="policy", values="reward").reset_index()
        tables.append(wide.assign(repeat=repeat.repeat))
    rows = pd.concat(tables)
    difference = (rows["graph"] - rows["linear"]).to_numpy()[:, None]
    expected = cluster_bootstrap(difference, rows["query_id"], rows["repeat"], resamples=200, seed=1)[0]
    assert metrics["paired"]["linear"]["ci95"] == pytest.approx(list(expected))


def test_pairing_narrows_the_interval(metrics):
    low, high = metrics["paired"]["best_single_per_user"]["ci95"]
    alone = metrics["policies"]["graph"]["reward"]["ci95"]
    assert high - low < 2 * (alone[1] - alone[0])
    assert low > 0


def test_row_order_changes_nothing(results, metrics):
    mixed = results
    for number, repeat in enumerate(results.repeats):
        mixed = change(mixed, number, decisions=repeat.decisions.sample(frac=1, random_state=number))
    again = summarise(mixed, resamples=200, seed=1)
    assert again["paired"]["random"]["ci95"] == pytest.approx(metrics["paired"]["random"]["ci95"])
    assert again["policies"]["graph"]["reward"]["mean"] == pytest.approx(metrics["policies"]["graph"]["reward"]["mean"])
    assert list(again["policies"]) == list(metrics["policies"])


def test_absent_policies_give_null():
    metrics = summarise(make_results(users=2, queries=8, repeats=1, policies=("graph", "random")), resamples=0)
    mine = metrics["policies"]["graph"]
    assert mine["headroom"] is None
    assert mine["oracle_ratio"] is None
    assert mine["reward"]["std"] is None
    assert mine["reward"]["ci95"] is None
    assert metrics["paired"]["random"]["ci95"] is None
    without = summarise(make_results(users=2, queries=8, policies=("knn", "random")), resamples=10)
    assert without["paired"] == {}
    assert without["savings"] is None
    assert without["calibration_error"] is None


def test_personas_have_accuracy_and_no_reward():
    results = make_results(users=3, queries=10, kind="persona")
    metrics = summarise(results, resamples=50)
    mine = metrics["policies"]["graph"]
    assert mine["reward"] == {"mean": None, "std": None, "ci95": None}
    assert mine["headroom"] is None
    assert 0 < mine["accuracy"] < 1
    assert metrics["paired"]["random"]["accuracy_ci95"][0] > 0
    assert metrics["paired"]["random"]["reward_diff"] is None
    assert next(iter(metrics["policies"])) == "oracle"
    json.dumps(metrics, allow_nan=False)


def test_savings_pick_the_right_llm(results, metrics):
    mine = metrics["policies"]["graph"]
    singles = pd.concat([r.singles for r in results.repeats]).groupby("llm_id").mean()
    strongest = metrics["savings"]["strongest"]
    assert strongest["llm_id"] == singles["performance"].idxmax()
    assert strongest["share_saved"] == pytest.approx(1 - mine["cost_usd"] / singles["cost_usd"][strongest["llm_id"]])
    able = singles[singles["performance"] >= mine["performance"]]
    match = metrics["savings"]["matching"]
    assert (match["llm_id"] if match else None) == (able["cost_usd"].idxmin() if len(able) else None)
    assert summarise(make_results(users=2, queries=8, cost_kind="none"), 0)["savings"] is None


def test_a_matching_llm_is_found_where_the_router_is_weak():
    metrics = summarise(make_results(users=1, queries=40, repeats=1), 0)
    weak = make_results(users=1, queries=40, repeats=1)
    decisions = weak.repeats[0].decisions
    weak = change(weak, 0, decisions=decisions.assign(performance=0.0))
    match = summarise(weak, 0)["savings"]["matching"]
    singles = weak.repeats[0].singles.set_index("llm_id")["cost_usd"]
    assert match["llm_id"] == singles.idxmin()
    assert metrics["savings"]["strongest"]["performance"] > 0.5


def test_user_and_task_tables_equal_double_loops(results):
    users = user_table(results).set_index(["policy", "user_id"])
    tasks = task_table(results).set_index(["policy", "task_id"])
    for policy in ("graph", "knn"):
        user, task = sum(slow_means(results, policy, "reward", user_id="user_1")) / 3, "task_2"
        assert users["reward"][policy, "user_1"] == pytest.approx(user)
        oracle = users["reward"]["oracle", "user_1"]
        floor = users["reward"]["best_single_per_user", "user_1"]
        assert users["headroom"][policy, "user_1"] == pytest.approx((user - floor) / (oracle - floor))
        mean = sum(slow_means(results, policy, "best", task_id=task)) / 3
        assert tasks["accuracy"][policy, task] == pytest.approx(mean)
    assert users["preference"]["graph", "user_0"] == pytest.approx(0.2)
    queries = {q for r in results.repeats for q in r.decisions.loc[r.decisions["task_id"] == "task_2", "query_id"]}
    assert tasks["queries"]["graph", "task_2"] == len(queries)


def test_llm_shares_count_choices(results):
    shares = llm_shares(results)
    rows = [r for repeat in results.repeats for r in repeat.decisions.to_dict("records") if r["policy"] == "graph"]
    mine = [r["llm_id"] for r in rows if r["user_id"] == "user_3"]
    for llm in shares.columns:
        assert shares.loc["user_3", llm] == pytest.approx(mine.count(llm) / len(mine))
    assert np.allclose(shares.sum(axis=1), 1)
    assert llm_shares(results, "not run").empty


def test_best_rival_is_neither_a_floor_nor_the_oracle(results):
    assert best_rival(results) in {"linear", "mlp", "knn"}
    assert best_rival(make_results(users=2, queries=5, policies=("graph", "oracle", "random"))) is None
    assert best_rival(make_results(users=2, queries=30, policies=("graph", "knn"), kind="persona")) == "knn"


def test_plain_leaves_nothing_json_cannot_hold():
    value = plain({"a": np.float64("nan"), "b": [np.int64(2), math.inf], "c": (np.bool_(True), "text", None)})
    assert value == {"a": None, "b": [2, None], "c": [True, "text", None]}
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_files_are_written_and_read_back(results, metrics, tmp_path):
    write_summary(results, metrics, tmp_path / "run")
    write_metrics(metrics, tmp_path / "run" / "metrics.json")
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics
    policies = pd.read_csv(tmp_path / "run" / "policies.csv").set_index("policy")
    assert policies["reward"]["graph"] == pytest.approx(metrics["policies"]["graph"]["reward"]["mean"])
    assert policies["graph_minus_policy"]["knn"] == pytest.approx(metrics["paired"]["knn"]["reward_diff"])
    assert len(pd.read_csv(tmp_path / "run" / "per_user.csv")) == 4 * len(POLICIES)
    assert len(pd.read_csv(tmp_path / "run" / "per_task.csv")) == 3 * len(POLICIES)
    decisions = pd.read_parquet(tmp_path / "run" / "decisions.parquet")
    assert len(decisions) == 3 * 4 * 30 * len(POLICIES)
    assert len(policy_table(metrics)) == len(POLICIES)
