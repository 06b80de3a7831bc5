"""The figure of pairwise judgements: how strong the models are, and on which questions the weaker ones keep up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from data_processing.figure_text import plain
from data_processing.labelling.difficulty import Difficulty
from data_processing.labelling.labels import INFERIOR, SUPERIOR

INK, GREY = "#222222", "#6f6f6f"
COLOURS = {INFERIOR: "#0072B2", SUPERIOR: "#D55E00"}  # of Okabe and Ito's palette, safe for colour-blind readers
MARKERS = {INFERIOR: "o", SUPERIOR: "s"}
MANY = 150  # questions above which intervals are drawn as a band
LONGEST_NAME = 28  # characters


def draw(strengths: pd.DataFrame, difficulty: Difficulty) -> Figure:
    """Return the figure: strengths with intervals above, questions from easy to hard with theirs below."""
    height = 1.1 + 0.28 * len(strengths)
    figure = Figure(figsize=(9, height + 4.6), layout="constrained", facecolor="white")
    models, questions = figure.subplots(2, 1, height_ratios=[height, 4.6])
    for ax in (models, questions):
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(True, color="#ececec", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.tick_params(labelsize=9, colors=INK)
    _draw_models(models, strengths)
    _draw_questions(questions, difficulty)
    return figure


def _draw_models(ax: Axes, strengths: pd.DataFrame) -> None:
    rows = strengths.iloc[::-1].reset_index(drop=True)
    for side, label in (("superior", SUPERIOR), ("inferior", INFERIOR)):
        own = rows[rows["side"] == side]
        ax.hlines(own.index, own["low"], own["high"], color=COLOURS[label], linewidth=2, alpha=0.5)
        ax.scatter(own["strength"], own.index, color=COLOURS[label], marker=MARKERS[label], zorder=3, label=side)
    ax.set_yticks(rows.index, [plain(_short(name)) for name in rows["model"]])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set_xlabel("strength (log odds against the mean model, 95 % interval)", color=INK)
    ax.legend(loc="upper left", frameon=False, fontsize=9)


def _draw_questions(ax: Axes, difficulty: Difficulty) -> None:
    table = difficulty.questions
    thin = len(table) > MANY
    for label in (INFERIOR, SUPERIOR):
        own = table[table["label"] == label]
        places = own.index + 1
        if thin:
            ax.fill_between(places, own["low"], own["high"], color=COLOURS[label], linewidth=0, alpha=0.25)
        else:
            ax.vlines(places, own["low"], own["high"], color=COLOURS[label], linewidth=1.5, alpha=0.35)
        size = 4 if thin else 14
        style: dict[str, Any] = {"color": COLOURS[label], "marker": MARKERS[label], "s": size, "zorder": 3}
        ax.scatter(places, own["shrunk_share"], **style, label=f"{label} ({len(own):,})")
    ax.scatter(
        table.index + 1, table["share"], color=GREY, marker="_", s=8 if thin else 22, zorder=2, label="as counted"
    )
    ax.axhline(
        difficulty.threshold, color=INK, linewidth=1, linestyle="--", label=f"threshold {difficulty.threshold:.2f}"
    )
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlim(1 - 0.01 * len(table) - 0.5, len(table) * 1.01 + 0.5)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel("question, easiest first", color=INK)
    ax.set_ylabel("inferior side wins or ties\n(shrunk, 95 % interval)", color=INK)
    handles, labels = ax.get_legend_handles_labels()
    order = np.argsort([label == "as counted" for label in labels], kind="stable")
    ax.legend([handles[i] for i in order], [labels[i] for i in order], loc="best", frameon=False, fontsize=9)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
