"""Strength of models from pairwise comparisons: the Bradley–Terry model (Biometrika 39, 1952).

P(i beats j) = 1 / (1 + exp(s_j − s_i)); a tie counts as half a win for each. Strengths are in units of log odds around
a mean of 0 and have a weak normal prior, so that a model that was never beaten has a finite one.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, log_expit

PRIOR_SD = 3.0  # in log odds; weighs about as much as half a vote
TOLERANCE = 1e-10
MAX_STEPS = 100


@dataclasses.dataclass(frozen=True)
class Strengths:
    """`values` (M,) in log odds, mean 0 within each group, and their standard errors `errors` (M,).

    `group` (M,) numbers the models from 0 by what connects them: only within one group can strengths be compared.
    """

    values: np.ndarray
    errors: np.ndarray
    group: np.ndarray


def fit(wins: np.ndarray, prior_sd: float = PRIOR_SD) -> Strengths:
    """Return the strengths that are most probable given `wins` (M, M): how often row i beat column j, ties as halves.

    Standard errors are those of the inverse Hessian at the maximum. They take votes as independent, which several
    judges of one question are not quite: intervals are somewhat too narrow. Raises `ValueError` unless `wins` is
    square, finite and not negative.
    """
    wins = np.asarray(wins, dtype=float)
    if wins.ndim != 2 or wins.shape[0] != wins.shape[1] or not np.isfinite(wins).all() or (wins < 0).any():
        raise ValueError(f"wins: expected a square matrix of numbers >= 0, got shape {wins.shape}")
    values = _maximum(wins, prior_sd)
    group = connected_components(csr_array(wins + wins.T), directed=False)[1]
    centred = np.eye(len(wins))
    for number in np.unique(group):
        members = group == number
        centred -= np.outer(members, members) / members.sum()
    # Only differences within a group are known from the votes; where its mean lies is the prior's alone.
    covariance = centred @ np.linalg.inv(_curvature(wins, values, prior_sd)) @ centred.T
    return Strengths(centred @ values, np.sqrt(np.clip(np.diag(covariance), 0.0, None)), group)


def log_posterior(wins: np.ndarray, values: np.ndarray, prior_sd: float) -> float:
    """Return the logarithm of likelihood times prior, up to a constant; it is strictly concave in `values`."""
    differences = values[:, None] - values[None, :]
    return float((wins * log_expit(differences)).sum() - 0.5 * (values**2).sum() / prior_sd**2)


def _maximum(wins: np.ndarray, prior_sd: float) -> np.ndarray:
    """Return the maximum, by Newton's steps, halved where a whole one would lead downhill."""
    values = np.zeros(len(wins))
    for _ in range(MAX_STEPS):
        expected = (wins + wins.T) * expit(values[:, None] - values[None, :])
        slope = (wins - expected).sum(axis=1) - values / prior_sd**2
        step = np.linalg.solve(_curvature(wins, values, prior_sd), slope)
        before = log_posterior(wins, values, prior_sd)
        while np.abs(step).max() > TOLERANCE and log_posterior(wins, values + step, prior_sd) < before:
            step /= 2
        values = values + step
        if np.abs(step).max() <= TOLERANCE:
            break
    return values


def _curvature(wins: np.ndarray, values: np.ndarray, prior_sd: float) -> np.ndarray:
    """Return the negative Hessian of `log_posterior`, (M, M)."""
    chance = expit(values[:, None] - values[None, :])
    information = (wins + wins.T) * chance * (1 - chance)
    return np.diag(information.sum(axis=1) + 1 / prior_sd**2) - information
