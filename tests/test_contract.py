"""Every policy through the same checks; see `tests.contract`."""

import dataclasses
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from baselines import BASELINES
from baselines.contrastive import ContrastivePolicy
from baselines.oracle import OraclePolicy
from configs.schema import Config, Encoder, Graph, PolicyName, Train, Users
from data_processing.personas import make_personas, persona_users
from data_processing.rule_judge import RuleJudge
from data_processing.simulated import build_world
from data_processing.splits import split_queries
from data_processing.tables import Dataset
from data_processing.users import make_users
from evaluation.evaluate import make_policy
from graph.encoder import make_encoder
from graph.graph_policy import GraphPolicy
from graph.policy import Policy
from graph.routing_data import PreparedData, prepare
from tests.contract import check_order, check_policy, check_worlds, make_world
from tests.graph.tiny_bert import make_bert

PREFERENCE = {"user_1": 0.2, "user_2": 0.6, "user_3": 1.0}
EVERY = [*BASELINES, "graph", "oracle"]
FOR_PERSONAS = [*BASELINES, "graph"]  # whose oracle is what they picked: evaluation needs no policy for it
# Their random initial weights, clusters and mini-batches belong to places: see `check_policy`.
BY_PLACE = {"graph", "mlp", "factorization"}
TUNED = {
    "steps": 4,
    "head_steps": 6,
    "evaluate_every": 2,
    "side_dim": 3,
    "batch_size": 8,
    "clusters": 2,
}  # enough to move the weights


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """The one policy that reads texts trains this: a tiny transformer."""
    model = make_bert(tmp_path_factory.mktemp("bert"), 2, 0.1)
    keys = {"model": str(model), "max_tokens": 16, "dtype": "float32", "trainable_layers": 1, "cache": None}
    return Encoder.model_validate(keys | {"contrastive": TUNED})


def maker(name: str, encoder: Encoder, seed: int = 0) -> Callable[[], Policy]:
    if name == "oracle":
        return lambda: OraclePolicy(PREFERENCE)
    if name == "graph":
        return lambda: GraphPolicy(Graph(topics=(2, 3), neighbours=5), Train(epochs=3), seed)
    if name == "contrastive":
        return lambda: ContrastivePolicy(seed, encoder, device="cpu")
    return lambda: BASELINES[name](seed)


def test_every_policy_of_the_configuration_is_checked(encoder: Encoder) -> None:
    assert set(EVERY) == set(get_args(PolicyName))
    left_out = {"contrastive", "binary"}  # one trains for minutes, one uses two LLMs only
    assert set(EVERY) - set(Config().evaluate.policies) == left_out
    for name in EVERY:
        assert maker(name, encoder)().name == name
    assert make_policy("graph", Config(), 3, False).seed == 3
    assert make_policy("random", Config(), 3, False).seed == 3


@pytest.mark.parametrize("name", EVERY)
def test_the_contract(name: str, encoder: Encoder) -> None:
    check_policy(maker(name, encoder), *make_world(), hindsight=name == "oracle", reorder=name not in BY_PLACE)


@pytest.mark.parametrize("name", FOR_PERSONAS)
def test_the_contract_with_personas(name: str, encoder: Encoder) -> None:
    check_policy(maker(name, encoder), *make_world(personas=True), reorder=name not in BY_PLACE)


@pytest.mark.parametrize("name", FOR_PERSONAS)
def test_persona_worlds_with_little_in_them(name: str, encoder: Encoder) -> None:
    check_worlds(maker(name, encoder), personas=True)


@pytest.mark.parametrize("name", EVERY)
def test_worlds_with_little_in_them(name: str, encoder: Encoder) -> None:
    check_worlds(maker(name, encoder), hindsight=name == "oracle")


@pytest.mark.parametrize("personas", [False, True])
def test_the_untrained_graph_does_not_know_places(personas: bool) -> None:
    # Folds and clusters are drawn by place; all else in the graph must not be.
    world = make_world(personas=personas)
    check_order(lambda: GraphPolicy(Graph(topics=(), neighbours=5), Train(epochs=0)), *world)


@pytest.mark.parametrize("name", EVERY)
def test_the_order_of_tables_changes_nothing(name: str, encoder: Encoder) -> None:
    config = Config(
        encoder=encoder if name == "contrastive" else Encoder(model="hashing:64", cache=None, style=False),
        graph=Graph(topics=(2,), neighbours=5),
        train=Train(epochs=2),
    )
    preference: dict[str, float] = {}
    scores = []
    for order in (None, 1):
        prepared = _prepared(config, order)
        users = sorted(prepared.true_users["user_id"])
        preference = dict(zip(prepared.true_users["user_id"], prepared.true_users["preference"], strict=True))
        if name == "oracle":
            policy = OraclePolicy(preference).fit(prepared.test, prepared.test)
        else:
            policy = make_policy(name, config, 0, False).fit(prepared.train, prepared.validation)
        place = np.argsort(policy.llm_ids)
        rows = np.argsort(prepared.test.queries.query_ids)
        scores.append(policy.grid(prepared.test.queries.take(rows), users)[..., place])
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FOR_PERSONAS)
def test_the_order_of_tables_changes_nothing_for_personas(name: str, encoder: Encoder) -> None:
    # More personas than are supervised in training: which of them are must not depend on the order either.
    config = Config(
        encoder=encoder if name == "contrastive" else Encoder(model="hashing:64", cache=None, style=False),
        graph=Graph(topics=(2,), neighbours=5),
        train=Train(epochs=2),
        users=Users(strategy="llm_as_judge", personas=40, interactions_per_user=6),
    )
    scores = []
    for order in (None, 1):
        prepared = _prepared(config, order)
        users = sorted(prepared.true_users["user_id"])
        policy = make_policy(name, config, 0, False).fit(prepared.train, prepared.validation)
        place, rows = np.argsort(policy.llm_ids), np.argsort(prepared.test.queries.query_ids)
        scores.append(policy.grid(prepared.test.queries.take(rows), [*users, "a stranger"])[..., place])
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-5)


def _prepared(config: Config, order: int | None) -> PreparedData:
    world = build_world(40, 4, 0)
    judged = config.users.strategy == "llm_as_judge"
    users = persona_users(make_personas(config.users)) if judged else make_users(config.users)
    dataset = dataclasses.replace(world, users=users)
    if order is not None:
        dataset = _shuffled(dataset, order)
    splits = split_queries(dataset.queries, config.data.split, 0)
    judge = RuleJudge.of(dataset, make_personas(config.users), 0.8, 0) if judged else None
    return prepare(dataset, splits, config, make_encoder(config.encoder, "cpu"), 0, judge=judge)


def _shuffled(dataset: Dataset, seed: int) -> Dataset:
    tables = {name: table.sample(frac=1, random_state=seed).reset_index(drop=True)
              for name, table in dataset.tables().items()}  # fmt: skip
    return dataclasses.replace(dataset, **tables)
