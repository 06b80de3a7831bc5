"""What a new LLM needs: one LLM at a time is left out of training, then added with a few of its outcomes."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from configs.errors import InputError, did_you_mean
from evaluation.study import Setting, fit_graph, nested_draw, row, score, table
from graph.graph_policy import GraphPolicy
from graph.records import RoutingData
from graph.routing_data import PreparedData

LOG = logging.getLogger(__name__)
WITH, WITHOUT = "with it", "without it"
EVERY = "all"


def new_llms(setting: Setting) -> pd.DataFrame:
    """Return the study's table: series = the LLM, x = train queries whose outcome of it is known, without retraining.

    Panel `with it` is the router that knows of the LLM; `without it` the same before it was added. Both are scored on
    all test rows over all LLMs; the reference is the router trained with all outcomes of that LLM.
    """
    prepared, rows = setting.prepared, []
    reference = score(setting.graph, prepared).value
    for llm in chosen_llms(setting.config.evaluate.new_llms.llms, prepared.train.llm_ids):
        graph = fit_graph(setting, without_llm(prepared, llm))
        ignoring = score(graph, prepared)
        rows.append(row(setting, llm, ignoring, WITHOUT, reference=reference))
        for probes in setting.config.evaluate.new_llms.probes:
            got = score(with_probes(graph, prepared.train, llm, probes, setting.seed), prepared)
            rows.append(row(setting, llm, got, WITH, probes, reference))
            numbers = (llm, probes, got.value, ignoring.value, reference)
            LOG.info("new LLM %s: %d queries %.4f, without it %.4f, trained with it %.4f", *numbers)
    return table(rows)


def chosen_llms(asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the ids of the LLMs to hold out, each in turn, sorted; `[all]` stands for every one.

    Raises `InputError` for an unknown id, or where no LLM would be left to learn from.
    """
    if len(known) < 2:
        raise InputError(f"evaluate.new_llms: expected at least two LLMs, got {len(known)}; leave llms empty")
    if EVERY in asked:
        return sorted(known)
    for llm in asked:
        if llm not in known:
            raise InputError(
                f"evaluate.new_llms.llms: expected ids of LLMs or [all], got {llm!r}"
                f"{did_you_mean(llm, list(known))}; known are {', '.join(sorted(known))}; mend the id"
            )
    return sorted(set(asked))


def without_llm(prepared: PreparedData, llm: str) -> PreparedData:
    """Return `prepared` without this LLM in train and validation.

    Interactions that chose it are dropped; in the others it was not the best, so the choice stands without it. The
    test split, and the scale of costs by which everyone is judged, stay as they are.
    """
    train, validation = (_without(data, llm) for data in (prepared.train, prepared.validation))
    return dataclasses.replace(prepared, train=train, validation=validation)


def with_probes(graph: GraphPolicy, train: RoutingData, llm: str, count: int, seed: int) -> GraphPolicy:
    """Return `graph` with the LLM added, its outcomes of `count` random train queries (all where fewer) known.

    Queries of a smaller count are among those of a larger; they depend on the ids and `seed`, not on the order of rows.
    """
    column = train.llm_ids.index(llm)
    place = {query: number for number, query in enumerate(train.queries.query_ids)}
    outcomes = np.stack([train.performance, train.cost, train.cost_usd], axis=-1)[:, column]
    if train.attributes is not None:
        outcomes = np.concatenate([outcomes, train.attributes[:, column]], axis=-1)
    answered = [query for query, number in place.items() if np.isfinite(outcomes[number]).all()]
    drawn = nested_draw(answered, seed, llm)[:count]
    rows = [place[query] for query in drawn]
    return graph.with_llm(train.llms.iloc[column], train.llm_embeddings[column], drawn, outcomes[rows])


def _without(data: RoutingData, llm: str) -> RoutingData:
    kept = np.array([name != llm for name in data.llm_ids])
    chose_another = data.interactions["llm_id"] != llm
    return dataclasses.replace(
        data,
        llms=data.llms[kept].reset_index(drop=True),
        llm_embeddings=data.llm_embeddings[kept],
        performance=data.performance[:, kept],
        cost=data.cost[:, kept],
        cost_usd=data.cost_usd[:, kept],
        interactions=data.interactions[chose_another].reset_index(drop=True),
        answers=None if data.answers is None else _renumbered(data.answers[:, kept]),
        attributes=None if data.attributes is None else data.attributes[:, kept],
    )


def _renumbered(answers: np.ndarray) -> np.ndarray:
    """Return (Q, L) numbers of the distinct answers of each row, all below L: the first column that gave the answer."""
    first = (answers[:, :, None] == answers[:, None, :]).argmax(axis=2)
    return np.where(answers >= 0, first, -1)
