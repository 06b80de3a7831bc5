"""The studies' figures: drawn in every size, nothing cut, and what is drawn is what is in the table."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from evaluation.study_numbers import study_means
from evaluation.study_plots import STUDY_PLOTS, ablation, new_llms, new_users, thin_logs
from evaluation.style import LLM_COLOURS
from tests.data_processing.nasty_names import NASTY, as_read, texts_of
from tests.evaluation.fake_studies import make_studies


def one_point(studies):
    """Return the studies with a single place on each axis."""
    return {name: table[table["x"].isna() | (table["x"] == table["x"].max())] for name, table in studies.items()}


SIZES = {
    "usual": make_studies(),
    "one repeat": make_studies(repeats=1),
    "many LLMs": make_studies(llms=40),
    "personas": make_studies(persona=True),
    "one point": one_point(make_studies(repeats=1, llms=1)),
}


@pytest.mark.parametrize("name", STUDY_PLOTS)
@pytest.mark.parametrize("size", SIZES)
def test_every_figure_of_every_size_is_drawn_and_nothing_is_cut(size, name):
    figure = STUDY_PLOTS[name](SIZES[size][name])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3]
    assert image.std() > 0
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (border == 255).all(), "something touches the edge of the figure"
    assert ("accuracy" in figure.axes[0].get_ylabel() + figure.axes[0].get_xlabel()) == (size == "personas")


def lines(ax, label):
    """Return (x, y) of the lines or bars with that label."""
    found = [c.lines[0] for c in ax.containers if c.get_label() == label]
    found += [line for line in ax.lines if line.get_label() == label]
    return [(np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)) for line in found]


def test_thin_logs_has_a_block_per_panel_with_all_last():
    table = SIZES["usual"]["thin_logs"]
    ax = thin_logs(table).axes[0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "5", "20", "all"] * 4
    means = study_means(table)
    panels = [text.get_text() for text in ax.texts]
    assert panels == list(means["panel"].unique())
    ((x, y),) = lines(ax, "knn")  # the first block carries the name
    assert x.tolist() == [0, 1, 2, 3]
    rows = means[(means["panel"] == panels[0]) & (means["series"] == "knn")].sort_values("x")
    assert y == pytest.approx(rows["value"].to_numpy())
    assert len(ax.containers) == 16
    starts = [c.lines[0].get_xdata()[0] for c in ax.containers]
    assert starts == sorted(starts)
    assert len(set(starts)) == 4


def test_ablation_draws_differences_with_the_most_harmful_on_top():
    table = SIZES["usual"]["ablation"]
    ax = ablation(table).axes[0]
    means = study_means(table).iloc[1:].sort_values("difference", ascending=False)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == means["series"].tolist()
    points = ax.containers[0].lines[0]
    assert points.get_xdata() == pytest.approx(means["difference"].to_numpy())
    assert points.get_ydata().tolist() == [0, 1, 2, 3]
    bars = ax.containers[0].lines[2][0].get_segments()
    assert bars[0][1][0] - bars[0][0][0] == pytest.approx(2 * means["difference_std"].iloc[0])


def test_new_users_shows_the_router_trained_with_them():
    table = SIZES["usual"]["new_users"]
    ax = new_users(table).axes[0]
    ((_, trained),) = lines(ax, "graph router, trained with them")
    assert trained.tolist() == [0.5, 0.5]
    ((x, y),) = lines(ax, "graph router, without them")
    means = study_means(table)
    assert x.tolist() == [0, 1, 2, 3]
    assert y == pytest.approx(means[means["series"] == "graph"]["value"].to_numpy())


def test_new_llms_shows_each_the_mean_and_what_ignoring_costs():
    table = SIZES["usual"]["new_llms"]
    ax = new_llms(table).axes[0]
    means = study_means(table)
    by_x = 100 * means.groupby("x", dropna=False)["ratio"].mean()
    ignored = by_x[by_x.index.isna()].iloc[0]
    ((x, y),) = lines(ax, "mean of these LLMs")
    assert x.tolist() == [-1, 0, 1, 2, 3]
    assert y == pytest.approx([ignored, *by_x.dropna()[[0.0, 20.0, 50.0, 200.0]]])
    assert lines(ax, "mean of ignoring it")[0][1].tolist() == pytest.approx([ignored] * 2)
    ((_, mine),) = lines(ax, "gpt-4-1106-preview")
    rows = means[means["series"] == "openai/gpt-4-1106-preview"].sort_values("x", na_position="first")
    assert mine == pytest.approx(100 * rows["ratio"].to_numpy())
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["ignored", "0", "20", "50", "200"]


def test_the_llms_that_are_missed_most_are_named():
    figure = new_llms(SIZES["many LLMs"]["new_llms"])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == 3 + len(LLM_COLOURS) + 1
    assert labels[-1] == f"{40 - len(LLM_COLOURS)} other LLMs"
    assert "gpt-4-1106-preview" in labels


def renamed(table, column, names):
    """Return the table with other names in a column, in order of appearance."""
    return table.assign(**{column: table[column].replace(dict(zip(table[column].unique(), names, strict=False)))})


@pytest.mark.filterwarnings("ignore:Glyph")
def test_names_are_shown_as_they_are():
    tables, shown = SIZES["one repeat"], [as_read(name) for name in NASTY]
    # The first of an ablation is the full model, which is no row of the figure.
    assert set(shown[1:5]) <= set(texts_of(ablation(renamed(tables["ablation"], "series", NASTY))))
    assert set(shown) <= set(texts_of(new_llms(renamed(tables["new_llms"], "series", NASTY))))
    both = renamed(renamed(tables["thin_logs"], "series", NASTY), "panel", NASTY[::-1])
    assert {*shown[:4], *shown[2:]} <= set(texts_of(thin_logs(both)))
    said = texts_of(new_users(renamed(tables["new_users"], "series", ["graph", NASTY[0]])))
    assert f"{shown[0]}, without them" in said
