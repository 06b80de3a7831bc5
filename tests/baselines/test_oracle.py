import numpy as np
import pytest

from baselines import BASELINES
from baselines.contrastive import ContrastivePolicy
from baselines.oracle import OraclePolicy
from configs.schema import Graph, Train
from graph.graph_policy import GraphPolicy
from tests.contract import learned_for, make_world

PREFERENCE = {"user_1": 0.2, "user_2": 0.6, "user_3": 1.0}


def earned(policy, data, alpha: dict[str, float]) -> float:
    """Mean reward of choosing the best scored observed LLM, counted row by row."""
    total = []
    for user, preference in alpha.items():
        scores = policy.scores(data.queries, [user] * len(data.queries))
        for row, line in enumerate(scores):
            seen = [column for column in range(len(line)) if np.isfinite(data.performance[row, column])]
            pick = max(seen, key=lambda column: line[column])
            total.append(preference * data.performance[row, pick] - (1 - preference) * data.cost[row, pick])
    return float(np.mean(total))


@pytest.mark.parametrize("seed", [0, 1])
def test_no_policy_earns_more_than_the_oracle(seed: int) -> None:
    train, validation = make_world(seed=seed)
    oracle = earned(OraclePolicy(PREFERENCE).fit(validation, validation), validation, PREFERENCE)
    policies = [make() for make in BASELINES.values() if make is not ContrastivePolicy]
    policies += [GraphPolicy(Graph(topics=()), Train(epochs=3)), ContrastivePolicy(learned=learned_for(train))]
    rewards = {p.name: earned(p.fit(train, validation), validation, PREFERENCE) for p in policies}
    assert max(rewards.values()) < oracle, rewards
    assert rewards["random"] == min(rewards.values())


def test_its_scores_are_the_rewards() -> None:
    train, validation = make_world()
    grid = OraclePolicy(PREFERENCE).fit(train, validation).grid(validation.queries, ["user_2", "nobody"])
    for alpha, scores in zip((0.6, 0.5), grid, strict=True):
        for row, llm in np.ndindex(scores.shape):
            performance, cost = validation.performance[row, llm], validation.cost[row, llm]
            wanted = alpha * performance - (1 - alpha) * cost if np.isfinite(performance) else -np.inf
            assert scores[row, llm] == pytest.approx(wanted)


def test_a_query_it_has_not_seen_is_not_answered() -> None:
    train, validation = make_world()
    with pytest.raises(KeyError):
        OraclePolicy(PREFERENCE).fit(train, train).scores(validation.queries, ["user_1"] * len(validation.queries))
