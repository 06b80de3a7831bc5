"""The two-LLM router in worlds where it is known which prompts need the strong LLM."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from baselines.binary_policy import BinaryPolicy
from graph.records import RoutingData
from tests.contract import make_world, reordered


def two_llms(queries: int = 400, seed: int = 0) -> tuple[RoutingData, RoutingData, np.ndarray]:
    """Return (train, validation) where llm-0 is cheap, llm-1 always right, and the chance that llm-0 is right known."""
    train, validation = make_world(queries=queries, llms=2, hidden=0.0, seed=seed)
    rng = np.random.default_rng(seed)
    parts = []
    for data in (train, validation):
        chance = 1 / (1 + np.exp(-2 * data.queries.embeddings[:, 1]))
        right = (rng.random(len(chance)) < chance).astype(float)
        parts.append(dataclasses.replace(data, performance=np.stack([right, np.ones(len(right))], axis=1)))
    return parts[0], parts[1], 1 - 1 / (1 + np.exp(-2 * validation.queries.embeddings[:, 1]))


def test_need_is_the_chance_that_the_weak_one_fails() -> None:
    train, validation, truth = two_llms()
    policy = BinaryPolicy().fit(train, validation)
    assert (policy.weak_id, policy.strong_id) == ("llm-0", "llm-1")
    need = policy.need(validation.queries)
    assert spearmanr(need, truth).statistic > 0.9
    assert need.mean() == pytest.approx(truth.mean(), abs=0.06)


def test_the_gain_is_need_less_harm_on_the_weak_ones_mean() -> None:
    train, validation = make_world(llms=2, hidden=0.0, queries=200)
    policy = BinaryPolicy().fit(train, validation)
    x = policy.features(validation.queries)
    found = policy.outcomes(validation.queries)
    weak, strong = (policy.llm_ids.index(name) for name in (policy.weak_id, policy.strong_id))
    np.testing.assert_allclose(found[:, weak, 0], train.performance[:, weak].mean())
    gain = policy.need(validation.queries) - policy.heads["harm"].probability(x)
    np.testing.assert_allclose(found[:, strong, 0] - found[:, weak, 0], gain)
    np.testing.assert_allclose(found[..., 1], np.broadcast_to(train.cost.mean(axis=0), found[..., 1].shape), rtol=1e-6)
    means = train.performance.mean(axis=0)
    assert gain.mean() == pytest.approx(means[strong] - means[weak], abs=0.06)


def test_no_third_llm_is_chosen_whatever_the_preference() -> None:
    train, validation = make_world(llms=5)
    policy = BinaryPolicy().fit(train, validation)
    pair = {policy.llm_ids.index(policy.weak_id), policy.llm_ids.index(policy.strong_id)}
    assert len(pair) == 2
    policy.preferences.stated = {f"u{alpha}": alpha / 10 for alpha in range(11)}
    choice = policy.grid(validation.queries, list(policy.preferences.stated)).argmax(axis=-1)
    assert set(choice.ravel()) <= pair


def test_rows_without_both_outcomes_teach_nothing() -> None:
    train, validation, _ = two_llms(100)
    holes = train.performance.copy()
    holes[::3, 0], holes[1::3, 1] = np.nan, np.nan
    torn = dataclasses.replace(train, performance=holes)
    other = holes.copy()
    other[1::3, 0] = 1 - other[1::3, 0]
    # Means see them; heads do not.
    heads = [
        BinaryPolicy().fit(dataclasses.replace(torn, performance=values), validation).heads["need"].weights
        for values in (holes, other)
    ]
    np.testing.assert_array_equal(heads[0], heads[1])


def test_without_a_common_query_the_means_are_all_there_is() -> None:
    train, validation, _ = two_llms(60)
    holes = train.performance.copy()
    holes[::2, 0], holes[1::2, 1] = np.nan, np.nan
    policy = BinaryPolicy().fit(dataclasses.replace(train, performance=holes), validation)
    need = policy.need(validation.queries)
    assert np.ptp(need) == 0
    assert need[0] == pytest.approx(np.nanmean(holes[:, 1]) - np.nanmean(holes[:, 0]), abs=1e-5)


def test_one_class_alone_gives_a_constant() -> None:
    train, validation, _ = two_llms(60)
    same = [dataclasses.replace(data, performance=np.ones_like(data.performance)) for data in (train, validation)]
    need = BinaryPolicy().fit(*same).need(validation.queries)
    assert np.ptp(need) == 0
    assert 0 < need[0] < 0.05


def test_an_unknown_task_is_read_as_the_nearest() -> None:
    train, validation, _ = two_llms()
    policy = BinaryPolicy().fit(train, validation)
    known = policy.features(validation.queries)
    lost = policy.features(dataclasses.replace(validation.queries, task_ids=("",) * len(validation.queries)))
    tasks = slice(validation.queries.embeddings.shape[1], validation.queries.embeddings.shape[1] + len(policy.tasks))
    assert (lost[:, tasks].sum(axis=1) == 1).all()
    assert (lost[:, tasks] == known[:, tasks]).all(axis=1).mean() > 0.8


def test_the_order_of_rows_moves_no_bit() -> None:
    train, validation, _ = two_llms(150)
    heads = [
        BinaryPolicy().fit(*splits).heads["need"].weights
        for splits in ((train, validation), (reordered(train, 3), reordered(validation, 3)))
    ]
    np.testing.assert_array_equal(heads[0], heads[1])
