"""The contrastively trained encoder in its place: trained on train rows alone, kept with the router."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.schema import Config
from data_processing.splits import split_queries
from data_processing.tables import Dataset
from graph import routing_data
from graph.embedding_cache import QueryEncoder
from graph.encoder import make_encoder
from graph.graph_policy import GraphPolicy
from graph.router import Router
from graph.routing_data import PreparedData, prepare
from graph.scored import Scored
from graph.tuned_encoder import tuned_part
from tests.graph.finetuning.test_training import config_of, make_model
from tests.graph.world import GRAPH, tiny_config, tiny_dataset


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tuned"), 1)


def config_with(model: Path) -> Config:
    return tiny_config(encoder=config_of(model, steps=20, evaluate_every=5))


def prepared_on(dataset: Dataset, config: Config) -> PreparedData:
    splits = split_queries(dataset.queries, config.data.split, 0, None)
    return prepare(dataset, splits, config, make_encoder(config.encoder, "cpu"), 0)


def with_outcomes_flipped(dataset: Dataset, config: Config, split: str) -> Dataset:
    splits = split_queries(dataset.queries, config.data.split, 0, None)
    rows = dataset.outcomes["query_id"].map(splits) == split
    flipped = dataset.outcomes["performance"].where(~rows, 1 - dataset.outcomes["performance"])
    return dataclasses.replace(dataset, outcomes=dataset.outcomes.assign(performance=flipped))


def training(prepared: PreparedData) -> tuple[str, list[dict[str, float]]]:
    """Return which weights came out, and every look at losses and validation on the way there."""
    encoder = tuned_part(prepared.features.encoder)
    assert len(encoder.tuning.history) > 2
    return encoder.key, encoder.tuning.history[1:]


def test_no_test_outcome_reaches_the_encoder_and_train_outcomes_do(model: Path) -> None:
    config, dataset = config_with(model), tiny_dataset()
    first = training(prepared_on(dataset, config))
    assert training(prepared_on(with_outcomes_flipped(dataset, config, "test"), config)) == first
    assert training(prepared_on(with_outcomes_flipped(dataset, config, "train"), config)) != first


def test_the_router_keeps_its_encoder(model: Path, tmp_path: Path) -> None:
    config = config_with(model)
    prepared = prepared_on(tiny_dataset(), config)
    policy = GraphPolicy(GRAPH, config.train, 0).fit(prepared.train, prepared.validation)
    queries = prepared.train.queries
    table = pd.DataFrame({"query_id": queries.query_ids, "query": queries.texts, "task_id": queries.task_ids})
    router = Router(policy, prepared.features, config.encoder, table, {}, prepared.scaler, prepared.train.llms)
    router.save(tmp_path / "router")
    loaded = Router.load(tmp_path / "router", device="cpu")
    assert loaded.features.encoder.key == prepared.features.encoder.key
    text = queries.texts[0]
    assert loaded.route(text) == router.route(text)


@pytest.mark.parametrize("use_tasks", [True, False])
def test_what_the_encoder_is_trained_on(model: Path, monkeypatch: pytest.MonkeyPatch, use_tasks: bool) -> None:
    """Tasks as groups where they are seen, style as side features, and the target that the configuration asks for."""
    caught: list[Scored] = []

    def catch(encoder: QueryEncoder, train: Scored, validation: Scored, *_: Any) -> QueryEncoder:
        caught.extend([train, validation])
        raise KeyboardInterrupt

    monkeypatch.setattr(routing_data, "train_encoder", catch)
    dataset = tiny_dataset()
    config = config_with(model)
    keys = {"target": "reward", "preference": 0.75}
    config = config.model_copy(
        update={
            "data": config.data.model_copy(update={"use_tasks": use_tasks}),
            "encoder": config.encoder.model_copy(
                update={"contrastive": config.encoder.contrastive.model_copy(update=keys)}
            ),
        }
    )
    with pytest.raises(KeyboardInterrupt):
        prepared_on(dataset, config)
    train, validation = caught
    assert np.nanmin(train.scores) < 0 < np.nanmax(train.scores) <= 0.75, "rewards, with the cost in them"
    assert (train.groups is not None) == use_tasks
    for part in (train, validation):
        assert part.side is not None
        assert part.beside is not None
        np.testing.assert_array_equal(part.beside[:, : part.side.shape[1]], part.side)
    if train.groups is not None:
        assert set(train.groups) == set(dataset.tasks["task_id"])
    assert not set(train.texts) & set(validation.texts)
