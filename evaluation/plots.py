"""The report's figures, each a function of the results. Object-oriented matplotlib only: no global state."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from data_processing.figure_text import plain, plain_values, without_glyph_warnings
from evaluation.results import FLOOR, GRAPH, LABELS, ORACLE, Results, all_decisions, chosen_epoch, mean_singles
from evaluation.strong_weak_plots import deferral, strong_weak
from evaluation.study_plots import STUDY_PLOTS
from evaluation.style import (
    GREY,
    INK,
    LLM_COLOURS,
    REST_COLOUR,
    Label,
    cost_axis,
    message_figure,
    new_figure,
    place_labels,
    policy_style,
    short_names,
    user_groups,
)
from evaluation.summary import best_rival, llm_shares, policy_means, user_table
from graph.metrics import calibration, non_decreasing_hull
from graph.query_map import draw_query_map

CROWD = 15  # with more LLMs than this, those off the hull are named only where there is room beside them
FEW = 0.005  # share of the choices below which a bin says little
MAX_GROUPS = 20  # users or bins of users in one figure


def plane(results: Results) -> Figure:
    """Draw mean performance against mean cost: every policy, every single LLM, and the LLMs' non-decreasing hull."""
    if not results.has_cost:
        return _performance_only(results)
    policies, singles = policy_means(results), mean_singles(results)
    policies, singles = policies.assign(x=policies["cost_usd"] * 1000), singles.assign(x=singles["cost_usd"] * 1000)
    figure, (ax,) = new_figure(10, 6)
    hull = singles.iloc[non_decreasing_hull(singles["x"], singles["performance"])]
    cost_axis(ax, pd.concat([policies["x"], singles["x"]]).to_numpy(), cost_unit(results))
    line = _draw_hull(ax, hull)
    ax.scatter(singles["x"], singles["performance"], s=26, color="#9a9a9a", zorder=3, label="one LLM for everything")
    for name, row in policies.sort_values("performance", ascending=False).iterrows():
        colour, marker = policy_style(str(name))
        size = 230 if name == GRAPH else 70
        style: dict[str, Any] = {"s": size, "color": colour, "marker": marker, "edgecolor": "white", "linewidth": 0.7}
        ax.scatter(row["x"], row["performance"], **style, zorder=6 if name == GRAPH else 5, label=plain(str(name)))
    ax.set_ylabel("mean performance", color=INK)
    ax.margins(x=0.1, y=0.1)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelspacing=0.7)
    points = [*zip(policies["x"], policies["performance"], strict=True)]
    points += [*zip(singles["x"], singles["performance"], strict=True)]
    place_labels(figure, ax, _plane_labels(policies, singles, list(hull["llm_id"])), points, line)
    return figure


def cost_unit(results: Results) -> str:
    """Return what costs are in, for an axis."""
    unit = "US dollars" if results.in_dollars else "the data set's relative unit"
    return f"{unit}, computed from prices and tokens" if results.cost_kind == "computed" else unit


def _draw_hull(ax: Axes, hull: pd.DataFrame) -> np.ndarray:
    """Draw the hull, dense enough to be right on a logarithmic axis, too; return its points (N, 2)."""
    if len(hull) < 2:
        return hull[["x", "performance"]].to_numpy()
    x = np.unique(np.concatenate([np.linspace(*pair, 40) for pair in zip(hull["x"][:-1], hull["x"][1:], strict=True)]))
    y = np.interp(x, hull["x"], hull["performance"])
    ax.plot(x, y, color="#9a9a9a", linewidth=1.3, linestyle="--", zorder=2, label="best mix of single LLMs")
    return np.column_stack([x, y])


def _plane_labels(policies: pd.DataFrame, singles: pd.DataFrame, on_hull: list[str]) -> list[Label]:
    """Return the labels, most important first: the router and its bounds, then LLMs on the hull, then the others."""
    labels = []
    for name in (GRAPH, ORACLE):
        if name in policies.index:
            x, y = float(policies["x"][name]), float(policies["performance"][name])
            labels.append(Label(x, y, name, policy_style(name)[0], "bold"))
    names = plain_values(short_names(list(singles["llm_id"])))
    rows = sorted(singles.to_dict("records"), key=lambda llm: llm["llm_id"] not in on_hull)
    for row in rows:
        crowded = len(rows) > CROWD and row["llm_id"] not in on_hull
        labels.append(Label(row["x"], row["performance"], names[row["llm_id"]], reach=13 if crowded else 64))
    return labels


def _performance_only(results: Results) -> Figure:
    """Draw performance alone, one line per policy and LLM, for data without costs."""
    policies, singles = policy_means(results), mean_singles(results).head(MAX_GROUPS)
    names = plain_values(short_names(list(singles["llm_id"])))
    rows = [(plain(str(name)), row["performance"], *policy_style(str(name))) for name, row in policies.iterrows()]
    rows += [(names[row["llm_id"]], row["performance"], "#9a9a9a", "o") for row in singles.to_dict("records")]
    rows.sort(key=lambda row: row[1])
    figure, (ax,) = new_figure(8, 1.2 + 0.26 * len(rows))
    for height, (_, value, colour, marker) in enumerate(rows):
        ax.scatter(value, height, color=colour, marker=marker, s=60, zorder=3)
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    ax.set_xlabel("mean performance (this data set has no costs)", color=INK)
    return figure


def reward_per_user(results: Results) -> Figure:
    """Draw reward (accuracy for personas) of the router, its bounds and its best rivals over the users."""
    measure = "reward" if all_decisions(results)["reward"].notna().any() else "accuracy"
    table = user_table(results).pivot(index="user_id", columns="policy", values=measure)
    groups = user_groups(results.users[results.users["user_id"].isin(table.index)], MAX_GROUPS)
    wanted = [ORACLE, GRAPH, best_rival(results), FLOOR, "best_single"]
    shown = [name for name in wanted if name is not None and name in table.columns]
    means = pd.DataFrame([table.loc[list(group.user_ids), shown].mean() for group in groups])
    reference = FLOOR if FLOOR in shown and len(shown) > 1 else None
    figure, axes = new_figure(9, 6.6 if reference else 4.4, 2 if reference else 1)
    by_preference = len({group.preference for group in groups}) > 1 and not any(
        math.isnan(g.preference) for g in groups
    )
    x = np.array([group.preference for group in groups]) if by_preference else np.arange(len(groups), dtype=float)
    means = means.groupby(x).mean()  # users of the same preference are one point
    _draw_lines(axes[0], means, shown, by_preference)
    axes[0].set_ylabel(f"mean {measure}", color=INK)
    if reference:
        gain = means.sub(means[reference], axis=0)
        _draw_lines(axes[1], gain, [name for name in shown if name != "best_single"], by_preference)
        axes[1].set_ylabel(f"gain over the\n{LABELS[reference]}", color=INK)
    if by_preference:
        axes[-1].set_xlabel("the user's preference α (0: cost alone counts, 1: performance alone counts)", color=INK)
    else:
        slant: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if len(groups) > 3 else {}
        axes[-1].set_xticks(x, [plain(group.label) for group in groups], **slant)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure


def _draw_lines(ax: Axes, means: pd.DataFrame, names: list[str], joined: bool) -> None:
    for name in names:
        colour, marker = policy_style(name)
        width = (2.4 if name == GRAPH else 1.4) if joined else 0
        size = 11 if name == GRAPH else 6
        zorder = 5 if name == GRAPH else 3
        style: dict[str, Any] = {
            "color": colour,
            "marker": marker,
            "linewidth": width,
            "markersize": size,
            "zorder": zorder,
        }
        ax.plot(means.index, means[name], label=plain(LABELS.get(name, name)), markeredgecolor="white", **style)


def llm_choice(results: Results) -> Figure:
    """Draw which LLMs the router gives to each user, as stacked bars, cheap LLMs left; rare ones are one bar."""
    shares = llm_shares(results)
    if shares.empty:
        return message_figure("The graph router was not run, so there are no choices to show.")
    groups = user_groups(results.users[results.users["user_id"].isin(shares.index)], MAX_GROUPS)
    bars = pd.DataFrame([shares.loc[list(group.user_ids)].mean() for group in groups])
    top = list(bars.mean().sort_values(ascending=False, kind="stable").index[: len(LLM_COLOURS)])
    prices = mean_singles(results).set_index("llm_id")["cost_usd"]
    top.sort(key=lambda llm: float(prices.get(llm, math.inf)))  # cheap ones left, dear ones right
    bars = bars[top].assign(other=1 - bars[top].sum(axis=1))
    names = plain_values(short_names(top)) | {"other": f"{shares.shape[1] - len(top)} other LLMs"}
    figure, (ax,) = new_figure(10, 1.5 + 0.36 * len(groups) + 0.1 * max(0, len(top) - 2 * len(groups)))
    left = np.zeros(len(bars))
    for llm, colour in zip([*top, "other"], [*LLM_COLOURS[: len(top)], REST_COLOUR], strict=True):
        if llm == "other" and shares.shape[1] == len(top):
            continue
        share = bars[llm].to_numpy()
        drawn = ax.barh(range(len(bars)), share, left=left, color=colour, edgecolor="white", label=names[llm])
        ink = "white" if sum(int(colour[i : i + 2], 16) for i in (1, 3, 5)) < 380 else INK
        text = [f"{100 * value:.0f}" if value >= 0.06 else "" for value in share]
        ax.bar_label(drawn, text, label_type="center", fontsize=8, color=ink)
        left = left + share
    ax.set_yticks(range(len(groups)), [plain(group.label) for group in groups])
    ax.set_ylim(len(groups) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    ax.set_xlabel("share of the user's test queries", color=INK)
    ax.grid(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def training(results: Results) -> Figure:
    """Draw the router's losses and validation reward over epochs, the kept epoch marked; one line per repeat."""
    repeats = [repeat for repeat in results.repeats if len(repeat.history)]
    if not repeats:
        return message_figure("There is no training history: the graph router was not trained in this run.")
    figure, axes = new_figure(9, 6, 2)
    alpha = 1.0 if len(repeats) == 1 else 0.55
    for number, repeat in enumerate(repeats):
        kept, history = chosen_epoch(repeat), repeat.history
        lines = (("train_loss", 0, "#0072B2"), ("validation_loss", 0, "#E69F00"), ("validation_reward", 1, "#009E73"))
        for column, place, colour in lines:
            label = column.replace("_", " ") if number == 0 else None
            axes[place].plot(history["epoch"], history[column], color=colour, alpha=alpha, linewidth=1.4, label=label)
            at = history[history["epoch"] == kept]
            if column != "train_loss" and len(at):
                label = "epoch kept" if number == 0 and place == 1 else None
                axes[place].plot(at["epoch"], at[column], "o", color=INK, markersize=5, zorder=5, label=label)
    axes[0].set_ylabel("loss", color=INK)
    axes[1].set_ylabel("validation reward", color=INK)
    axes[1].set_xlabel("epoch", color=INK)
    axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in axes:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    return figure


def reliability(results: Results) -> Figure:
    """Draw observed against expected performance of the router's choices, in ten bins, with counts."""
    mine = _choices_of_graph(results)
    label = "expected performance of the chosen LLM"
    return _reliability(mine["expected_performance"], mine["performance"], label, "observed performance")


def confidence(results: Results) -> Figure:
    """Draw how often the router's choice was the best against how likely it held that to be."""
    mine = _choices_of_graph(results)
    label = "how likely the router held its choice to be the best"
    return _reliability(mine["confidence"], mine["best"], label, "how often it was")


def _choices_of_graph(results: Results) -> pd.DataFrame:
    decisions = all_decisions(results)
    return decisions[decisions["policy"] == GRAPH]


def _reliability(expected: pd.Series, observed: pd.Series, said: str, came: str) -> Figure:
    bins = calibration(expected, observed)
    if not len(bins.count):
        return message_figure("The graph router was not run or predicts nothing here: nothing to compare.")
    figure, (ax, counts) = new_figure(6.6, 6, 2, ratios=(4, 1))
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.1, label="expected = observed")
    colour = policy_style(GRAPH)[0]
    name = f"graph router (calibration error {bins.error:.3f})"
    few = bins.count < FEW * bins.count.sum()  # by chance they lie anywhere, so no line is drawn to them
    ax.plot(
        bins.expected[~few], bins.observed[~few], "o-", color=colour, markersize=8, markeredgecolor="white", label=name
    )
    if few.any():
        style: dict[str, Any] = {"color": GREY, "markersize": 4, "linestyle": "", "marker": "o"}
        ax.plot(bins.expected[few], bins.observed[few], **style, label=f"under {FEW:.1%} of the choices")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.03, 1.03))
    ax.set_ylabel(came, color=INK)
    counts.bar(bins.expected, bins.count, width=0.05, color=colour, alpha=0.6)
    counts.set_ylabel("choices", color=INK)
    counts.set_xlabel(said, color=INK)
    figure.align_ylabels()
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return figure


PLOTS: dict[str, Callable[[Results], Figure]] = {
    "plane": plane,
    "reward_per_user": reward_per_user,
    "llm_choice": llm_choice,
    "training": training,
    "reliability": reliability,
    "confidence": confidence,
}


def save_plots(results: Results, folder: Path, dpi: int) -> dict[str, Path]:
    """Write `<name>.png` into `folder` for each of `PLOTS`, study, trade-off and map there is; return name -> path."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    with without_glyph_warnings():
        for name, figure in _figures(results).items():
            paths[name] = folder / f"{name}.png"
            figure.savefig(paths[name], dpi=dpi, facecolor="white")
    return paths


def _figures(results: Results) -> dict[str, Figure]:
    figures = {name: draw(results) for name, draw in PLOTS.items()}
    figures |= {name: draw(results.studies[name]) for name, draw in STUDY_PLOTS.items() if name in results.studies}
    if len(results.pair):
        figures["strong_weak"] = strong_weak(results.pair)
    if len(results.deferral):
        figures["deferral"] = deferral(results.deferral, cost_unit(results))
    if results.query_map is not None:
        figures["query_map"] = draw_query_map(results.query_map)
    return figures
