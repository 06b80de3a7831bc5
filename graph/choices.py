"""What users chose, as arrays: which answers a choice stands for, and how popular each LLM's answers are.

LLMs often give word for word the same answer, and a user who reads answers cannot prefer one of two equal ones. A
choice is therefore a choice of a text: every LLM that gave it is right.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from graph.records import RoutingData


@dataclasses.dataclass(frozen=True)
class Chosen:
    """M interactions as places: `user` (M,) row of the given users, `query` (M,) row, `llm` (M,) column of the data."""

    user: np.ndarray
    query: np.ndarray
    llm: np.ndarray


def places(data: RoutingData, interactions: pd.DataFrame, users: list[str]) -> Chosen:
    """Return the interactions of `users` with queries of `data` whose chosen LLM has an outcome there; others go."""
    user = pd.Index(users).get_indexer(pd.Index(interactions["user_id"]))
    query, llm, usable = cells(data, interactions)
    usable &= user >= 0
    return Chosen(user[usable], query[usable], llm[usable])


def cells(data: RoutingData, interactions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row and column of `data` of each of M interactions, (M,) each, and whether there is an outcome (M,)."""
    query = pd.Index(data.queries.query_ids).get_indexer(pd.Index(interactions["query_id"]))
    llm = pd.Index(data.llm_ids).get_indexer(pd.Index(interactions["llm_id"]))
    usable = (query >= 0) & (llm >= 0)
    usable[usable] = np.isfinite(data.performance[query[usable], llm[usable]])
    return query, llm, usable


def answer_classes(data: RoutingData) -> np.ndarray:
    """Return (Q, L): a number of the distinct answer within its row, −1 where nothing was observed."""
    seen = np.isfinite(data.performance)
    own = data.answers if data.answers is not None else np.broadcast_to(np.arange(seen.shape[1]), seen.shape)
    return np.where(seen, own, -1)


def hits(data: RoutingData, chosen: Chosen) -> np.ndarray:
    """Return (M, L) of bool: which LLMs gave the answer that was chosen."""
    classes = answer_classes(data)
    return classes[chosen.query] == classes[chosen.query, chosen.llm][:, None]


def shares(data: RoutingData) -> np.ndarray:
    """Return (Q, L): the share of a query's users who chose the answer of each LLM; NaN where nobody chose or saw."""
    chosen = places(data, data.interactions, data.user_ids)
    count = np.bincount(chosen.query, minlength=len(data.queries)).astype(float)
    total = np.zeros(data.performance.shape)
    np.add.at(total, chosen.query, hits(data, chosen))
    share = np.divide(total, count[:, None], out=np.full(total.shape, np.nan), where=count[:, None] > 0)
    return np.where(np.isfinite(data.performance), share, np.nan)


def popularity_view(data: RoutingData) -> RoutingData:
    """Return `data` as its users' choices tell it: `performance` is the share of users who chose the answer, no cost.

    Where users have preferences, `data` itself: for personas, who only choose, policies predict popularity instead.
    """
    if not data.judged:
        return data
    share = shares(data)
    return dataclasses.replace(data, performance=share, cost=np.where(np.isfinite(share), 0.0, np.nan))


@dataclasses.dataclass(frozen=True)
class Answers:
    """The answers to Q queries as a persona sees them.

    Shapes: `properties` (Q, L, K) of each LLM's answer, the first being performance; `classes` (Q, L) numbers the
    distinct answers within each row, −1 where there is none.
    """

    properties: np.ndarray
    classes: np.ndarray

    @classmethod
    def of(cls, data: RoutingData) -> Answers:
        """Return the answers of `data`: properties are performance and, where texts are known, their attributes."""
        parts = [data.performance[..., None]] + ([] if data.attributes is None else [data.attributes])
        return cls(np.concatenate(parts, axis=2), answer_classes(data))

    def distinct(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return features (Q, L, D) of the distinct answers, of which a row has at most L, and which exist (Q, L).

        Shapes: `features` (Q, L, D) of each LLM's answer; a distinct answer has their mean over the LLMs that gave it.
        """
        member = self.classes[:, None, :] == np.arange(self.classes.shape[1])[None, :, None]
        size = member.sum(axis=2)
        weight = member / np.maximum(size, 1)[..., None]
        return np.matmul(weight, np.where(np.isfinite(features), features, 0.0)), size > 0
