"""What a persona's choices say about its taste: which properties of an answer, and which LLMs, it prefers.

A persona picks among the distinct answers to a query with probability softmax(taste · properties), a conditional logit
model (McFadden 1974). Tastes differ between users around a population, a Gaussian whose mean and covariance are learnt
from all users by expectation-maximisation (a mixed logit): a user with few choices stays near the population and
follows it along the directions in which people differ. A user's taste is inferred from the user's own edges by a few
Newton steps on the posterior; no parameter of the model is touched, so that a new user needs no training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graph.choices import Answers, Chosen, places
from graph.records import RoutingData

START_VARIANCE = 0.02  # of the population; it grows where users differ. From a large one EM does not come down
ROUNDS = 12
NEWTON_STEPS = 5
MAX_STEP = 3.0
EM_USERS, EM_CHOICES = 500, 100  # the population needs no more than a sample
MAX_CHOICES = 400  # of one user at once: more change no decision
TOLD, FAINT = 3, 0.05  # leanings that are put into words, and how strong one must be
CROWD = 64  # users whose mean a stranger gets
BLOCK = 8_000  # interactions held at once
PRIOR_USERS = 1.0  # the covariance's own pseudo-count, of START_VARIANCE


class Tastes:
    """A Gaussian belief over the taste of each user, D = K properties + L LLMs.

    `mean` (D,) and `covariance` (D, D): the population. `users`: user_id -> (mean (D,), precision (D, D)).
    `names`: the K properties, the first being performance.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        llm_ids: list[str],
        mean: np.ndarray,
        covariance: np.ndarray,
        users: dict[str, tuple[np.ndarray, np.ndarray]],
    ) -> None:
        self.names = names
        self.llm_ids = llm_ids
        self.mean = mean
        self.covariance = covariance
        self.users = users

    @classmethod
    def fit(cls, train: RoutingData, seed: int = 0) -> Tastes:
        """Learn the population from a sample of users, then the taste of each user from what the user chose."""
        tastes = cls.population_of(train, seed)
        tastes.observe(train)
        return tastes

    @classmethod
    def population_of(cls, train: RoutingData, seed: int = 0) -> Tastes:
        """Learn the population alone: every user gets its taste (an ablation)."""
        names = ("performance", *train.attribute_names)
        size = len(names) + len(train.llms)
        tastes = cls(names, train.llm_ids, np.zeros(size), START_VARIANCE * np.eye(size), {})
        users, chosen = _by_user(train, sorted(train.user_ids))
        sample = _sampled(chosen, seed)
        active = np.unique(sample.user)
        if not len(active):
            return tastes
        answers = Answers.of(train)
        design = (*tastes._design(answers), answers.classes)
        before = np.zeros((len(users), size))
        for _ in range(ROUNDS):
            second = np.zeros((size, size))
            means = np.zeros((len(users), size))
            precision = np.linalg.inv(tastes.covariance)
            for some, block in _blocks(sample, len(users), EM_CHOICES):
                start = before[some] if before.any() else np.tile(tastes.mean, (len(some), 1))
                prior = np.broadcast_to(precision, (len(some), size, size))
                found, hessian = _newton(design, block, np.tile(tastes.mean, (len(some), 1)), prior, start)
                means[some] = found
                second += np.linalg.inv(hessian).sum(axis=0)
            before = means
            tastes.mean = means[active].mean(axis=0)
            spread = means[active] - tastes.mean
            floor = PRIOR_USERS * START_VARIANCE * np.eye(size)
            tastes.covariance = (spread.T @ spread + second + floor) / (len(active) + PRIOR_USERS)
        return tastes

    def observe(self, data: RoutingData) -> None:
        """Update known users, or meet new ones, by the interactions of `data`, whose LLMs are those of `llm_ids`."""
        users, chosen = _by_user(data, sorted(set(data.interactions["user_id"])))
        if data.llm_ids != self.llm_ids:
            raise ValueError(f"expected the LLMs {self.llm_ids} in this order, got {data.llm_ids}")
        answers = Answers.of(data)
        design = (*self._design(answers), answers.classes)
        inverse = np.linalg.inv(self.covariance)
        for some, block in _blocks(chosen, len(users), MAX_CHOICES):
            known = [self.users.get(users[place], (self.mean, inverse)) for place in some]
            mean, precision = np.stack([pair[0] for pair in known]), np.stack([pair[1] for pair in known])
            found, hessian = _newton(design, block, mean, precision, mean)
            for row, place in enumerate(some):
                self.users[users[place]] = (found[row], hessian[row])

    def taste(self, user_ids: Sequence[str]) -> np.ndarray:
        """Return (N, D): the expected taste of each user, the population's where nothing is known."""
        nobody = (self.mean, None)
        return np.array([self.users.get(user, nobody)[0] for user in user_ids]).reshape(len(user_ids), len(self.mean))

    def source(self, user_id: str) -> str:
        """Return where the taste comes from: 'inferred' or 'population'."""
        return "inferred" if user_id in self.users else "population"

    def words(self, user_id: str) -> str:
        """Return the taste's largest leanings as text, such as `Likes performance and lists, dislikes length`."""
        taste = self.taste([user_id])[0][: len(self.names)]
        order = [place for place in np.argsort(-np.abs(taste), kind="stable")[:TOLD] if abs(taste[place]) > FAINT]
        parts = []
        for verb, sign in (("likes", 1), ("dislikes", -1)):
            named = [self.names[place].replace("_", " ") for place in order if sign * taste[place] > 0]
            if named:
                parts.append(f"{verb} {' and '.join(named)}")
        return ", ".join(parts).capitalize() or "Has no marked taste"

    def liking(self, answers: Answers, user_ids: Sequence[str]) -> np.ndarray:
        """Return (Q, L, N): the chance that each user would pick the answer of each LLM, having read them all.

        It is what the user's choices would be on queries that the user never saw. A user of whom nothing is known picks
        as the mean of the users who are.
        """
        strangers = [row for row, user in enumerate(user_ids) if user not in self.users]
        crowd = sorted(self.users)[:: 1 + len(self.users) // CROWD] if strangers else []
        found = self._liking(answers, self.taste([*user_ids, *crowd]))
        own = found[..., : len(user_ids)]
        if crowd:
            own[..., strangers] = found[..., len(user_ids) :].mean(axis=2, keepdims=True)
        return own

    def _liking(self, answers: Answers, taste: np.ndarray) -> np.ndarray:
        features, exists = self._design(answers)
        logits = features @ taste.T
        logits[~exists] = -np.inf
        chance = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-1e300))
        chance /= np.maximum(chance.sum(axis=1, keepdims=True), 1e-300)
        picked = np.take_along_axis(chance, answers.classes.clip(min=0)[..., None], axis=1)
        return np.where((answers.classes >= 0)[..., None], picked, 0.0)

    def with_llm(self, llm_id: str) -> Tastes:
        """Return tastes over one more LLM: liked as the mean of the others, without a preference of its own."""
        number = len(self.names)
        size = len(self.mean)
        # The new liking is exactly the mean of the others: one more row that is a mix of rows.
        grow = np.vstack([np.eye(size), np.r_[np.zeros(number), np.full(size - number, 1 / (size - number))]])
        covariance = grow @ self.covariance @ grow.T
        covariance[-1, -1] += START_VARIANCE
        users = {}
        for user, (mean, precision) in self.users.items():
            wide = np.zeros((size + 1, size + 1))
            wide[:size, :size] = precision
            lift = np.r_[-grow[-1], 1.0]
            wide += np.outer(lift, lift) / START_VARIANCE
            users[user] = (grow @ mean, wide)
        return Tastes(self.names, [*self.llm_ids, llm_id], grow @ self.mean, covariance, users)

    def without_llm(self, llm_id: str) -> Tastes:
        """Return tastes that have forgotten the LLM."""
        gone = len(self.names) + self.llm_ids.index(llm_id)
        keep = np.delete(np.arange(len(self.mean)), gone)
        users = {}
        for user, (mean, precision) in self.users.items():
            # Marginal of the Gaussian: the Schur complement in the precision.
            rest = precision[np.ix_(keep, keep)]
            edge = precision[keep, gone]
            users[user] = (mean[keep], rest - np.outer(edge, edge) / precision[gone, gone])
        llm_ids = [name for name in self.llm_ids if name != llm_id]
        return Tastes(self.names, llm_ids, self.mean[keep], self.covariance[np.ix_(keep, keep)], users)

    def copy(self) -> Tastes:
        """Return tastes whose users can change without changing these."""
        return Tastes(self.names, self.llm_ids, self.mean, self.covariance, dict(self.users))

    def _design(self, answers: Answers) -> tuple[np.ndarray, np.ndarray]:
        """Return (Q, L, D) and (Q, L) of the distinct answers: their properties, then which LLMs gave them."""
        count = len(self.llm_ids)
        likes = np.broadcast_to(np.eye(count), (len(answers.classes), count, count))
        return answers.distinct(np.concatenate([answers.properties, likes], axis=2))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return (JSON-able settings, arrays)."""
        users = sorted(self.users)
        size = len(self.mean)
        arrays = {
            "mean": self.mean,
            "covariance": self.covariance,
            "user_mean": np.array([self.users[user][0] for user in users]).reshape(len(users), size),
            "user_precision": np.array([self.users[user][1] for user in users]).reshape(len(users), size, size),
        }
        return {"names": list(self.names), "llm_ids": self.llm_ids, "users": users}, arrays

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Tastes:
        """Build the fitted object back from `state`."""
        pairs = zip(arrays["user_mean"], arrays["user_precision"], strict=True)
        users = dict(zip(settings["users"], pairs, strict=True))
        return cls(tuple(settings["names"]), settings["llm_ids"], arrays["mean"], arrays["covariance"], users)


def _by_user(data: RoutingData, users: list[str]) -> tuple[list[str], Chosen]:
    """Return users and their interactions in an order that does not depend on that of the table."""
    chosen = places(data, data.interactions, users)
    names, llms = np.asarray(data.queries.query_ids).astype(str), np.asarray(data.llm_ids).astype(str)
    order = np.lexsort((llms[chosen.llm], names[chosen.query], chosen.user))
    return users, Chosen(chosen.user[order], chosen.query[order], chosen.llm[order])


def _sampled(chosen: Chosen, seed: int) -> Chosen:
    """Return the choices of at most EM_USERS users."""
    active = np.unique(chosen.user)
    if len(active) > EM_USERS:
        active = np.sort(np.random.default_rng(seed).choice(active, EM_USERS, replace=False))
    keep = np.isin(chosen.user, active)
    return Chosen(chosen.user[keep], chosen.query[keep], chosen.llm[keep])


def _blocks(chosen: Chosen, users: int, most: int) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
    """Yield (B,) users and their choices, padded to (B, n): queries, LLMs and which are real; n is at most `most`.

    Of longer histories evenly spaced choices are kept. Users with like numbers of choices share a block.
    """
    count = np.bincount(chosen.user, minlength=users)
    start = np.concatenate([[0], count.cumsum()])[:-1]
    order = [user for user in np.argsort(count, kind="stable") if count[user]]
    at = 0
    while at < len(order):
        end = at + 1
        while end < len(order) and (end + 1 - at) * min(count[order[end]], most) <= BLOCK:
            end += 1
        some = np.array(order[at:end])
        width = int(min(count[some].max(), most))
        step = np.maximum(count[some] / width, 1.0)
        offset = (np.arange(width)[None] * step[:, None]).astype(int)
        real = offset < count[some][:, None]
        rows = start[some][:, None] + np.where(real, offset, 0)
        yield some, (chosen.query[rows], chosen.llm[rows], real)
        at = end


def _newton(
    design: tuple[np.ndarray, np.ndarray, np.ndarray],
    block: tuple[np.ndarray, ...],
    mean: np.ndarray,
    precision: np.ndarray,
    start: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mode (B, D) and its negative Hessian (B, D, D) of log prior + log-likelihood of B users' choices."""
    table, exists, classes = design
    query, llm, real = block
    x = table[query]
    hidden = ~exists[query]
    picked = np.take_along_axis(x, classes[query, llm][..., None, None], axis=2)[:, :, 0]
    wanted = (picked * real[..., None]).sum(axis=1)
    taste = start
    hessian = precision
    for _ in range(NEWTON_STEPS):
        logits = np.matmul(x.reshape(len(x), -1, x.shape[-1]), taste[..., None]).reshape(x.shape[:3])
        logits[hidden] = -np.inf
        chance = np.exp(logits - logits.max(axis=2, keepdims=True))
        chance *= real[..., None] / chance.sum(axis=2, keepdims=True)
        middle = np.matmul(chance[:, :, None], x)[:, :, 0]
        offset = np.matmul(precision, (taste - mean)[..., None])[..., 0]
        gradient = wanted - middle.sum(axis=1) - offset
        scaled = (x * np.sqrt(chance)[..., None]).reshape(len(x), -1, x.shape[-1])
        hessian = np.matmul(scaled.transpose(0, 2, 1), scaled) - np.matmul(middle.transpose(0, 2, 1), middle)
        hessian = hessian + precision
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        longest = np.abs(step).max(axis=1, keepdims=True)
        taste = taste + step * np.minimum(1.0, MAX_STEP / np.maximum(longest, 1e-12))
    return taste, hessian
