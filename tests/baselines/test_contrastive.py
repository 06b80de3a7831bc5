"""RouterDC alone as a policy: its order, the line from similarity to performance, its own encoder, and bad input."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines import contrastive as module
from baselines.contrastive import LEAST_SLOPE, ContrastivePolicy, line
from baselines.simple import BestSinglePolicy
from configs.errors import InputError
from configs.schema import Encoder
from graph.choices import popularity_view
from graph.records import RoutingData
from graph.tuned_encoder import similarities
from tests.contract import check_policy, learned_for, make_world, reordered
from tests.graph.tiny_bert import WORDS, make_bert


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("bert"), 2, 0.1)


def encoder_of(model: Path, **tuning: Any) -> Encoder:
    keys = {"model": str(model), "max_tokens": 16, "dtype": "float32", "trainable_layers": 2, "cache": None}
    few = {"steps": 6, "head_steps": 6, "side_dim": 3, "evaluate_every": 3, "batch_size": 8, "clusters": 2}
    return Encoder.model_validate(keys | {"contrastive": few | tuning})


@pytest.mark.parametrize("personas", [False, True])
def test_the_contract_over_features_that_come_from_the_trained_encoder(personas: bool) -> None:
    train, validation = make_world(personas=personas)
    check_policy(lambda: ContrastivePolicy(learned=learned_for(train)), train, validation)


def test_where_cost_does_not_count_the_order_is_that_of_the_similarities() -> None:
    train, validation = make_world(users=2)
    learned = learned_for(train)
    policy = ContrastivePolicy(learned=learned).fit(train, validation)
    asked = validation.queries
    cosine = similarities(learned, asked.embeddings[:, :4], asked.embeddings[:, 4:])
    eager, thrifty = (policy.outcomes(asked) @ [alpha, alpha - 1] for alpha in (1.0, 0.0))
    np.testing.assert_array_equal(eager.argsort(axis=1), cosine.argsort(axis=1))
    assert (thrifty.argmax(axis=1) == np.nanmean(train.cost, axis=0).argmin()).all()
    np.testing.assert_allclose(policy.outcomes(asked)[0, :, 1], np.nanmean(train.cost, axis=0))
    assert policy.slope > 0


def test_the_line_is_the_least_squares_one_over_what_was_observed() -> None:
    rng = np.random.default_rng(0)
    similarity = rng.uniform(-1, 1, (30, 4))
    performance = 0.4 + 0.3 * similarity + rng.normal(scale=0.1, size=similarity.shape)
    performance[rng.random(similarity.shape) < 0.3] = np.nan
    seen = np.isfinite(performance)
    design = np.column_stack([np.ones(seen.sum()), similarity[seen]])
    expected = np.linalg.lstsq(design, performance[seen], rcond=None)[0]
    np.testing.assert_allclose(line(similarity, performance), expected)


@pytest.mark.parametrize("sign", [-1.0, 0.0])
def test_a_similarity_that_tells_nothing_keeps_its_order_but_hardly_counts(sign: float) -> None:
    similarity = np.linspace(-1, 1, 12).reshape(4, 3)
    intercept, slope = line(similarity, 0.5 + 0.2 * sign * similarity)
    assert slope == LEAST_SLOPE
    assert intercept == pytest.approx(0.5)
    assert line(similarity, np.full((4, 3), np.nan)) == (0.0, LEAST_SLOPE)
    assert line(np.zeros((4, 3)), np.full((4, 3), 0.5)) == (0.5, LEAST_SLOPE)


def test_llms_are_joined_by_what_describes_them_and_others_are_refused() -> None:
    train, validation = make_world()
    learned = learned_for(train)
    policy = ContrastivePolicy(learned=learned).fit(train, validation)
    other = ContrastivePolicy(learned=learned).fit(reordered(train, 1), reordered(validation, 1))
    assert other.llm_ids != policy.llm_ids
    back = [other.llm_ids.index(llm) for llm in policy.llm_ids]
    asked = validation.queries
    np.testing.assert_allclose(other.similarities(asked)[:, back], policy.similarities(asked), atol=1e-6)
    stranger = train.llms.assign(llm_id=["x", *train.llms["llm_id"][1:]])
    with pytest.raises(InputError, match=r"expected an encoder trained on the LLMs x, llm-1"):
        ContrastivePolicy(learned=learned).fit(dataclasses.replace(train, llms=stranger), validation)


def told_by_words(data: RoutingData, seed: int) -> RoutingData:
    """The first LLM answers texts with one of w0 … w2, the second those with w3 … w5, the third all else, the fourth
    nothing; the features say none of it."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(3, size=len(data.queries))
    texts = tuple(
        " ".join(rng.permutation([*rng.choice(WORDS[6:], 4), *rng.choice(WORDS[3 * k : 3 * k + 3], 2 * (k < 2))]))
        for k in kinds
    )
    queries = dataclasses.replace(data.queries, texts=texts, embeddings=np.zeros_like(data.queries.embeddings))
    performance = np.eye(4)[kinds]
    return dataclasses.replace(
        data,
        queries=queries,
        performance=performance,
        cost=np.zeros_like(performance),
        cost_usd=np.zeros((len(kinds), 4)),
    )


def test_an_encoder_of_its_own_learns_from_texts_alone(bert: Path) -> None:
    train, validation = (told_by_words(data, seed) for seed, data in enumerate(make_world(queries=150, hidden=0.0)))
    tuning = {"steps": 80, "evaluate_every": 20, "learning_rate": 1e-2, "side_dim": 0, "caution": 0.0}
    policy = ContrastivePolicy(0, encoder_of(bert, **tuning), device="cpu").fit(train, validation)

    def earned(policy: Any) -> float:
        choice = policy.grid(validation.queries, [validation.user_ids[-1]])[0].argmax(axis=1)
        return float(validation.performance[np.arange(len(choice)), choice].mean())

    assert earned(policy) > earned(BestSinglePolicy().fit(train, validation)) + 0.2


def test_personas_are_learnt_by_what_they_like(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[RoutingData] = []
    real = module.ContrastiveModel.train

    def spy(train: RoutingData, validation: RoutingData, *others: Any) -> Any:
        given.extend([train, validation])
        return real(train, validation, *others)

    monkeypatch.setattr(module.ContrastiveModel, "train", spy)
    world = make_world(personas=True)
    ContrastivePolicy(0, encoder_of(bert), device="cpu").fit(*world)
    for data, seen in zip(world, given, strict=True):
        np.testing.assert_array_equal(seen.performance, popularity_view(data).performance)
    given.clear()
    silent = [dataclasses.replace(data, interactions=data.interactions[:0]) for data in world]
    ContrastivePolicy(0, encoder_of(bert), device="cpu").fit(*silent)
    np.testing.assert_array_equal(given[0].performance, world[0].performance)


def test_an_encoder_without_weights_is_refused_by_name() -> None:
    policy = ContrastivePolicy(0, Encoder(model="hashing:64", cache=None))
    with pytest.raises(InputError, match=r"^encoder.model: .*'contrastive', got 'hashing:64'.*leave 'contrastive' out"):
        policy.fit(*make_world())


def test_a_saved_policy_with_its_own_encoder_names_another_base(bert: Path, tmp_path: Path) -> None:
    train, validation = make_world()
    model = make_bert(tmp_path / "model", 2, 0.1, seed=0)
    ContrastivePolicy(0, encoder_of(model), device="cpu").fit(train, validation).save(tmp_path / "policy")
    make_bert(model, 2, 0.1, seed=1)  # other weights under the same name
    with pytest.raises(
        InputError, match=r"^policy 'contrastive': expected an encoder trained on .*, got one trained on"
    ):
        ContrastivePolicy.load(tmp_path / "policy")
