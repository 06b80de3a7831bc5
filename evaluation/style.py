"""How the figures look: one colour and marker per policy everywhere, short names, labels that do not overlap."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

INK, GREY = "#222222", "#6f6f6f"
LOG_SPAN = 30  # costs further apart than this are drawn on a logarithmic axis

# Okabe and Ito's palette, safe for colour-blind readers. Eight hues do not reach for all policies, so floors are
# greys and browns, and the marker tells apart what a hue alone would not.
POLICY_STYLE: dict[str, tuple[str, str]] = {
    "graph": ("#D55E00", "*"),
    "oracle": ("#000000", "P"),
    "best_single_per_user": ("#0072B2", "s"),
    "best_single_per_task": ("#0072B2", "D"),
    "best_single": ("#6BAED6", "^"),
    "cheapest": ("#8c6d46", "v"),
    "random": ("#8c6d46", "X"),
    "linear": ("#009E73", "o"),
    "mlp": ("#009E73", "p"),
    "knn": ("#CC79A7", "o"),
    "factorization": ("#6A3D9A", "h"),
    "elo": ("#E69F00", "<"),
    "contrastive": ("#E69F00", "o"),
    "binary": ("#E69F00", "d"),
}
OTHER_STYLE = (GREY, "8")  # a policy added later still gets drawn

# Paul Tol's "muted" scheme, for the LLMs of a stacked bar; the last, grey, is for all the others.
LLM_COLOURS = ("#332288", "#88CCEE", "#44AA99", "#117733", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#999933")
REST_COLOUR = "#bdbdbd"


def policy_style(name: str) -> tuple[str, str]:
    """Return (colour, marker) of a policy."""
    return POLICY_STYLE.get(name, OTHER_STYLE)


def short_names(ids: Sequence[str], limit: int = 26) -> dict[str, str]:
    """Return id -> what figures show: without the vendor's part, cut in the middle; the id itself where two collide."""
    short = {}
    for name in ids:
        tail = name.rstrip("/").rsplit("/", 1)[-1] or name
        short[name] = tail if len(tail) <= limit else f"{tail[: limit // 2]}…{tail[-(limit - limit // 2 - 1) :]}"
    shown = pd.Series(short).value_counts() if short else pd.Series(dtype=int)
    return {name: tail if shown[tail] == 1 else name for name, tail in short.items()}


def cost_axis(ax: Axes, costs: np.ndarray, unit: str) -> bool:
    """Set up the axis of costs of 1,000 queries in `unit`; return whether it is logarithmic, for they lie far apart."""
    ax.set_xlabel(f"mean cost of 1,000 queries ({unit})", color=INK)
    far = bool(costs.min() > 0 and costs.max() > LOG_SPAN * costs.min())
    if far:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return far


def new_figure(
    width: float, height: float, rows: int = 1, ratios: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Return a figure of the object-oriented interface (no global state) and its axes, one under another.

    Rows share their x axis; `ratios` are their heights.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    grid = figure.subplots(rows, 1, squeeze=False, sharex=True, height_ratios=ratios)
    axes = [row[0] for row in grid]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(True, color="#ececec", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.tick_params(labelsize=9, colors=INK)
    return figure, axes


def message_figure(text: str) -> Figure:
    """Return a small figure that says why there is nothing to draw."""
    figure, (ax,) = new_figure(6.5, 1.4)
    ax.axis("off")
    ax.text(0.5, 0.5, text, ha="center", va="center", fontsize=11, color=GREY, transform=ax.transAxes, wrap=True)
    return figure


@dataclasses.dataclass(frozen=True)
class Group:
    """Users drawn as one: one user, or neighbours in preference; `preference` is their mean, NaN for personas."""

    user_ids: tuple[str, ...]
    label: str
    preference: float


def user_groups(users: pd.DataFrame, limit: int) -> list[Group]:
    """Return at most `limit` groups by rising preference: each user alone where they fit, else equally large bins.

    Of more personas than that evenly spaced ones are taken, each alone: neighbours by id have nothing in common.
    """
    ordered = users.sort_values(["preference", "user_id"], na_position="last", ignore_index=True)
    if len(ordered) > limit and ordered["preference"].isna().all():
        ordered = ordered.iloc[np.linspace(0, len(ordered) - 1, limit).round().astype(int)]
    bins = np.array_split(np.arange(len(ordered)), min(limit, len(ordered)))
    alone = len(ordered) <= limit
    return [_group(ordered.iloc[rows], alone) for rows in bins]


def _group(users: pd.DataFrame, alone: bool) -> Group:
    ids, weights = tuple(users["user_id"]), users["preference"].dropna()
    if alone:
        name = ids[0] if len(ids[0]) <= 22 else f"{ids[0][:21]}…"
        label = f"{name} (α {weights.iloc[0]:.2f})" if len(weights) else name
    else:
        span = f"α {weights.min():.2f}–{weights.max():.2f}" if len(weights) else f"{ids[0]} …"
        label = f"{span}, {len(ids)} users"
    return Group(ids, label, float(weights.mean()) if len(weights) == len(ids) else math.nan)


@dataclasses.dataclass(frozen=True)
class Label:
    """A text that belongs to a point in data coordinates; `reach` is how far off it may be, in typographic points."""

    x: float
    y: float
    text: str
    colour: str = GREY
    weight: str = "normal"
    reach: int = 64


def place_labels(
    figure: Figure,
    ax: Axes,
    labels: Sequence[Label],
    points: Sequence[tuple[float, float]],
    line: np.ndarray | None = None,
) -> int:
    """Write the labels, most important first, near their points so that none covers another label or a point.

    Each tries places on growing rings around its point and keeps the first free one; far ones get a thin leader. A
    label without a free place is left out. Offsets are in typographic points, so any dpi gives the same picture. Call
    it last: the axes' limits and size must be final. `line` (N, 2), in data coordinates, is avoided too. Returns how
    many were written.
    """
    figure.draw_without_rendering()  # settles the layout, so that data coordinates have a place
    scale = figure.dpi / 72
    taken = [_box(ax.transData.transform(point), 5 * scale) for point in points]
    taken += _line_boxes(ax, line, 2 * scale)
    inside = ax.get_window_extent()
    written = 0
    for label in labels:
        anchor = ax.transData.transform((label.x, label.y))
        text = ax.annotate(label.text, (label.x, label.y), fontsize=8, color=label.colour, weight=label.weight)
        size = text.get_window_extent()
        text.remove()
        for dx, dy, far in _offsets(label.reach):
            left = anchor[0] + dx * scale - (size.width if dx < 0 else size.width / 2 if dx == 0 else 0)
            bottom = anchor[1] + dy * scale - size.height / 2
            box = Bbox.from_bounds(left, bottom, size.width, size.height)
            if not _free(box, taken, inside):
                continue
            taken.append(box.padded(scale))
            _write(ax, label, ((left - anchor[0]) / scale, (bottom - anchor[1]) / scale), far)
            written += 1
            break
    return written


def _write(ax: Axes, label: Label, offset: tuple[float, float], far: bool) -> None:
    arrow = {"arrowstyle": "-", "color": "#b5b5b5", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
    text = ax.annotate(
        label.text,
        (label.x, label.y),
        xytext=offset,
        textcoords="offset points",
        fontsize=8,
        color=label.colour,
        weight=label.weight,
        va="bottom",
        arrowprops={**arrow, "relpos": (0 if offset[0] > 0 else 1, 0.5)} if far else None,
    )
    text.set_in_layout(False)


def _offsets(reach: int) -> list[tuple[float, float, bool]]:
    """Return (dx, dy, is it far) in points: right and left first, then above and below, on growing rings."""
    places: list[tuple[float, float, bool]] = []
    for radius in (r for r in (8, 13, 20, 28, 38, 50, 64) if r <= reach):
        angles = (0, 180, 90, 270, 35, -35, 145, 215, 60, -60, 120, 240, 15, -15, 165, 195)
        for angle in angles:
            dx, dy = radius * math.cos(math.radians(angle)), radius * math.sin(math.radians(angle))
            places.append((0 if abs(dx) < 1 else dx, dy * 1.15, radius > 8))
    return places


def _box(centre: np.ndarray, half: float) -> Bbox:
    return Bbox.from_extents(centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half)


def _line_boxes(ax: Axes, line: np.ndarray | None, half: float) -> list[Bbox]:
    """Return small boxes along a line, close enough that no label fits between."""
    if line is None or len(line) < 2:
        return []
    places = ax.transData.transform(line)
    boxes = []
    for start, end in itertools.pairwise(places):
        steps = max(2, int(np.hypot(*(end - start)) / (2 * half)))
        boxes += [_box(start + (end - start) * t, half) for t in np.linspace(0, 1, steps)]
    return boxes


def _free(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> bool:
    within = box.x0 >= inside.x0 and box.x1 <= inside.x1 and box.y0 >= inside.y0 and box.y1 <= inside.y1
    return within and not any(box.overlaps(other) for other in taken)
