"""The train queries as a map: t-SNE of what the trained encoder makes of them, coloured by cluster and by task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from configs.schema import Config
from data_processing.figure_text import plain, without_glyph_warnings
from graph.encoder import make_encoder
from graph.routing_data import PreparedData
from graph.tuned_encoder import clusters_of, tuned_part

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_POINTS = 2_000  # takes a quarter of a minute; more show no more
PCA_DIM = 50
PERPLEXITY = 30.0
NAMED = 10  # groups with a colour of their own, the largest ones
OTHER, INK = "other", "#222222"
# Ten hues that can be told apart, and a pale grey for all others.
COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#222222",
    "#c8c8c8",
)  # fmt: skip
PANEL = 5.4  # inches
LEGEND_COLUMNS = 2
LONGEST_NAME = 30
COLUMNS = ["query_id", "task_id", "cluster", "x", "y"]


def trained_map(prepared: PreparedData, config: Config, seed: int = 0, progress: bool = False) -> pd.DataFrame:
    """Return the map of the train queries that `prepare` has trained an encoder on, as the graph sees them.

    Of more than `MAX_POINTS` as many are drawn at random. Clusters are those of training, found on the frozen encoder.
    """
    queries = prepared.train.queries
    queries = queries.take(np.sort(np.random.default_rng([seed, 11]).permutation(len(queries))[:MAX_POINTS]))
    frozen = make_encoder(config.encoder, config.train.device)
    texts = prepared.features.strip(queries.task_ids, queries.texts)
    clusters = clusters_of(tuned_part(prepared.features.encoder).learned, frozen.encode(texts, progress))
    tasks = [prepared.task_of[query_id] for query_id in queries.query_ids]
    width = queries.blocks[0] if queries.blocks else queries.embeddings.shape[1]
    return query_map(queries.query_ids, tasks, clusters, queries.embeddings[:, :width], seed)


def query_map(
    query_ids: Sequence[str],
    task_ids: Sequence[str],
    clusters: Sequence[int] | np.ndarray,
    vectors: np.ndarray,
    seed: int = 0,
) -> pd.DataFrame:
    """Return one row per query in the order given, columns `COLUMNS`. The same seed and input give the same map.

    Shapes: `vectors` (N, d); ids and clusters (N,).
    """
    place = _placed(np.asarray(vectors, dtype=np.float64), seed)
    return pd.DataFrame(
        {
            "query_id": list(query_ids),
            "task_id": list(task_ids),
            "cluster": np.asarray(clusters, dtype=int),
            "x": place[:, 0],
            "y": place[:, 1],
        }
    )


def _placed(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Return (N, 2) places; of fewer than 5 vectors, or of equal ones, there is no map, and they lie on a line."""
    count = len(vectors)
    if count < 5 or np.ptp(vectors, axis=0).max() == 0:
        return np.column_stack([np.arange(count, dtype=float), np.zeros(count)])
    if vectors.shape[1] > PCA_DIM and count > PCA_DIM:
        vectors = PCA(PCA_DIM, random_state=seed).fit_transform(vectors)
    start = "pca" if vectors.shape[1] > 1 else "random"
    perplexity = min(PERPLEXITY, (count - 1) / 3)
    return TSNE(2, perplexity=perplexity, init=start, random_state=seed).fit_transform(vectors)


def draw_query_map(table: pd.DataFrame) -> Figure:
    """Return the figure of a map made by `query_map`: the same points twice, by cluster and by task."""
    from matplotlib.figure import Figure  # here, because whoever only wants the table needs no drawing

    panels = {
        "by cluster, found before training": "cluster " + table["cluster"].astype(str),
        "by task": table["task_id"].where(table["task_id"] != "", "unknown task"),
    }
    counts = [named_groups(groups) for groups in panels.values()]
    below = 0.15 + 0.24 * max(-(-len(count) // LEGEND_COLUMNS) for count in counts)
    height = PANEL + 0.4 + below
    figure = Figure(figsize=(2 * PANEL + 0.3, height), facecolor="white")
    for place, ((title, groups), count) in enumerate(zip(panels.items(), counts, strict=True)):
        left = (0.1 + place * (PANEL + 0.1)) / (2 * PANEL + 0.3)
        ax = figure.add_axes((left, below / height, PANEL / (2 * PANEL + 0.3), PANEL / height))
        ax.set_title(title, fontsize=11, color=INK)
        _panel(ax, table, groups, count)
    return figure


def save_query_map(table: pd.DataFrame, path: Path, dpi: int = 130) -> None:
    """Draw the map into a PNG file."""
    with without_glyph_warnings():
        draw_query_map(table).savefig(path, dpi=dpi, facecolor="white")


def named_groups(groups: pd.Series) -> pd.Series:
    """Return name -> number of points: the `NAMED` largest groups, then all others as one where there are more."""
    counts = groups.value_counts().sort_index(key=_by_number).sort_values(ascending=False, kind="stable")
    if len(counts) <= NAMED:
        return counts
    rest = pd.Series({f"{len(counts) - NAMED} {OTHER}s": int(counts.iloc[NAMED:].sum())})
    return pd.concat([counts.iloc[:NAMED], rest])


def _panel(ax: Axes, table: pd.DataFrame, groups: pd.Series, counts: pd.Series) -> None:
    size = 9 if len(table) > 1_000 else 20
    names = [plain(name) for name in _short([str(name) for name in counts.index])]
    # Grey ones first, so that they never lie on what has a name.
    for place in reversed(range(len(counts))):
        own = place < NAMED
        inside = groups == counts.index[place] if own else ~groups.isin(counts.index[:NAMED])
        ax.scatter(
            table["x"][inside], table["y"][inside], s=size, linewidths=0, alpha=0.75,
            color=COLOURS[place], label=f"{names[place]} ({int(counts.iloc[place]):,})",
        )  # fmt: skip
    handles, labels = ax.get_legend_handles_labels()
    legend = ax.legend(
        handles[::-1], labels[::-1], loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=LEGEND_COLUMNS,
        frameon=False, fontsize=9, handletextpad=0.1, columnspacing=1.2,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set(sizes=[36], alpha=1.0)
    middle = [(table[axis].min() + table[axis].max()) / 2 for axis in ("x", "y")]
    half = 0.53 * max(np.ptp(table["x"]), np.ptp(table["y"]), 1e-9)
    ax.set(xticks=[], yticks=[], xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    for spine in ax.spines.values():
        spine.set_color("#dddddd")


def _by_number(index: pd.Index) -> pd.Index:
    """Return sort keys by which `cluster 2` comes before `cluster 10`."""
    return pd.Index([f"{head}{int(tail):09d}" if tail.isdigit() else head + tail
                     for head, _, tail in (str(name).rpartition(" ") for name in index)])  # fmt: skip


def _short(names: list[str]) -> list[str]:
    """Return the names, long ones cut in the middle, where parts of one benchmark are alike at the start."""
    half = LONGEST_NAME // 2
    return [name if len(name) <= LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}" for name in names]
