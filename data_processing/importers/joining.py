"""A training set and a separate test set as one dataset, with nothing of the test set left in training."""

from __future__ import annotations

import dataclasses

import pandas as pd

from configs.errors import InputError, did_you_mean
from data_processing.importers.describe import plural
from data_processing.tables import Dataset


def join_train_and_test(train: Dataset, test: Dataset) -> tuple[Dataset, frozenset[str]]:
    """Return one dataset and the ids of its test queries.

    A training query whose text is in the test set is removed from training, even where it stands under another task
    or with other white space: this is where a leak would happen. LLMs that only training has are dropped, LLMs that
    only the test set has raise `InputError`, as do two kinds of cost and users who are not the same in both.
    """
    _check_fit(train, test)
    notes = [*train.notes, *(f"test set: {note}" for note in test.notes)]
    train = _only_llms(train, list(test.llms["llm_id"]), notes)
    seen = set(test.queries["query"].map(_spelling))
    overlap = train.queries["query"].map(_spelling).isin(seen)
    if overlap.any():
        notes.append(
            f"{plural(int(overlap.sum()), 'train query', 'train queries')} also in the test set removed from train"
        )
    train = _only_queries(train, set(train.queries.loc[~overlap, "query_id"]))
    if train.queries.empty:
        raise InputError(
            f"{train.name}: expected train queries that are not in the test set, got none; check data.path"
        )
    test_ids = frozenset(test.queries["query_id"])
    joined = dataclasses.replace(
        train,
        tasks=_first(train.tasks, test.tasks, "task_id"),
        queries=_below(train.queries, test.queries),
        outcomes=_below(train.outcomes, test.outcomes),
        users=_first(train.users, test.users, "user_id"),
        interactions=_below(train.interactions, test.interactions),
        notes=tuple(notes),
    )
    return joined, test_ids


def _check_fit(train: Dataset, test: Dataset) -> None:
    known = list(train.llms["llm_id"])
    for llm_id in test.llms["llm_id"]:
        if llm_id not in known:
            raise InputError(
                f"{test.name}: expected only LLMs of the training set in the test set ({', '.join(known)}), "
                f"got {llm_id!r}{did_you_mean(llm_id, known)}; remove it from data.test_path or add it to data.path"
            )
    if train.cost_kind != test.cost_kind:
        raise InputError(
            f"{test.name}: expected one kind of cost, got {train.cost_kind} in data.path and {test.cost_kind} in "
            "data.test_path; give both sets costs of the same kind"
        )
    both = train.users.merge(test.users, on="user_id", suffixes=("_train", "_test"))
    for column in ("kind", "preference", "persona"):
        left, right = both[f"{column}_train"], both[f"{column}_test"]
        other = both[(left != right) & ~(left.isna() & right.isna())]
        if len(other):
            raise InputError(
                f"{test.name}: expected user {other['user_id'].iloc[0]!r} with the same {column} in both sets, got "
                f"{other[f'{column}_train'].iloc[0]!r} and {other[f'{column}_test'].iloc[0]!r}; mend one"
            )


def _only_llms(train: Dataset, keep: list[str], notes: list[str]) -> Dataset:
    extra = [llm_id for llm_id in train.llms["llm_id"] if llm_id not in set(keep)]
    if not extra:
        return train
    notes.append(f"{plural(len(extra), 'LLM')} of the training set not in the test set dropped: {', '.join(extra)}")
    outcomes = train.outcomes[train.outcomes["llm_id"].isin(keep)]
    interactions = train.interactions[train.interactions["llm_id"].isin(keep)]
    if len(interactions) < len(train.interactions):
        gone = len(train.interactions) - len(interactions)
        notes.append(f"{plural(gone, 'interaction')} with a dropped LLM dropped")
    left = set(outcomes["query_id"])
    lost = len(train.queries) - len(left)
    if lost:
        notes.append(f"{plural(lost, 'train query', 'train queries')} without any outcome left dropped")
    llms = train.llms[train.llms["llm_id"].isin(keep)].reset_index(drop=True)
    return _only_queries(dataclasses.replace(train, llms=llms, outcomes=outcomes, interactions=interactions), left)


def _only_queries(dataset: Dataset, keep: set[str]) -> Dataset:
    queries = dataset.queries[dataset.queries["query_id"].isin(keep)].reset_index(drop=True)
    return dataclasses.replace(
        dataset,
        queries=queries,
        tasks=dataset.tasks[dataset.tasks["task_id"].isin(set(queries["task_id"]))].reset_index(drop=True),
        outcomes=dataset.outcomes[dataset.outcomes["query_id"].isin(keep)].reset_index(drop=True),
        interactions=dataset.interactions[dataset.interactions["query_id"].isin(keep)].reset_index(drop=True),
    )


def _below(upper: pd.DataFrame, lower: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([upper, lower], ignore_index=True) if len(upper) else lower


def _first(upper: pd.DataFrame, lower: pd.DataFrame, key: str) -> pd.DataFrame:
    return _below(upper, lower).drop_duplicates(key).reset_index(drop=True)


def _spelling(text: str) -> str:
    return " ".join(text.split())
