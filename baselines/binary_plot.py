"""The figure of a classifier: whether its probabilities keep their word, and how it parts the two labels."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from baselines.classifier import BINS, reliability

INK, GREY = "#222222", "#6f6f6f"
COLOURS = {"weak suffices": "#0072B2", "strong needed": "#D55E00"}  # of Okabe and Ito's palette
Z95 = 1.959964


def draw(probability: np.ndarray, label: np.ndarray) -> Figure:
    """Return the figure of probabilities (N,) and labels (N,) of 0 and 1: reliability above, histograms below."""
    figure = Figure(figsize=(7, 7), layout="constrained", facecolor="white")
    top, bottom = figure.subplots(2, 1, height_ratios=[2.2, 1], sharex=True)
    for ax in (top, bottom):
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(True, color="#ececec", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.tick_params(labelsize=9, colors=INK)
    mean, share, count = reliability(probability, label, min(BINS, max(1, len(label) // 10)))
    low, high = wilson(share, count)
    top.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="as promised")
    top.vlines(mean, low, high, color=INK, linewidth=1.5, alpha=0.5)
    top.plot(mean, share, color=INK, marker="o", markersize=5, linewidth=1, label="observed, 95 % interval")
    top.set_ylabel("strong one was needed", color=INK)
    top.set_ylim(-0.03, 1.03)
    top.yaxis.set_major_formatter(PercentFormatter(1.0))
    top.legend(loc="upper left", frameon=False, fontsize=9)
    edges = np.linspace(0, 1, 41)
    for value, (name, colour) in enumerate(COLOURS.items()):
        own = probability[np.asarray(label) == value]
        bottom.hist(own, edges, color=colour, histtype="step", linewidth=1.6, label=f"{name} ({len(own):,})")
    bottom.set_ylabel("prompts", color=INK)
    bottom.set_xlabel("probability that the strong one is needed", color=INK)
    bottom.set_xlim(-0.02, 1.02)
    bottom.xaxis.set_major_formatter(PercentFormatter(1.0))
    bottom.legend(loc="upper right", frameon=False, fontsize=9)
    return figure


def wilson(share: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (low, high) of Wilson's 95 % interval of shares of `count` rows each."""
    z2 = Z95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return middle - half, middle + half
