"""The figures of the studies, each a function of the study's long table. The look is that of evaluation/style.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from data_processing.figure_text import plain, plain_values
from evaluation.results import GRAPH, LABELS
from evaluation.study_numbers import by_reward, study_means, tick_text, ticks
from evaluation.style import GREY, INK, LLM_COLOURS, REST_COLOUR, new_figure, policy_style, short_names

BLOCK_GAP = 0.8  # between two blocks of ticks, in ticks


def _measure(table: pd.DataFrame) -> str:
    return "reward" if by_reward(table) else "accuracy"


def _line(ax: Axes, series: str, x: np.ndarray, rows: pd.DataFrame, label: str | None) -> None:
    """Draw one policy's means, with bars where there are repeats."""
    colour, marker = policy_style(series)
    mine = series == GRAPH
    error = rows["value_std"].to_numpy() if rows["value_std"].notna().any() else None
    ax.errorbar(
        x,
        rows["value"].to_numpy(),
        yerr=error,
        color=colour,
        marker=marker,
        linewidth=2.2 if mine else 1.3,
        markersize=11 if mine else 6,
        markeredgecolor="white",
        elinewidth=0.9,
        zorder=5 if mine else 3,
        label=label,
    )


def thin_logs(table: pd.DataFrame) -> Figure:
    """Draw a block of lines over interactions per user for each number of LLMs per query, on one axis of values."""
    means = study_means(table)
    places, panels = ticks(means["x"]), list(means["panel"].unique())
    figure, (ax,) = new_figure(10, 4.6)
    step = len(places) - 1 + BLOCK_GAP + (0.6 if len(places) == 1 else 0)
    for block, panel in enumerate(panels):
        start = block * step
        for series in means["series"].unique():
            rows = means[(means["panel"] == panel) & (means["series"] == series)].sort_values("x")
            x = start + np.array([places.index(value) for value in rows["x"]], dtype=float)
            _line(ax, series, x, rows, plain(LABELS.get(series, series)) if block == 0 else None)
        centre = start + (len(places) - 1) / 2
        ax.text(
            centre,
            1.02,
            plain(panel),
            transform=ax.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=9,
            color=INK,
        )
        if block:
            ax.axvline(start - BLOCK_GAP / 2 - (0.3 if len(places) == 1 else 0), color="#d0d0d0", linewidth=1)
    at = [block * step + place for block in range(len(panels)) for place in range(len(places))]
    ax.set_xticks(at, [tick_text(value) for value in places] * len(panels))
    ax.grid(False, axis="x")
    ax.set_xlabel("train queries with feedback, per user", color=INK)
    ax.set_ylabel(f"mean {_measure(table)}", color=INK)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def ablation(table: pd.DataFrame) -> Figure:
    """Draw each variant's difference to the full model as a dot, the most harmful change on top."""
    means = study_means(table).iloc[1:]  # the first is the full model
    means = means.sort_values("difference", ascending=False, kind="stable")
    figure, (ax,) = new_figure(8.5, 1.3 + 0.34 * max(len(means), 1))
    heights = np.arange(len(means))
    error = means["difference_std"].to_numpy() if means["difference_std"].notna().any() else None
    style: dict[str, Any] = {"markersize": 8, "markeredgecolor": "white", "elinewidth": 1.2}
    ax.axvline(0, color=GREY, linestyle="--", linewidth=1.1, zorder=1)
    ax.errorbar(
        means["difference"].to_numpy(), heights, xerr=error, fmt="o", color=policy_style(GRAPH)[0], zorder=3, **style
    )
    ax.set_yticks(heights, [plain(name) for name in means["series"]])
    ax.set_ylim(-0.6, len(means) - 0.4)
    ax.margins(x=0.1)
    ax.set_xlabel(f"mean {_measure(table)}, minus that of the full model", color=INK)
    return figure


def new_users(table: pd.DataFrame) -> Figure:
    """Draw what new users get over the number of their interactions; dashed, the router trained with them."""
    means = study_means(table)
    places = ticks(means["x"])
    figure, (ax,) = new_figure(8, 4.4)
    for series in means["series"].unique():
        rows = means[means["series"] == series].sort_values("x")
        x = np.array([places.index(value) for value in rows["x"]], dtype=float)
        _line(ax, series, x, rows, f"{plain(LABELS.get(series, series))}, without them")
    trained = float(means["reference"].iloc[0])
    ax.axhline(trained, color=policy_style(GRAPH)[0], linestyle="--", linewidth=1.4, zorder=2,
               label=f"{LABELS[GRAPH]}, trained with them")  # fmt: skip
    ax.set_xticks(range(len(places)), [tick_text(value) for value in places])
    ax.margins(x=0.06, y=0.1)
    ax.set_xlabel("interactions of each new user that are known", color=INK)
    ax.set_ylabel(f"mean {_measure(table)} of the new users", color=INK)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure


def new_llms(table: pd.DataFrame) -> Figure:
    """Draw the share of the trained router's value over the outcomes known of a new LLM: one thin line per LLM."""
    shares = 100 * study_means(table).pivot(index="series", columns="x", values="ratio")
    places = ticks(pd.Series(shares.columns, dtype=float))
    # NaN names the column of the router that ignores the LLM; that one is leftmost.
    ignored = shares.loc[:, shares.columns.isna()]
    shares = pd.concat([ignored, shares[places]], axis=1).set_axis(range(-1, len(places)), axis=1)
    order = shares[-1].sort_values(kind="stable").index  # those that are missed most come first
    names = plain_values(short_names(list(order)))
    figure, (ax,) = new_figure(9.5, 4.8)
    ax.axhline(100, color=GREY, linestyle="--", linewidth=1.1, zorder=1, label="trained with it")
    colour, marker = policy_style(GRAPH)
    thick: dict[str, Any] = {"linewidth": 2.6, "markersize": 12, "markeredgecolor": "white", "zorder": 6}
    ax.plot(shares.columns, shares.mean(), color=colour, marker=marker, label="mean of these LLMs", **thick)
    ax.axhline(shares[-1].mean(), color=INK, linestyle=":", linewidth=1.2, zorder=2, label="mean of ignoring it")
    for place, llm in enumerate(order):
        named = place < len(LLM_COLOURS)
        colour = LLM_COLOURS[place] if named else REST_COLOUR
        rest = f"{len(order) - place} other LLMs" if place == len(LLM_COLOURS) else None
        label = names[llm] if named else rest
        ax.plot(shares.columns, shares.loc[llm], color=colour, marker="o", markersize=4, linewidth=1, label=label,
                zorder=4 if named else 3)  # fmt: skip
    ax.set_xticks([-1, *range(len(places))], ["ignored", *(tick_text(value) for value in places)])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
    ax.margins(x=0.05, y=0.08)
    ax.set_xlabel("train queries whose outcome of the new LLM is known", color=INK)
    ax.set_ylabel(f"share of the {_measure(table)}\nwhen trained with it", color=INK)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


STUDY_PLOTS: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "thin_logs": thin_logs,
    "ablation": ablation,
    "new_users": new_users,
    "new_llms": new_llms,
}
