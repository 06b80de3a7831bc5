"""What a user's choices say about how the user weighs performance against cost.

Each interaction is a message to its user: the log-likelihood of what the user chose, under every preference on a grid.
Messages add up, so the belief about a user is the product of what was seen and a prior, whatever the order and number
of interactions, and without a parameter per user. This is exact inference on the user-query edges of the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from graph.choices import cells
from graph.records import RoutingData

GRID = np.linspace(0.0, 1.0, 41)
TEMPERATURES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
REWARD_STD = 0.02
REWARD_TAIL = 3.0  # degrees of freedom: a reward that fits no preference counts little, whatever its size
LAPSES = 0.02  # share of choices that say nothing: nobody is consistent, and one slip must not outweigh a history
BLOCK = 100_000  # interactions whose messages are held at once
MAX_FOR_TEMPERATURE = 3_000  # interactions: one number does not need more, and every policy infers it
# Half of the prior stays flat, so that a new user between the known ones is not pulled onto one of them.
FLAT_SHARE = 0.5


class Preferences:
    """Beliefs over the preference of each user, on `GRID`.

    `log_likelihood`: user_id -> (len(GRID),) summed log-likelihood of the user's interactions. `stated`: user_id ->
    preference; a stated preference wins over the inferred one. Users without either have the population's belief.
    """

    def __init__(
        self, log_likelihood: dict[str, np.ndarray], stated: dict[str, float], temperature: float, prior: np.ndarray
    ) -> None:
        self.log_likelihood = log_likelihood
        self.stated = stated
        self.temperature = temperature
        self.prior = prior

    @classmethod
    def fit(cls, train: RoutingData) -> Preferences:
        """Choose the choice noise by marginal likelihood, then the population prior by expectation-maximisation."""
        values = train.users["preference"].to_numpy(dtype=float)
        stated = {user: float(value) for user, value in zip(train.user_ids, values, strict=True) if np.isfinite(value)}
        flat = np.full(len(GRID), 1 / len(GRID))
        if train.judged:  # personas do not weigh cost: what they like is for `Tastes` to say
            return cls({}, stated, 1.0, np.eye(len(GRID))[-1])
        # By id: a part of the table must not be another one where its rows are in another order.
        ordered = train.interactions.sort_values(["user_id", "query_id", "llm_id"])
        sample = ordered.iloc[:: 1 + len(ordered) // MAX_FOR_TEMPERATURE]
        fits = []
        for temperature in TEMPERATURES:
            sums = _sums(train, sample, temperature)
            fits.append((sum(float(np.logaddexp.reduce(s + np.log(flat))) for s in sums.values()), temperature))
        temperature = max(fits)[1]
        known = set(train.user_ids)
        sums = {user: s for user, s in _sums(train, train.interactions, temperature).items() if user in known}
        preferences = cls(sums, stated, temperature, flat)
        preferences.prior = _population(preferences, flat)
        return preferences

    @classmethod
    def population_of(cls, train: RoutingData) -> Preferences:
        """Return beliefs that forget who chose what: every user gets the population's (an ablation)."""
        return cls({}, {}, 1.0, cls.fit(train).prior)

    def belief(self, user_id: str) -> np.ndarray:
        """Return the (len(GRID),) probabilities of the user's preference; the population's where nothing is known."""
        if user_id in self.stated:
            weights = np.zeros(len(GRID))
            weights[int(np.abs(GRID - self.stated[user_id]).argmin())] = 1.0
            return weights
        return _posterior(self.prior, self.log_likelihood.get(user_id))

    def mean(self, user_ids: Sequence[str]) -> np.ndarray:
        """Return (N,) expected preferences. Utility is linear in the preference, so the mean decides."""
        cache: dict[str, float] = {}
        for user in user_ids:
            if user not in cache:
                cache[user] = self.stated.get(user, float(self.belief(user) @ GRID))
        return np.array([cache[user] for user in user_ids])

    def source(self, user_id: str) -> str:
        """Return where the preference comes from: 'stated', 'inferred' or 'population'."""
        if user_id in self.stated:
            return "stated"
        return "inferred" if user_id in self.log_likelihood else "population"

    def observe(self, data: RoutingData, interactions: pd.DataFrame) -> None:
        """Add interactions, with queries of `data`, of known or new users."""
        for user, total in _sums(data, interactions, self.temperature).items():
            self.log_likelihood[user] = self.log_likelihood.get(user, 0.0) + total

    def copy(self) -> Preferences:
        """Return beliefs that can change without changing these."""
        return Preferences(dict(self.log_likelihood), dict(self.stated), self.temperature, self.prior)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return (JSON-able settings, arrays)."""
        users = sorted(self.log_likelihood)
        table = np.array([self.log_likelihood[user] for user in users]).reshape(len(users), len(GRID))
        settings = {"users": users, "stated": dict(sorted(self.stated.items())), "temperature": self.temperature}
        return settings, {"log_likelihood": table, "prior": self.prior}

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Preferences:
        """Build the fitted object back from `state`."""
        table = dict(zip(settings["users"], arrays["log_likelihood"], strict=True))
        return cls(table, dict(settings["stated"]), float(settings["temperature"]), arrays["prior"])


def interaction_messages(data: RoutingData, interactions: pd.DataFrame, temperature: float) -> np.ndarray:
    """Return (M, len(GRID)) log-likelihoods of M interactions with queries of `data`; zeros where it has no outcome.

    A choice has the probability softmax(utility / temperature) among the LLMs observed on that query, but for LAPSES; a
    known reward adds Student's t around α·performance − (1−α)·cost of the chosen LLM.
    """
    rows, columns, usable = cells(data, interactions)
    messages = np.zeros((len(interactions), len(GRID)))
    performance, cost = data.performance, data.cost
    if not usable.any():
        return messages
    used, inverse = np.unique(rows[usable], return_inverse=True)
    # (queries, LLMs, grid)
    utility = performance[used][..., None] * GRID - cost[used][..., None] * (1 - GRID)
    logits = np.where(np.isfinite(utility), utility / temperature, -np.inf)
    top = logits.max(axis=1, keepdims=True)
    log_norm = top[:, 0] + np.log(np.exp(logits - top).sum(axis=1))
    offered = np.isfinite(logits[:, :, 0]).sum(axis=1)[inverse, None]
    meant = logits[inverse, columns[usable]] - log_norm[inverse] + np.log1p(-LAPSES)
    messages[usable] = np.logaddexp(meant, np.log(LAPSES / offered))
    reward = interactions["reward"].to_numpy(dtype=float)
    rated = usable & np.isfinite(reward)
    if rated.any():
        place = np.searchsorted(used, rows[rated])
        error = reward[rated][:, None] - utility[place, columns[rated]]
        messages[rated] -= 0.5 * (REWARD_TAIL + 1) * np.log1p((error / REWARD_STD) ** 2 / REWARD_TAIL)
    return messages


def _sums(data: RoutingData, interactions: pd.DataFrame, temperature: float) -> dict[str, np.ndarray]:
    """Return user_id -> (len(GRID),) sum of the messages, in blocks that bound the memory."""
    place, users = pd.factorize(interactions["user_id"], sort=True)
    sums = np.zeros((len(users), len(GRID)))
    for start in range(0, len(interactions), BLOCK):
        block = slice(start, start + BLOCK)
        np.add.at(sums, place[block], interaction_messages(data, interactions.iloc[block], temperature))
    return dict(zip(map(str, users), sums, strict=True))


def _posterior(prior: np.ndarray, log_likelihood: np.ndarray | None) -> np.ndarray:
    if log_likelihood is None:
        return prior
    logits = np.log(prior) + log_likelihood
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def _population(preferences: Preferences, flat: np.ndarray, rounds: int = 5) -> np.ndarray:
    if not preferences.log_likelihood:
        return flat
    prior = flat
    for _ in range(rounds):
        beliefs = [_posterior(prior, message) for message in preferences.log_likelihood.values()]
        prior = FLAT_SHARE * flat + (1 - FLAT_SHARE) * np.mean(beliefs, axis=0)
    return prior
