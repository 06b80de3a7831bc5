"""Two LLMs of a router, a weak and a strong one, and how much the strong one is needed for a prompt."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from configs.errors import InputError, did_you_mean
from graph.build import attach
from graph.graph_policy import GraphPolicy
from graph.platt import Platt
from graph.records import Alternative, Queries
from graph.router import Router

FOLDS = 5
GAIN_SCALE = 10.0  # a gain of 0.1 is one unit of log-odds before anything is fitted


class PairRouter(Protocol):
    """What chooses between two LLMs, from the text of a prompt alone."""

    @property
    def weak_id(self) -> str: ...

    @property
    def strong_id(self) -> str: ...

    def need(self, texts: Sequence[str]) -> np.ndarray:
        """Return (N,) calibrated probabilities in [0, 1] that the strong LLM is needed."""

    def expected(self, texts: Sequence[str]) -> np.ndarray | None:
        """Return (N, 2, 2): of weak and strong the expected performance and dollars; None where nothing is known."""


def needed(weak: np.ndarray, strong: np.ndarray) -> np.ndarray:
    """Return (N,) how far the strong LLM was needed: by how much its performance is the higher one, else 0.

    With right and wrong answers that is 1 where it alone was right, and the expectation of it a probability.
    """
    return np.maximum(strong - weak, 0.0)


def choose_pair(llm_ids: Sequence[str], performance: np.ndarray, cost: np.ndarray) -> tuple[str, str]:
    """Return (weak, strong) of the LLMs whose mean performance and cost, each (L,), are given; NaN for one unknown.

    Strong is the one of highest performance; of equal ones the dearer, then the last id. Weak is the cheapest that is
    cheaper than it: no other is both cheaper and better. Where none is cheaper, weak is the second best. With one known
    LLM it is both.
    """
    known = [i for i in range(len(llm_ids)) if np.isfinite(performance[i])] or list(range(len(llm_ids)))
    worth, price = np.nan_to_num(performance), np.nan_to_num(cost)
    by_strength = sorted(known, key=lambda i: (worth[i], price[i], llm_ids[i]))
    strong = by_strength.pop()
    if not by_strength:
        return llm_ids[strong], llm_ids[strong]
    cheaper = [i for i in by_strength if price[i] < price[strong]]
    weak = min(cheaper, key=lambda i: (price[i], -worth[i], llm_ids[i])) if cheaper else by_strength[-1]
    return llm_ids[weak], llm_ids[strong]


@dataclasses.dataclass(frozen=True)
class GraphPair:
    """Two LLMs of a graph router. `need` is a map of the difference of the performances it expects of them."""

    router: Router
    weak_id: str
    strong_id: str
    platt: Platt

    @classmethod
    def of(cls, router: Router, weak_id: str | None = None, strong_id: str | None = None) -> GraphPair:
        """Return the pair that is asked for, by default that of `choose_pair` on the known questions.

        It is calibrated on these questions, each predicted with its own outcomes hidden. Raises `InputError` for an
        unknown LLM, or the same one twice.
        """
        known = router.policy.remembered()
        chosen = choose_pair(router.llm_ids, observed_means(known.performance), observed_means(known.cost_usd))
        weak, strong = _asked(router.llm_ids, chosen, weak_id, strong_id)
        place = [router.llm_ids.index(weak), router.llm_ids.index(strong)]
        truth = known.performance[:, place]
        rows = np.flatnonzero(np.isfinite(truth).all(axis=1))
        label = needed(truth[rows, 0], truth[rows, 1])
        gain = np.diff(_held_out(router.policy, known.queries)[:, place], axis=1)[rows, 0]
        return cls(router, weak, strong, Platt.fit(GAIN_SCALE * gain, label))

    def need(self, texts: Sequence[str]) -> np.ndarray:
        """Return (N,) calibrated probabilities in [0, 1] that the strong LLM is needed."""
        found = self._alternatives(texts)
        gain = np.array([strong.utility - weak.utility for weak, strong in found])
        return self.platt.probability(GAIN_SCALE * gain)

    def expected(self, texts: Sequence[str]) -> np.ndarray:
        """Return (N, 2, 2): of weak and strong the expected performance and dollars."""
        values = [
            [(llm.expected_performance, llm.expected_cost_usd) for llm in pair] for pair in self._alternatives(texts)
        ]
        return np.array(values, dtype=np.float64).reshape(-1, 2, 2)

    def _alternatives(self, texts: Sequence[str]) -> list[tuple[Alternative, Alternative]]:
        """Return (weak, strong) of each text, as a user sees them to whom only performance counts."""
        count = len(texts)
        decisions = self.router.route_batch(texts, [""] * count, preferences=[1.0] * count)
        each = [{item.llm_id: item for item in decision.alternatives} for decision in decisions]
        return [(items[self.weak_id], items[self.strong_id]) for items in each]


def _held_out(policy: GraphPolicy, queries: Queries) -> np.ndarray:
    """Return (Q, num_llms) expected performance of the train queries, each with its own outcomes hidden.

    As in training: all outcomes of a fold are hidden while it is predicted. Seen ones would make it too sure.
    """
    fold = np.array([hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % FOLDS for name in queries.query_ids])
    found = np.zeros((len(queries), len(policy.llm_ids)))
    for number in range(FOLDS):
        rows = np.flatnonzero(fold == number)
        if not len(rows):
            continue
        part = queries.take(rows)
        target = attach(policy.graph, part, leave_out=torch.from_numpy(rows))
        with torch.no_grad():
            raw = policy.model(policy.graph, target, visible=torch.from_numpy(fold != number)).numpy()
        found[rows] = policy.utilities(part, raw.astype(np.float64), [""] * len(rows), [1.0] * len(rows))
    return found


def _asked(llm_ids: Sequence[str], chosen: tuple[str, str], weak: str | None, strong: str | None) -> tuple[str, str]:
    """Return (weak, strong) as asked; what is left open is as chosen, or the other of two."""
    for flag, name in (("--weak", weak), ("--strong", strong)):
        if name is not None and name not in llm_ids:
            raise InputError(
                f"{flag}: expected one of {', '.join(llm_ids)}, got {name!r}{did_you_mean(name, list(llm_ids))}; "
                "mend the id"
            )
    if weak is None:
        weak = chosen[0] if chosen[0] != strong else chosen[1]
    if strong is None:
        strong = chosen[1] if chosen[1] != weak else chosen[0]
    if weak == strong:
        raise InputError(f"--weak, --strong: expected two LLMs, got {weak!r} for both; name two")
    return weak, strong


def observed_means(values: np.ndarray) -> np.ndarray:
    """Return (L,) the means of the observed cells of (Q, L); NaN for an LLM without any."""
    seen = np.isfinite(values)
    count = seen.sum(axis=0)
    return np.divide(np.where(seen, values, 0.0).sum(axis=0), count, out=np.full(len(count), np.nan), where=count > 0)
