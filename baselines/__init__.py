"""Every other router, each a `Policy`, by the name it has in reports."""

from __future__ import annotations

from baselines.binary_policy import BinaryPolicy
from baselines.contrastive import ContrastivePolicy
from baselines.regression import FactorizationPolicy, KnnPolicy, LinearPolicy, MlpPolicy
from baselines.simple import (
    BestSinglePerTaskPolicy,
    BestSinglePerUserPolicy,
    BestSinglePolicy,
    CheapestPolicy,
    EloPolicy,
    RandomPolicy,
)
from graph.policy import Policy

BASELINES: dict[str, type[Policy]] = {
    policy.name: policy
    for policy in (
        RandomPolicy,
        CheapestPolicy,
        BestSinglePolicy,
        BestSinglePerUserPolicy,
        BestSinglePerTaskPolicy,
        KnnPolicy,
        LinearPolicy,
        MlpPolicy,
        FactorizationPolicy,
        EloPolicy,
        ContrastivePolicy,
        BinaryPolicy,
    )
}
