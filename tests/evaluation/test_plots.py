import dataclasses
import subprocess
import sys
import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from data_processing.figure_text import without_glyph_warnings
from evaluation.deferral import deferral_points
from evaluation.plots import PLOTS, llm_choice, plane, reliability, reward_per_user, save_plots, training
from evaluation.strong_weak import pair_scores
from evaluation.style import policy_style
from evaluation.summary import llm_shares
from graph.query_map import query_map
from tests.data_processing.nasty_names import NASTY, as_read, texts_of
from tests.evaluation.fake_results import make_results
from tests.evaluation.fake_studies import make_studies
from tests.evaluation.test_strong_weak import make_answered

SIZES = {
    "usual": {"users": 3, "llms": 6, "queries": 12},
    "many": {"users": 120, "llms": 40, "queries": 6, "repeats": 1, "policies": ("graph", "oracle", "random")},
    "one user": {"users": 1, "llms": 2, "queries": 6, "repeats": 1, "policies": ("graph",)},
    "no graph": {"users": 2, "llms": 3, "queries": 6, "policies": ("random", "knn")},
    "personas": {"users": 3, "llms": 3, "queries": 6, "kind": "persona", "cost_kind": "none"},
    "relative": {"users": 2, "llms": 3, "queries": 6, "cost_kind": "relative"},
}


@pytest.mark.parametrize("size", SIZES)
def test_every_plot_of_every_size_is_drawn_and_nothing_is_cut(size):
    results = make_results(**SIZES[size])
    for name, draw in PLOTS.items():
        figure = draw(results)
        assert isinstance(figure, Figure), name
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        image = np.asarray(canvas.buffer_rgba())[..., :3]
        assert image.std() > 0, name
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (border == 255).all(), f"{name}: something touches the edge of the figure"


def test_the_plane_shows_every_policy_and_llm_where_it_is():
    results = make_results(users=3, llms=6, queries=12, repeats=1)
    figure = plane(results)
    ax = figure.axes[0]
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert set(results.repeats[0].decisions["policy"]) <= labels
    drawn = {c.get_label(): c.get_offsets()[0] for c in ax.collections}
    mine = results.repeats[0].decisions.query("policy == 'graph'")
    assert list(drawn["graph"]) == pytest.approx([1000 * mine["cost_usd"].mean(), mine["performance"].mean()])
    assert ax.get_xscale() == "log"
    assert "US dollars" in ax.get_xlabel()
    assert "relative" in plane(make_results(users=2, queries=5, cost_kind="relative")).axes[0].get_xlabel()


def test_colours_are_the_same_in_every_plot():
    results = make_results(users=3, llms=4, queries=10)
    wanted = policy_style("graph")[0]
    dots = {c.get_label(): to_hex(c.get_facecolor()[0]) for c in plane(results).axes[0].collections}
    lines = {line.get_label(): to_hex(line.get_color()) for line in reward_per_user(results).axes[0].lines}
    assert dots["graph"].lower() == lines["graph router"].lower() == wanted.lower()


def test_user_lines_hold_the_means():
    results = make_results(users=3, llms=4, queries=10, repeats=1)
    line = next(li for li in reward_per_user(results).axes[0].lines if li.get_label() == "graph router")
    mine = results.repeats[0].decisions.query("policy == 'graph'").groupby("user_id")["reward"].mean()
    assert list(line.get_ydata()) == pytest.approx(list(mine))
    assert list(line.get_xdata()) == pytest.approx([0.2, 0.6, 1.0])


def test_many_users_are_drawn_in_bins():
    results = make_results(users=120, llms=40, queries=30, repeats=1, policies=("graph", "oracle"))
    assert len(reward_per_user(results).axes[0].lines[0].get_xdata()) == 20
    figure = llm_choice(results)
    assert figure.axes[0].get_yticklabels()[0].get_text().endswith("6 users")
    assert "other LLMs" in figure.legends[0].get_texts()[-1].get_text()


def test_bars_fill_one_and_start_with_the_cheapest():
    results = make_results(users=3, llms=5, queries=20, repeats=1)
    ax = llm_choice(results).axes[0]
    widths = np.array([[bar.get_width() for bar in container] for container in ax.containers])
    assert widths.sum(axis=0) == pytest.approx(np.ones(3))
    prices = results.repeats[0].singles.set_index("llm_id")["cost_usd"]
    cheapest = prices[llm_shares(results).columns].idxmin()
    assert widths[0] == pytest.approx(llm_shares(results)[cheapest].to_numpy())


def test_the_kept_epoch_is_marked():
    results = make_results(users=1, queries=5, repeats=1)
    history = results.repeats[0].history
    marks = [line for line in training(results).axes[1].lines if line.get_label() == "epoch kept"]
    assert list(marks[0].get_xdata()) == [history.loc[history["validation_reward"].idxmax(), "epoch"]]


def test_reliability_counts_every_choice():
    results = make_results(users=3, queries=20, repeats=2)
    bars = reliability(results).axes[1].patches
    assert sum(bar.get_height() for bar in bars) == 3 * 20 * 2


def test_files_are_saved_at_the_asked_resolution(tmp_path):
    results = make_results(users=2, llms=3, queries=6)
    paths = save_plots(results, tmp_path / "plots", dpi=60)
    assert list(paths) == list(PLOTS)
    with Image.open(paths["plane"]) as small:
        assert small.size == (600, 360)


def test_no_global_state_of_pyplot():
    code = "import sys, evaluation.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def nasty_results(users: int = 6, llms: int = 6, **sizes):
    """Return results whose LLMs, users, and first policies besides the router have nasty names."""
    made = make_results(users=users, llms=llms, queries=12, repeats=1, **sizes)
    llm_ids = dict(zip(made.llms["llm_id"], NASTY, strict=False))
    user_ids = dict(zip(made.users["user_id"], NASTY, strict=False))
    names = {"llm_id": llm_ids, "user_id": user_ids, "policy": dict(zip(("knn", "mlp", "elo"), NASTY, strict=False))}
    (repeat,) = made.repeats
    parts = ("decisions", "singles", "timings")
    repeat = dataclasses.replace(repeat, **{part: getattr(repeat, part).replace(names) for part in parts})
    return dataclasses.replace(made, users=made.users.replace(names), llms=made.llms.replace(names), repeats=[repeat])


def said_by(draw, results):
    with without_glyph_warnings():
        return texts_of(draw(results))


def test_names_are_shown_as_they_are():
    results, shown = nasty_results(), [as_read(name) for name in NASTY]
    choices = said_by(llm_choice, results)
    assert set(shown) <= set(choices), "LLMs"
    assert {
        f"{name} (α {preference:.2f})" for name, preference in zip(shown, np.linspace(0.2, 1, 6), strict=True)
    } <= set(choices)
    assert set(shown[:3]) <= set(said_by(plane, results)), "policies"
    rivals = nasty_results(policies=("graph", "oracle", "random", "knn"))
    assert shown[0] in said_by(reward_per_user, rivals), "the best rival"
    assert set(shown) <= set(said_by(plane, nasty_results(cost_kind="none"))), "LLMs and policies without costs"
    personas = said_by(reward_per_user, nasty_results(kind="persona", cost_kind="none"))
    assert set(shown) <= set(personas), "users"


@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_logarithmic_axis_keeps_its_labels_beside_nasty_names():
    results = nasty_results()
    assert plane(results).axes[0].get_xscale() == "log"
    assert {"0.1", "1", "10"} <= set(said_by(plane, results))


def test_every_file_is_saved_whatever_the_names_and_without_a_warning(tmp_path):
    results = nasty_results(users=2, llms=3)
    (repeat,) = results.repeats
    world = dataclasses.replace(make_answered(llms=2, tasks=2), llm_ids=list(NASTY[:2]))
    pair = pair_scores(world, 0).replace({"task_id": {"task0": NASTY[0], "task1": NASTY[1]}})
    repeat = dataclasses.replace(repeat, pair=pair, deferral=deferral_points(world, 0))
    studies = {
        name: table.assign(series=table["series"].replace(dict(zip(table["series"].unique()[1:], NASTY, strict=False))))
        for name, table in make_studies(repeats=1, llms=3).items()
    }
    places = query_map(list("abcdef"), NASTY, range(6), np.eye(6))
    results = dataclasses.replace(results, repeats=[repeat], studies=studies, query_map=places)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = save_plots(results, tmp_path, dpi=40)
    assert set(paths) == {*PLOTS, *studies, "strong_weak", "deferral", "query_map"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths.values())
