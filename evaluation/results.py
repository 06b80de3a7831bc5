"""What an evaluation hands to the summary, the plots and the report."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from configs.errors import InputError
from data_processing.tables import CostKind

GRAPH, ORACLE, FLOOR = "graph", "oracle", "best_single_per_user"
FLOORS = ("random", "cheapest", "best_single", "best_single_per_user", "best_single_per_task")
LABELS = {
    "graph": "graph router",
    "oracle": "oracle",
    "random": "random choice",
    "cheapest": "cheapest LLM",
    "best_single": "best single LLM",
    "best_single_per_user": "best single LLM per user",
    "best_single_per_task": "best single LLM per task",
}

ROW_KEY = ["policy", "user_id", "query_id"]
MEASURES = ["reward", "performance", "cost", "cost_usd", "best", "best_in_top3"]
DECISION_COLUMNS = [
    *ROW_KEY,
    "task_id",
    "llm_id",
    "performance",
    "cost",
    "cost_usd",
    "reward",
    "best",
    "best_in_top3",
    "expected_performance",
    "expected_cost_usd",
    "confidence",
]
HISTORY_COLUMNS = ["epoch", "train_loss", "validation_loss", "validation_reward"]
STUDY_COLUMNS = ["panel", "series", "x", "repeat", "reward", "accuracy", "reference"]
_COLUMNS = {
    "decisions": DECISION_COLUMNS,
    "singles": ["llm_id", "performance", "cost", "cost_usd"],
    "timings": ["policy", "fit_seconds", "route_ms_per_query"],
    "history": HISTORY_COLUMNS,
    "users": ["user_id", "kind", "preference", "inferred_preference"],
    "llms": ["llm_id", "description"],
    "study": STUDY_COLUMNS,
}


@dataclasses.dataclass(frozen=True)
class RepeatResult:
    """One repeat: a split (or seed), every policy on the same test rows.

    `decisions`: one row per (policy, user_id, query_id), columns `DECISION_COLUMNS`. `llm_id` is the chosen LLM;
    `performance`, `cost` (scaled, [0, 1]) and `cost_usd` are what it had; `reward` uses the user's true preference (NaN
    for personas); `best` is whether the choice attains the oracle's reward on that row, ties count (for personas:
    agreement with the judge), `best_in_top3` whether one of the policy's first three does; `confidence` how likely the
    policy held its choice to be the best; `expected_*` is what the policy predicted, NaN where it predicts none.
    `singles`: llm_id, performance, cost, cost_usd: means over the test queries of always using that LLM.
    `timings`: policy, fit_seconds, route_ms_per_query. `history`: the graph's training, columns `HISTORY_COLUMNS`,
    without rows where there was none. `chosen_epoch`: the epoch kept; None: the best by validation. `judge_ceiling`:
    the accuracy of always naming the answer that a persona is likeliest to pick, having read all; NaN where unknown.
    `pair` is what policies expect of two LLMs (`strong_weak.pair_scores`), `deferral` what they reach as costs weigh
    more or less (`deferral.deferral_points`); both empty where there is no such thing.
    """

    repeat: int
    decisions: pd.DataFrame
    singles: pd.DataFrame
    timings: pd.DataFrame
    history: pd.DataFrame
    num_train: int
    num_validation: int
    num_test: int
    chosen_epoch: int | None = None
    judge_ceiling: float = float("nan")
    pair: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    deferral: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)


@dataclasses.dataclass(frozen=True)
class Results:
    """All repeats of one experiment and what a reader needs to judge them.

    `users`: user_id, kind, preference (NaN for personas), inferred_preference (NaN where the router inferred none);
    taste, where they are personas: what the router inferred, in words.
    `llms`: llm_id, description, prices. `cost_usd` is in dollars only where `cost_kind` is published or computed.
    `studies`: name -> what was fitted again or added afterwards, columns `STUDY_COLUMNS`, one row per (panel, series,
    x, repeat): `x` is NaN without an axis and infinite for "all"; `reward` and `accuracy` are means over test rows;
    `reference` is the reward (accuracy where users have none) of what it is compared with, NaN without.
    `query_map`: the train queries on a map (graph/query_map.py), where the encoder was trained; else None.
    """

    dataset: str
    simulated: bool
    cost_kind: CostKind
    notes: tuple[str, ...]
    config_yaml: str
    users: pd.DataFrame
    llms: pd.DataFrame
    repeats: list[RepeatResult]
    studies: dict[str, pd.DataFrame] = dataclasses.field(default_factory=dict)
    query_map: pd.DataFrame | None = None

    @functools.cached_property
    def decisions(self) -> pd.DataFrame:
        """The decisions of all repeats, with a column `repeat` first."""
        table = concat_decisions([repeat.decisions[DECISION_COLUMNS] for repeat in self.repeats])
        number = [np.full(len(repeat.decisions), repeat.repeat) for repeat in self.repeats]
        table.insert(0, "repeat", np.concatenate(number))
        return table

    @functools.cached_property
    def pair(self) -> pd.DataFrame:
        """What policies expect of two LLMs, of all repeats; empty unless there are exactly two."""
        return pd.concat([repeat.pair for repeat in self.repeats], ignore_index=True)

    @functools.cached_property
    def deferral(self) -> pd.DataFrame:
        """What policies reach as costs weigh more or less, of all repeats; empty where nothing costs anything."""
        return pd.concat([repeat.deferral for repeat in self.repeats], ignore_index=True)

    @property
    def judged(self) -> bool:
        """Whether the users are personas, who have no reward."""
        return bool((self.users["kind"] == "persona").all())

    @property
    def in_dollars(self) -> bool:
        return self.cost_kind in ("published", "computed")

    @property
    def has_cost(self) -> bool:
        return self.cost_kind != "none"


def all_decisions(results: Results) -> pd.DataFrame:
    """Return the decisions of all repeats under one another, with a column `repeat` first. Not to be changed."""
    return results.decisions


def concat_decisions(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Return tables of decisions under one another; ids stay categories, which millions of rows need."""
    whole = {}
    for column in parts[0].columns:
        pieces = [part[column] for part in parts]
        if all(isinstance(piece.dtype, pd.CategoricalDtype) for piece in pieces):
            whole[column] = pd.Series(union_categoricals(pieces, sort_categories=True))
        else:
            whole[column] = pd.concat(pieces, ignore_index=True)
    return pd.DataFrame(whole)


def mean_singles(results: Results) -> pd.DataFrame:
    """Return llm_id, performance, cost, cost_usd of always using one LLM: means over repeats, strongest first."""
    singles = pd.concat([repeat.singles for repeat in results.repeats])
    means = singles.groupby("llm_id")[["performance", "cost", "cost_usd"]].mean().reset_index()
    return means.sort_values(["performance", "cost_usd", "llm_id"], ascending=[False, True, True], ignore_index=True)


def chosen_epoch(repeat: RepeatResult) -> int | None:
    """Return the epoch kept: as told, else the first with the best validation reward, else with the lowest loss."""
    if repeat.chosen_epoch is not None:
        return repeat.chosen_epoch
    for column, sign in (("validation_reward", 1), ("validation_loss", -1)):
        known = repeat.history.dropna(subset=[column])
        if len(known):
            return int(known["epoch"].to_numpy()[int((sign * known[column].to_numpy()).argmax())])
    return None


def validate(results: Results) -> None:
    """Check columns, ids and that every policy was run on the same rows of every repeat; raise `InputError`.

    A policy that skipped rows would be compared on easier or harder ones, so that is an error and not a gap.
    """
    if not results.repeats:
        raise InputError("results: expected at least one repeat, got none; run the evaluation first")
    numbers = [repeat.repeat for repeat in results.repeats]
    if len(set(numbers)) != len(numbers):
        raise InputError(f"results: expected different repeat numbers, got {numbers}; number the repeats")
    for name in ("users", "llms"):
        _check_columns(name, getattr(results, name))
    policies = set(results.repeats[0].decisions["policy"])
    for repeat in results.repeats:
        for name in ("decisions", "singles", "timings", "history"):
            _check_columns(f"repeat {repeat.repeat}: {name}", getattr(repeat, name))
        _check_ids(results, repeat)
        _check_same_rows(repeat, policies)
    for name, study in results.studies.items():
        _check_columns(f"{name}: study", study)
        key = ["panel", "series", "x", "repeat"]
        if study.duplicated(key).any():
            first = study.loc[study.duplicated(key), key].iloc[0].tolist()
            raise InputError(
                f"results, study {name}: expected one row per ({', '.join(key)}), got two of {first}; drop one"
            )


def _check_columns(where: str, table: pd.DataFrame) -> None:
    wanted = _COLUMNS[where.rsplit(": ", 1)[-1]]
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        raise InputError(
            f"results, {where}: expected columns {', '.join(wanted)}, missing {', '.join(missing)}; add them"
        )


def _check_ids(results: Results, repeat: RepeatResult) -> None:
    known = {"user_id": set(results.users["user_id"]), "llm_id": set(results.llms["llm_id"])}
    for column, ids in known.items():
        unknown = sorted(set(repeat.decisions[column]) - ids)
        if unknown:
            raise InputError(
                f"results, repeat {repeat.repeat}: expected a known {column} in decisions, got {unknown[0]!r}; "
                f"add it to {column.removesuffix('_id')}s"
            )


def _check_same_rows(repeat: RepeatResult, policies: set[str]) -> None:
    decisions = repeat.decisions
    where = f"results, repeat {repeat.repeat}"
    found = set(decisions["policy"])
    if decisions.empty or found != policies:
        raise InputError(
            f"{where}: expected rows of the policies {', '.join(sorted(policies)) or '(none)'} as in the first repeat, "
            f"got {', '.join(sorted(found)) or 'none'}; run every policy in every repeat"
        )
    if decisions.duplicated(ROW_KEY).any():
        first = decisions.loc[decisions.duplicated(ROW_KEY), ROW_KEY].iloc[0].tolist()
        raise InputError(f"{where}: expected one row per (policy, user, query), got two of {first}; drop one")
    per_row = decisions.groupby(["user_id", "query_id"])["policy"].size()
    if (per_row != len(found)).any():
        user, query = per_row.index[int(np.flatnonzero(per_row != len(found))[0])]
        raise InputError(
            f"{where}: expected every policy on every test row, user {user!r} and query {query!r} has "
            f"{int(per_row.loc[(user, query)])} of {len(found)}; run the policies on the same rows"
        )
