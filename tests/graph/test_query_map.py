"""The map of the train queries: one per seed, likes beside likes, legible legends, everything drawn as it is said."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import pairwise_distances_argmin

from configs.schema import Config, Encoder
from data_processing.figure_text import without_glyph_warnings
from data_processing.splits import split_queries
from graph import query_map as module
from graph.encoder import make_encoder
from graph.query_map import COLUMNS, draw_query_map, named_groups, query_map, save_query_map, trained_map
from graph.routing_data import prepare
from graph.tuned_encoder import tuned_part
from tests.data_processing.nasty_names import NASTY, as_read, texts_of
from tests.graph.tiny_bert import make_bert
from tests.graph.world import tiny_config, tiny_dataset


def blobs(each: int = 20, dim: int = 60) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    """Ids, tasks, clusters and vectors of three far-off groups."""
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(3), each)
    vectors = 8.0 * np.eye(dim)[cluster] + rng.normal(size=(3 * each, dim))
    return [f"q{i}" for i in range(3 * each)], [f"task {c}" for c in cluster], cluster, vectors


def test_likes_lie_beside_likes_and_a_seed_gives_one_map() -> None:
    ids, tasks, cluster, vectors = blobs()
    found = query_map(ids, tasks, cluster, vectors, seed=3)
    assert list(found.columns) == COLUMNS
    assert found["query_id"].tolist() == ids
    pd.testing.assert_frame_equal(found, query_map(ids, tasks, cluster, vectors, seed=3))
    places = found[["x", "y"]].to_numpy()
    centres = np.stack([places[cluster == c].mean(axis=0) for c in range(3)])
    assert (pairwise_distances_argmin(places, centres) == cluster).mean() > 0.95


@pytest.mark.parametrize("count", [1, 2, 4, 5, 9])
def test_a_handful_of_queries_and_equal_vectors_have_a_picture(count: int, tmp_path: Path) -> None:
    for vectors in (np.random.default_rng(0).normal(size=(count, 4)), np.ones((count, 4)), np.eye(count)[:, :1]):
        table = query_map([str(i) for i in range(count)], [""] * count, np.zeros(count, dtype=int), vectors)
        assert np.isfinite(table[["x", "y"]].to_numpy()).all()
        save_query_map(table, tmp_path / "map.png", 50)
        assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_many_groups_leave_ten_names_and_a_rest() -> None:
    groups = pd.Series([f"cluster {g}" for g in range(14) for _ in range(14 - g)])
    counts = named_groups(groups)
    assert list(counts.index) == [f"cluster {g}" for g in range(10)] + ["4 others"]
    assert counts.sum() == len(groups)
    assert list(named_groups(pd.Series(["cluster 10", "cluster 9"])).index) == ["cluster 9", "cluster 10"]


def test_every_point_is_drawn_once_per_panel_and_the_legend_counts_them() -> None:
    ids, _, cluster, vectors = blobs()
    tasks = [f"{'a rather long name of a benchmark, ' * (i % 13 % 2)}part {i % 13}" for i in range(len(ids))]
    table = query_map(ids, tasks, cluster, vectors)
    figure = draw_query_map(table)
    assert [ax.get_title() for ax in figure.axes] == ["by cluster, found before training", "by task"]
    for ax, names in zip(figure.axes, (3, 11), strict=True):
        assert sum(len(points.get_offsets()) for points in ax.collections) == len(table)
        labels = [text.get_text() for text in ax.get_legend().get_texts()]
        assert len(labels) == names
        assert sum(int(label.rsplit("(", 1)[1].rstrip(")")) for label in labels) == len(table)
    assert labels[-1].startswith("3 others"), "the rest comes last"
    assert len({points.get_facecolor().tobytes() for points in figure.axes[1].collections}) == 11
    figure.draw_without_rendering()
    for ax in figure.axes:
        box = ax.get_legend().get_window_extent()
        assert figure.bbox.contains(box.x0, box.y0), "the legend is cut off"
        assert figure.bbox.contains(box.x1, box.y1)


def test_task_ids_are_shown_as_they_are(tmp_path: Path) -> None:
    ids, _, cluster, vectors = blobs()
    table = query_map(ids, [NASTY[i % len(NASTY)] for i in range(len(ids))], cluster, vectors)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_query_map(table, tmp_path / "map.png", 50)
        with without_glyph_warnings():
            assert {f"{as_read(name)} (10)" for name in NASTY} <= set(texts_of(draw_query_map(table)))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    keys = {"model": str(make_bert(tmp_path_factory.mktemp("map"), 2, 0.1)), "max_tokens": 16, "dtype": "float32"}
    keys |= {"training": "contrastive", "trainable_layers": 1, "cache": None}
    tuning = {"steps": 6, "head_steps": 6, "evaluate_every": 3, "clusters": 4}
    return tiny_config(encoder=Encoder.model_validate(keys | {"contrastive": tuning}))


def test_the_map_of_a_training_has_its_train_queries_and_clusters(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = tiny_dataset()
    splits = split_queries(dataset.queries, config.data.split, 0)
    prepared = prepare(dataset, splits, config, make_encoder(config.encoder, "cpu"), 0)
    train = prepared.train.queries
    table = trained_map(prepared, config)
    assert table["query_id"].tolist() == list(train.query_ids)
    assert table["task_id"].tolist() == [prepared.task_of[query_id] for query_id in train.query_ids]
    frozen = make_encoder(config.encoder, "cpu").encode(prepared.features.strip(train.task_ids, train.texts))
    centres = tuned_part(prepared.features.encoder).learned.centres
    far = np.array([[np.linalg.norm(vector - centre) for centre in centres] for vector in frozen])
    chosen = far[np.arange(len(far)), table["cluster"]]
    np.testing.assert_allclose(chosen, far.min(axis=1), atol=1e-5)  # centres that coincide are as good as each other
    assert table["cluster"].nunique() > 1
    monkeypatch.setattr(module, "MAX_POINTS", 10)
    drawn = trained_map(prepared, config)
    assert len(drawn) == 10
    assert set(drawn["query_id"]) < set(train.query_ids)
    assert not set(drawn["query_id"]) & set(prepared.test.queries.query_ids)
