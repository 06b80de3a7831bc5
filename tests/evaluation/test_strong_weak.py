"""From fitted policies to trade-offs, their numbers, tables and figures: on a tiny world and on outcomes made up."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from evaluation.deferral import POINT_COLUMNS, SINGLE, deferral_points, deferral_summary
from evaluation.expected import ALL, Answered, benchmarks, expect
from evaluation.strong_weak import PAIR_COLUMNS, RANDOM, pair_curves, pair_scores, pair_summary, strength_order
from evaluation.strong_weak_plots import deferral, strong_weak
from evaluation.strong_weak_report import deferral_table, strong_weak_table
from graph.policy import utility
from graph.strong_weak import Pair, apgr, trace
from tests.data_processing.nasty_names import NASTY, as_read, texts_of
from tests.evaluation.study_world import make_judged_setting, make_setting


def make_answered(llms: int = 2, queries: int = 90, seed: int = 0, tasks: int = 2) -> Answered:
    """Return made-up outcomes: later LLMs are better and dearer; `graph` knows half of what there is to know."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"q{i:03d}" for i in rng.permutation(2 * queries)[:queries]], dtype=object)
    task = np.array([f"task{int(name[1:]) % tasks}" for name in ids], dtype=object)
    chance = np.linspace(0.5, 0.8, llms)
    performance = (rng.random((queries, llms)) < chance).astype(float)
    cost = np.linspace(0.1, 1.0, llms) * rng.uniform(0.9, 1.1, (queries, llms))
    truth = np.stack([performance, cost / 1.1], axis=-1)
    guess = truth.copy()
    guess[..., 0] = 0.5 * performance + rng.normal(0, 0.4, performance.shape)
    names = [f"vendor/llm-{i}" for i in range(llms)]
    return Answered(
        ids, task, names, performance, cost / 100, chance, cost.mean(axis=0), {"oracle": truth, "graph": guess}
    )


def test_what_is_expected_comes_from_policies_that_tell_queries_apart():
    setting = make_setting(policies=("graph", "oracle", "knn", "random", "cheapest", "best_single"))
    prepared = setting.prepared
    answered = expect(prepared, {name: item.policy for name, item in setting.fitted.items()}, setting.config)
    assert set(answered.expected) == {"graph", "knn", "oracle"}
    assert answered.query_ids.tolist() == list(prepared.test.queries.query_ids)
    assert answered.task_ids.tolist() == [prepared.task_of[query] for query in answered.query_ids]
    np.testing.assert_array_equal(answered.performance, prepared.test.performance)
    np.testing.assert_array_equal(answered.expected["oracle"][..., 1], prepared.test.cost)
    knn = setting.fitted["knn"].policy.outcomes(prepared.test.queries)
    np.testing.assert_array_equal(answered.expected["knn"], knn)
    np.testing.assert_allclose(answered.strength, np.nanmean(prepared.train.performance, axis=0))


def test_queries_that_an_llm_did_not_answer_are_left_out():
    prepared = make_setting().prepared
    holes = prepared.test.performance.copy()
    holes[0, 1] = np.nan
    test = dataclasses.replace(prepared.test, performance=holes)
    answered = expect(dataclasses.replace(prepared, test=test), {}, make_setting().config)
    assert answered.query_ids.tolist() == list(prepared.test.queries.query_ids[1:])
    assert np.isfinite(answered.performance).all()


def test_personas_have_no_trade_off():
    setting = make_judged_setting()
    answered = expect(setting.prepared, {name: item.policy for name, item in setting.fitted.items()}, setting.config)
    assert len(answered.query_ids) == 0
    assert pair_scores(answered, 0).empty
    points = deferral_points(answered, 0)
    assert points.empty
    assert pair_summary(pair_scores(answered, 0)).empty
    assert deferral_summary(points).empty
    for figure in (strong_weak(pair_scores(answered, 0)), deferral(points)):
        assert "no " in figure.axes[0].texts[0].get_text()


def test_subjects_of_a_benchmark_are_one():
    ids = ["mmlu_law", "gsm8k", "mmlu_law", "mmlu_art", "mmlu_sea", "multi_news", "multi_qa"]
    found = benchmarks(ids)
    assert {name: rows.nonzero()[0].tolist() for name, rows in found.items()} == {
        ALL: list(range(7)),
        "gsm8k": [1],
        "mmlu": [0, 2, 3, 4],
        "multi_news": [5],
        "multi_qa": [6],
    }
    assert list(benchmarks(["one", "one"])) == [ALL]


def test_the_strong_llm_is_the_better_one_on_train_then_the_dearer():
    answered = make_answered()
    assert strength_order(answered) == [0, 1]
    assert strength_order(dataclasses.replace(answered, strength=np.array([0.9, 0.8]))) == [1, 0]
    even = dataclasses.replace(answered, strength=np.array([0.8, 0.8]))
    assert strength_order(dataclasses.replace(even, price=np.array([2.0, 1.0]))) == [1, 0]
    swapped = pair_scores(dataclasses.replace(answered, strength=np.array([0.9, 0.8])), 0)
    scores = pair_scores(answered, 0)
    assert (scores["strong_llm"] == "vendor/llm-1").all()
    assert (swapped["strong_llm"] == "vendor/llm-0").all()
    np.testing.assert_allclose(swapped["need"], -scores["need"])
    np.testing.assert_array_equal(swapped["weak_cost_usd"], scores["strong_cost_usd"])


def test_there_is_no_pair_among_three_llms():
    assert pair_scores(make_answered(3), 0).columns.tolist() == PAIR_COLUMNS
    assert pair_scores(make_answered(3), 0).empty


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return pd.concat([pair_scores(make_answered(seed=repeat), repeat) for repeat in range(3)], ignore_index=True)


def test_the_numbers_are_means_over_repeats_of_each_benchmark(scores):
    summary = pair_summary(scores, 50).set_index(["task_id", "policy"])
    assert set(summary.index) == {(t, p) for t in (ALL, "task0", "task1") for p in ("graph", "oracle", RANDOM)}
    answered = [make_answered(seed=repeat) for repeat in range(3)]
    own = [each.task_ids == "task1" for each in answered]
    each = []
    for world, rows in zip(answered, own, strict=True):
        pair = Pair(*world.performance[rows].T, *world.cost_usd[rows].T)
        need = world.expected["graph"][rows, :, 0]
        each.append(apgr(trace(need[:, 1] - need[:, 0], pair)))
    found = summary.loc[("task1", "graph")]
    assert found["apgr"] == pytest.approx(np.mean(each))
    assert found["apgr_std"] == pytest.approx(np.std(each, ddof=1))
    ids = np.concatenate([world.query_ids[rows] for world, rows in zip(answered, own, strict=True)])
    assert found["queries"] == len(set(ids))
    assert 0 < found["apgr_se"] < 0.2


def test_the_same_queries_again_make_no_number_more_certain():
    once = pair_scores(make_answered(), 0)
    twice = pd.concat([once, once.assign(repeat=1)], ignore_index=True)
    errors = [pair_summary(scores, 50)["apgr_se"].to_numpy() for scores in (once, twice)]
    np.testing.assert_allclose(errors[0], errors[1])


def test_the_coin_is_even_and_the_oracle_is_above_all(scores):
    summary = pair_summary(scores, 0).set_index(["policy", "task_id"])
    coin = summary.loc[RANDOM]
    assert coin["apgr"].to_numpy() == pytest.approx([0.5] * 3)
    assert coin["cpt80"].to_numpy() == pytest.approx([0.8] * 3)
    assert coin["saved_over_random_at_95"].to_numpy() == pytest.approx([0] * 3, abs=1e-12)
    assert (summary.loc["oracle", "apgr"] > summary.loc["graph", "apgr"]).all()
    assert (summary.loc["graph", "apgr"] > 0.5).all()
    assert summary.loc["graph", "apgr_se"].isna().all()


def test_curves_run_from_weak_to_strong(scores):
    curves = pair_curves(scores)
    ends = curves.groupby(["task_id", "policy", "repeat"])[["share", "pgr"]].agg(["first", "last"])
    assert len(ends) == 27
    np.testing.assert_allclose(ends.to_numpy(), np.tile([0.0, 1.0, 0.0, 1.0], (27, 1)), atol=1e-9)


def test_each_trade_off_is_what_routing_at_that_preference_gives():
    answered = make_answered(4)
    points = deferral_points(answered, 7)
    assert points.columns.tolist() == POINT_COLUMNS
    mine = points[(points["policy"] == "graph") & (points["task_id"] == ALL)]
    assert len(mine) > 5
    for row in mine.itertuples():
        # Right below the rate at which it begins, or at next to no preference.
        alpha = min(row.preference + 1e-9, 1.0)
        chosen = utility(answered.expected["graph"], alpha).argmax(axis=1)
        rows = np.arange(len(chosen))
        assert row.cost_usd == pytest.approx(answered.cost_usd[rows, chosen].mean())
        assert row.performance == pytest.approx(answered.performance[rows, chosen].mean())
    singles = points[(points["policy"] == SINGLE) & (points["task_id"] == ALL)]
    assert singles["performance"].to_numpy() == pytest.approx(answered.performance.mean(axis=0))
    assert singles["llm_id"].tolist() == answered.llm_ids


def test_the_deferral_numbers_rank_oracle_router_and_single_llms():
    points = pd.concat(
        [deferral_points(make_answered(4, seed=repeat), repeat) for repeat in range(3)], ignore_index=True
    )
    summary = deferral_summary(points).set_index(["task_id", "policy"])
    assert [task for task, _ in summary.index] == sorted([ALL, "task0", "task1"] * 3)
    for measure in ("audc", "aiq"):
        ranked = summary.loc[ALL].loc[[SINGLE, "graph", "oracle"], measure]
        assert ranked.is_monotonic_increasing
    assert (summary["aiq"] >= summary["audc"]).all()
    assert summary["qnc"].xs(SINGLE, level="policy").tolist() == [1, 1, 1]
    assert (summary["audc_std"] > 0).all()


def test_the_tables_say_what_the_numbers_are(scores):
    table = strong_weak_table(pair_summary(scores, 20))
    rows = {row[0] + "/" + row[2]: row for row in table.rows}
    assert rows[f"{ALL}/{RANDOM}"][3] == "0.500"
    assert " ± 0." in rows[f"{ALL}/graph"][3]
    assert "strong LLM is vendor/llm-1" in table.about
    assert table.marks[:3] == ["graph", "oracle", "floor"]
    assert all(len(row) == len(table.columns) for row in table.rows)
    summary = deferral_summary(deferral_points(make_answered(4), 0))
    summary.loc[summary["policy"] == "graph", "qnc"] = np.inf
    table = deferral_table(summary)
    cells = {row[2]: row for row in table.rows if row[0] == ALL}
    assert cells["graph"][-1] == "not reached"
    assert cells[SINGLE][-1] == "100\N{NO-BREAK SPACE}%"
    assert "±" not in cells["graph"][3]


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_figures_are_drawn_and_nothing_is_cut(repeats, tasks):
    worlds = [make_answered(seed=repeat, tasks=tasks) for repeat in range(repeats)]
    pairs = pd.concat([pair_scores(world, repeat) for repeat, world in enumerate(worlds)])
    points = pd.concat([deferral_points(world, repeat) for repeat, world in enumerate(worlds)])
    figure = strong_weak(pairs)
    assert len(figure.axes) == (2 if tasks == 2 else 1)
    line = next(line for line in figure.axes[0].lines if line.get_label() == "random choice")
    np.testing.assert_allclose(line.get_xdata(), line.get_ydata(), atol=1e-9)
    for drawn in (figure, deferral(points, "the data set's relative unit")):
        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
        image = np.asarray(canvas.buffer_rgba())[..., :3]
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (border == 255).all(), "something touches the edge of the figure"
    assert "relative unit" in drawn.axes[0].get_xlabel()


@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_are_shown_as_they_are():
    names = list(NASTY)
    llms, shown = names[:2], [as_read(name) for name in names]
    world = dataclasses.replace(make_answered(), llm_ids=llms)
    renames = {"task_id": {"task0": names[2], "task1": names[3]}, "policy": {"graph": names[4]}}
    said = texts_of(strong_weak(pair_scores(world, 0).replace(renames)))
    assert f"share of queries sent to {shown[1]}, the others to {shown[0]}" in said
    assert set(shown[2:5]) <= set(said)
    said = texts_of(deferral(deferral_points(world, 0).replace(renames)))
    assert {*shown[:2], shown[4]} <= set(said)


def test_the_report_has_them_and_many_benchmarks_become_one_row_per_policy(scores):
    summary = pair_summary(scores, 10)
    wide = pd.concat([summary, *(summary.assign(task_id=f"task {number}") for number in range(5))])
    table = strong_weak_table(wide)
    assert {row[0] for row in table.rows} == {"all"}
    assert len(table.rows) == summary["policy"].nunique()
