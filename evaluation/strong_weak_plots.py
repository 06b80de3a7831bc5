"""The figures of trade-offs: strong calls against the gap recovered for two LLMs, budget against performance for more.

The look is that of evaluation/style.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from data_processing.figure_text import plain, plain_values
from evaluation.deferral import SINGLE
from evaluation.expected import ALL
from evaluation.results import GRAPH, LABELS, ORACLE
from evaluation.strong_weak import RANDOM, pair_curves
from evaluation.style import (
    GREY,
    INK,
    Label,
    cost_axis,
    message_figure,
    new_figure,
    place_labels,
    policy_style,
    short_names,
)
from graph.deferral import Points, convex_hull, performance_within

MAX_PANELS = 3  # with more benchmarks than this, only all of them together are drawn
SHARES = np.linspace(0, 1, 201)
BUDGETS = 400  # places on the axis of costs at which curves are drawn
TOP = 1.25  # of the axis of PGR, unless a router goes higher; the oracle may leave it
# Some policies share a hue, which markers tell apart in other figures.
DASHES = {ORACLE: (0, (4, 2)), RANDOM: (0, (1, 1.5)), "mlp": (0, (6, 1.5)), "binary": (0, (6, 1.5))}
NOTHING = "No two LLMs answered the same test queries, so there is no trade-off to show."


def strong_weak(scores: pd.DataFrame) -> Figure:
    """Draw the performance gap recovered over the share of strong calls, from `pair_scores` of all repeats.

    One panel per benchmark; lines are means over repeats, the band is the router's standard deviation over them.
    """
    curves = pair_curves(scores)
    if curves["pgr"].isna().all():
        return message_figure("There are not two LLMs of which one is better, so there is no gap to recover.")
    panels = _panels(list(curves["task_id"].unique()))
    figure, axes = new_figure(8.5, 1.2 + 3.6 * len(panels), len(panels))
    for ax, task in zip(axes, panels, strict=True):
        part = curves[curves["task_id"] == task]
        _draw_gap_recovered(ax, part)
        ax.set_ylabel(f"{'all test queries' if task == ALL else plain(task)}\nperformance gap recovered", color=INK)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    axes[-1].set_xlim(0, 1)
    names = short_names([str(scores["strong_llm"].iloc[0]), str(scores["weak_llm"].iloc[0])])
    strong, weak = plain_values(names).values()
    axes[-1].set_xlabel(f"share of queries sent to {strong}, the others to {weak}", color=INK)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def _panels(tasks: list[str]) -> list[str]:
    """Return which benchmarks are drawn: each of them where they are few, else all in one."""
    parts = [task for task in tasks if task != ALL]
    return parts if 1 < len(parts) <= MAX_PANELS else [ALL]


def _draw_gap_recovered(ax: Axes, part: pd.DataFrame) -> None:
    top = TOP
    for policy, own in part.groupby("policy", sort=False):
        lines = np.array([np.interp(SHARES, line["share"], line["pgr"]) for _, line in own.groupby("repeat")])
        lines = lines[np.isfinite(lines).all(axis=1)]
        if not len(lines):
            continue
        mean, spread = lines.mean(axis=0), lines.std(axis=0, ddof=1) if len(lines) > 1 else None
        _line(ax, str(policy), SHARES, mean)
        if policy != ORACLE:
            top = max(top, float(mean.max()) + 0.05)
        if policy == GRAPH and spread is not None:
            style: dict[str, Any] = {"color": policy_style(GRAPH)[0], "alpha": 0.13, "linewidth": 0}
            ax.fill_between(SHARES, mean - spread, mean + spread, zorder=1, label="its spread over repeats", **style)
    ax.axhline(1, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    ax.set_ylim(min(-0.05, ax.get_ylim()[0]), top)


def _line(ax: Axes, policy: str, x: np.ndarray, y: np.ndarray) -> None:
    dashes = DASHES.get(policy, "-")
    mine = policy == GRAPH
    colour = policy_style(policy)[0]
    width, zorder = (2.6, 5) if mine else (1.4, 4 if policy == RANDOM else 3)
    ax.plot(
        x, y, color=colour, linestyle=dashes, linewidth=width, zorder=zorder, label=plain(LABELS.get(policy, policy))
    )


def deferral(points: pd.DataFrame, unit: str = "US dollars") -> Figure:
    """Draw what each policy performs within a budget, and the single LLMs, from `deferral_points` of all repeats.

    All test queries together. Curves are means over repeats; one begins where its cheapest trade-off does. The dashed
    line is a coin tossed between single LLMs. `unit` is that of `cost_usd`.
    """
    points = points[points["task_id"] == ALL].assign(x=lambda table: 1000 * table["cost_usd"])
    if points.empty:
        return message_figure(NOTHING)
    alone = points["policy"] == SINGLE
    singles = points[alone].groupby("llm_id")[["x", "performance"]].mean().reset_index()
    figure, (ax,) = new_figure(10, 6)
    far, (low, high) = cost_axis(ax, points["x"].to_numpy(), unit), (points["x"].min(), points["x"].max())
    budgets = np.geomspace(low, high, BUDGETS) if far else np.linspace(low, high, BUDGETS)
    taken = []
    for policy, own in points[~alone].groupby("policy", sort=False):
        repeats = [Points.of(line["x"], line["performance"]) for _, line in own.groupby("repeat")]
        heights = np.array([performance_within(each, budgets) for each in repeats])
        height = np.where(heights.min(axis=0) > 0, heights.mean(axis=0), np.nan)
        _line(ax, str(policy), budgets, height)
        taken += [(x, y) for x, y in zip(budgets[::4], height[::4], strict=True) if np.isfinite(y)]
    hull = convex_hull(Points.of(singles["x"], singles["performance"]))
    mixed = np.interp(budgets, hull.cost, hull.performance)
    inside = budgets >= singles["x"].min()
    line = np.column_stack([budgets[inside], mixed[inside]])
    ax.plot(
        line[:, 0],
        line[:, 1],
        color="#9a9a9a",
        linewidth=1.3,
        linestyle="--",
        zorder=2,
        label="best mix of single LLMs",
    )
    ax.scatter(singles["x"], singles["performance"], s=30, color="#9a9a9a", zorder=4, label="one LLM for everything")
    ax.set_ylabel("mean performance", color=INK)
    ax.margins(y=0.08)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelspacing=0.7)
    names = plain_values(short_names(list(singles["llm_id"])))
    rows = singles.to_dict("records")
    labels = [Label(row["x"], row["performance"], names[row["llm_id"]], reach=38) for row in rows]
    taken += [(row["x"], row["performance"]) for row in rows]
    place_labels(figure, ax, labels, taken, line)
    return figure
