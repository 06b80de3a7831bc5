"""What the studies share: their long table, one fitted policy, and its score on the test split.

A study fits again, or adds users or LLMs afterwards, and scores the result on the same test rows as the main run. Its
table has one row per (panel, series, x, repeat), columns `evaluation.results.STUDY_COLUMNS`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd

from baselines.oracle import OraclePolicy
from configs.schema import Config, Evaluate
from evaluation.evaluate import Fitted, evaluate, fit_policies
from evaluation.results import GRAPH, STUDY_COLUMNS
from graph.graph_policy import GraphPolicy
from graph.policy import Policy
from graph.records import Queries
from graph.routing_data import PreparedData

NO_AXIS, ALL = math.nan, math.inf


@dataclasses.dataclass(frozen=True)
class Setting:
    """One repeat of the main run, as the studies need it.

    `prepare_with` prepares the same dataset and split under another configuration; `fitted` are the policies of the
    main run, by name, trained on `prepared`.
    """

    config: Config
    prepare_with: Callable[[Config], PreparedData]
    prepared: PreparedData
    fitted: dict[str, Fitted]
    seed: int
    repeat: int
    progress: bool = False

    @property
    def graph(self) -> GraphPolicy:
        """The fully trained graph router of the main run."""
        policy = self.fitted[GRAPH].policy
        assert isinstance(policy, GraphPolicy)
        return policy


@dataclasses.dataclass(frozen=True)
class Score:
    """Means over test rows: `reward` (NaN where no user has one) and `accuracy`, the share of best choices."""

    reward: float
    accuracy: float

    @property
    def value(self) -> float:
        """The reward, or the accuracy where users have no reward."""
        return self.accuracy if math.isnan(self.reward) else self.reward


def row(
    setting: Setting, series: str, score: Score, panel: str = "", x: float = NO_AXIS, reference: float = math.nan
) -> dict[str, Any]:
    """Return one row of a study's table; `x` is NaN where there is no axis and infinite for "all"."""
    values = (panel, series, float(x), setting.repeat, score.reward, score.accuracy, float(reference))
    return dict(zip(STUDY_COLUMNS, values, strict=True))


def table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows as a study's table."""
    return pd.DataFrame(list(rows), columns=STUDY_COLUMNS)


def fit(name: str, setting: Setting, prepared: PreparedData, config: Config | None = None) -> Policy:
    """Return policy `name` fitted on train and validation of `prepared`, seeded as in the main run.

    Raises `KeyboardInterrupt` where Ctrl-C cut the training: half a training must not pass for a row of a table.
    """
    config = config or setting.config
    alone = config.model_copy(update={"evaluate": _only(name)})
    policy = fit_policies(prepared, alone, setting.seed, setting.progress)[name].policy
    if isinstance(policy, GraphPolicy) and policy.interrupted:
        raise KeyboardInterrupt
    return policy


def fit_graph(setting: Setting, prepared: PreparedData, config: Config | None = None) -> GraphPolicy:
    """Return the graph router fitted on `prepared`; see `fit`."""
    policy = fit(GRAPH, setting, prepared, config)
    assert isinstance(policy, GraphPolicy)
    return policy


def score(policy: Policy, prepared: PreparedData, users: Sequence[str] | None = None) -> Score:
    """Return the means over all test rows of `users` (all where None), for any policy that is not the oracle.

    Columns are joined by LLM id. An LLM that the policy does not know is chosen only where no other was observed.
    """
    aligned = AlignedPolicy(policy, prepared.test.llm_ids)
    return _evaluated(GRAPH, {GRAPH: Fitted(aligned, 0.0)}, prepared, users)


def score_oracle(prepared: PreparedData, users: Sequence[str] | None = None) -> Score:
    """Return the oracle's means over the test rows of `users`."""
    return _evaluated(OraclePolicy.name, {}, prepared, users)


def _evaluated(name: str, fitted: dict[str, Fitted], prepared: PreparedData, users: Sequence[str] | None) -> Score:
    # The ceiling has a row per user of the main run and is not needed here.
    prepared = dataclasses.replace(prepared, ceiling=None)
    if users is not None:
        asked = prepared.true_users["user_id"].isin(list(users))
        prepared = dataclasses.replace(prepared, true_users=prepared.true_users[asked].reset_index(drop=True))
    decisions = evaluate(prepared, fitted, Config(evaluate=_only(name)), 0).decisions
    return Score(float(decisions["reward"].mean()), float(decisions["best"].mean()))


def _only(name: str) -> Evaluate:
    return Evaluate.model_validate({"policies": (name,)})


def judged_by(prepared: PreparedData, variant: PreparedData) -> PreparedData:
    """Return `prepared` with the test queries as `variant` featurises them.

    A variant may scale costs by other (thinner) train rows. Rewards, costs and users stay those of `prepared`, so that
    all variants are judged by one measure. Test queries are joined by id.
    """
    place = pd.Index(variant.test.queries.query_ids).get_indexer(pd.Index(prepared.test.queries.query_ids))
    if (place < 0).any() or len(place) != len(variant.test.queries):
        raise RuntimeError("a variant of the experiment has other test queries than the experiment")
    queries = variant.test.queries.take(place)
    return dataclasses.replace(prepared, test=dataclasses.replace(prepared.test, queries=queries))


def nested_draw(ids: Sequence[str], seed: int, name: str) -> list[str]:
    """Return `ids` in a random order that depends on their set, `seed` and `name` alone.

    The first k of it are a random draw, and those of a larger k contain those of a smaller.
    """
    ordered = sorted(ids)
    order = np.random.default_rng([seed, *name.encode("utf-8", "surrogatepass")]).permutation(len(ordered))
    return [ordered[place] for place in order]


class AlignedPolicy(Policy):
    """A fitted policy, with one column per given LLM in that order; an LLM it does not know comes last in every row."""

    name: ClassVar[str] = "aligned"

    def __init__(self, policy: Policy, llm_ids: Sequence[str]) -> None:
        self.policy = policy
        self.llm_ids = list(llm_ids)

    def scores(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        return self._aligned(self.policy.scores(queries, users))

    def grid(self, queries: Queries, users: Sequence[str]) -> np.ndarray:
        return self._aligned(self.policy.grid(queries, users))

    def _aligned(self, scores: np.ndarray) -> np.ndarray:
        place = pd.Index(self.policy.llm_ids).get_indexer(pd.Index(self.llm_ids))
        # Below all others rather than −inf: on a query that only the unknown LLM answered, that one is left.
        last = scores.min(axis=-1, keepdims=True) - 1.0
        return np.where(place >= 0, scores[..., place], last)

    def fit(self, train: object, validation: object) -> Self:
        raise TypeError("AlignedPolicy wraps a fitted policy; fit that one")

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        raise TypeError("AlignedPolicy is not kept; save the policy in it")

    @classmethod
    def from_state(cls, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        raise TypeError("AlignedPolicy is not kept; load the policy in it")
