"""From tables to what policies see: matrices over (query, LLM), one `RoutingData` per split."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from configs.schema import Config
from data_processing.response_features import FEATURES, answer_classes, answer_features
from data_processing.rule_judge import RuleJudge
from data_processing.scaling import CostScaler
from data_processing.splits import SPLITS
from data_processing.tables import Dataset, llm_text
from data_processing.users import simulate_interactions, thinned_interactions
from graph.embedding_cache import QueryEncoder
from graph.features import QueryFeatures
from graph.finetuning.targets import targets
from graph.finetuning.training import train_encoder
from graph.records import UNKNOWN_TASK, RoutingData
from graph.scored import Scored
from graph.tuned_encoder import tuned_part

TEXT_FEATURES = tuple(name for name in FEATURES if name != "correctness")  # that is the performance, a channel anyway


@dataclasses.dataclass(frozen=True)
class PreparedData:
    """One repeat: the three splits, what was fitted on train, and the users' true preferences (evaluation's alone).

    `ceiling` (U, N): the chance that a persona, asked again about a test query, picks the answer it likes best; None
    where no rule-based judge made the choices.
    """

    train: RoutingData
    validation: RoutingData
    test: RoutingData
    scaler: CostScaler
    features: QueryFeatures
    true_users: pd.DataFrame
    task_of: dict[str, str]
    ceiling: np.ndarray | None = None


def prepare(
    dataset: Dataset,
    splits: pd.Series,
    config: Config,
    encoder: QueryEncoder,
    seed: int,
    progress: bool = False,
    judge: RuleJudge | None = None,
    checkpoint: Path | None = None,
) -> PreparedData:
    """Fit scaler and features on train queries, thin the log where asked, and let the users choose.

    Personas choose by `judge`; without one the dataset's own interactions count, where it has any.

    `splits`: query_id -> split. LLMs are in the order of their ids. Thinning (`data.observed_llms_per_query`) hides
    outcomes of train and validation queries; test queries keep all of theirs, for they are only evaluated on.
    `checkpoint`: folder of a training of the encoder that can be resumed, see `train_encoder`.
    """
    llms = dataset.llms.sort_values("llm_id", ignore_index=True)
    tasks = dataset.tasks.sort_values("task_id", ignore_index=True)
    queries = dataset.queries.sort_values("query_id", ignore_index=True)
    part = queries["query_id"].map(splits).to_numpy()
    seen_tasks = queries["task_id"] if config.data.use_tasks else pd.Series(UNKNOWN_TASK, index=queries.index)
    query_ids, llm_ids = list(queries["query_id"]), list(llms["llm_id"])
    train_rows = part == "train"
    performance, cost_usd = _outcomes(dataset, query_ids, llm_ids, part, config.data.observed_llms_per_query, seed)
    scaler = CostScaler.fit(
        list(queries["task_id"][train_rows]), cost_usd[train_rows], config.data.cost_scaling == "per_task"
    )
    cost = scaler.scale(list(queries["task_id"]), cost_usd)
    features = QueryFeatures(encoder, config.encoder.drop_boilerplate, config.encoder.style)
    features.fit(list(seen_tasks[train_rows]), list(queries["query"][train_rows]))
    if config.encoder.training == "contrastive":
        train_features(features, queries, seen_tasks, part, performance, llms, config, seed, progress, checkpoint, cost)
    batch = features.transform(query_ids, list(seen_tasks), list(queries["query"]), progress)
    users = _visible_users(dataset.users, config.users.preference_stated)
    if judge is not None:
        interactions = judge.interactions(np.isfinite(performance), query_ids)
    else:
        known = list(queries["query_id"][train_rows])
        interactions = _chosen(dataset, known, llm_ids, performance[train_rows], cost[train_rows], config, seed)
    shares = {name: float((part == name).sum() / train_rows.sum()) for name in ("train", "validation")}
    answers, attributes = None, None
    if config.users.strategy == "llm_as_judge":
        answers = answer_classes(dataset.outcomes, query_ids, llm_ids)
        attributes = _attributes(dataset, query_ids, llm_ids, np.isfinite(performance), train_rows)
    if not config.data.use_tasks:
        tasks = tasks.iloc[:0]
    encoder = features.encoder
    llm_embeddings = encoder.encode([llm_text(llm) for _, llm in llms.iterrows()])
    task_embeddings = encoder.encode([f"{t.task_id}. {t.description}" for t in tasks.itertuples()])

    def split(name: str) -> RoutingData:
        rows = np.flatnonzero(part == name)
        own = interactions[interactions["query_id"].isin(set(queries["query_id"].iloc[rows]))]
        if name != "test":
            own = thinned_interactions(own, config.users, shares[name], seed)
        return RoutingData(
            llms,
            llm_embeddings,
            tasks,
            task_embeddings,
            batch.take(rows),
            performance[rows],
            cost[rows],
            cost_usd[rows],
            users,
            own.reset_index(drop=True),
            None if answers is None else answers[rows],
            None if attributes is None else attributes[rows],
            () if attributes is None else TEXT_FEATURES,
        )

    train, validation, test = map(split, SPLITS)
    task_of = dict(zip(queries["query_id"], queries["task_id"], strict=True))
    ceiling = None if judge is None else judge.ceiling()[:, part == "test"]
    return PreparedData(train, validation, test, scaler, features, dataset.users, task_of, ceiling)


def _outcomes(
    dataset: Dataset, query_ids: list[str], llm_ids: list[str], part: np.ndarray, kept: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return performance and dollars, each (Q, L), NaN where unobserved; all but test queries keep `kept` LLMs."""
    performance, cost_usd = _matrices(dataset.outcomes, query_ids, llm_ids)
    if kept is None:
        return performance, cost_usd
    hidden = _thin(performance, kept, seed) & (part != "test")[:, None]
    return np.where(hidden, np.nan, performance), np.where(hidden, np.nan, cost_usd)


def _chosen(
    dataset: Dataset,
    known: list[str],
    llm_ids: list[str],
    performance: np.ndarray,
    cost: np.ndarray,
    config: Config,
    seed: int,
) -> pd.DataFrame:
    """Return the dataset's own interactions; where it has none, what its users choose on the `known` queries."""
    if not dataset.interactions.empty:
        return dataset.interactions
    return simulate_interactions(dataset.users, known, llm_ids, performance, cost, config.users, seed)


def train_features(
    features: QueryFeatures,
    queries: pd.DataFrame,
    tasks: pd.Series,
    part: np.ndarray,
    performance: np.ndarray,
    llms: pd.DataFrame,
    config: Config,
    seed: int,
    progress: bool,
    checkpoint: Path | None = None,
    cost: np.ndarray | None = None,
) -> None:
    """Fine-tune the encoder of `features` on the train queries, stopping by validation; test queries are not looked at.

    Shapes: rows of `queries`, `tasks`, `part` (Q,) and `performance`, `cost` (Q, L) are the same; `llms` are the
    columns. `checkpoint`: see `train_encoder`. `cost` serves the target that needs it. Raises `KeyboardInterrupt` where
    Ctrl-C cut it: half a training must not pass for one.
    """
    names = np.array(sorted(set(tasks[part == "train"])), dtype=object)
    target = targets(performance, cost, config.encoder.contrastive)

    def scored(name: str) -> Scored:
        rows = np.flatnonzero(part == name)
        own = tasks.iloc[rows].to_numpy(dtype=object)
        texts = features.strip(list(own), list(queries["query"].iloc[rows]))
        side = features.beside(texts)
        groups = None if len(names) < 2 else list(own)
        # The encoder is judged by what it adds to all that the router sees besides.
        return Scored(texts, target[rows], np.hstack([side, own[:, None] == names]), side, groups)

    texts = [llm_text(llm) for _, llm in llms.iterrows()]
    features.encoder = train_encoder(
        features.encoder, scored("train"), scored("validation"), texts, config.encoder, seed, progress, checkpoint
    )
    if tuned_part(features.encoder).tuning.interrupted:
        raise KeyboardInterrupt


def _attributes(
    dataset: Dataset, query_ids: list[str], llm_ids: list[str], observed: np.ndarray, train_rows: np.ndarray
) -> np.ndarray:
    """Return (Q, L, K) measures of the answers' texts, NaN where unobserved, in units in which the train answers to one
    query differ by about 1."""
    raw = answer_features(dataset.queries, dataset.outcomes, query_ids, llm_ids)[..., : len(TEXT_FEATURES)]
    raw = np.where(observed[..., None], raw, np.nan)
    seen = observed[train_rows].any(axis=1)
    values = raw[train_rows][seen]
    spread = np.nanstd(values - np.nanmean(values, axis=1, keepdims=True), axis=(0, 1))
    return (raw - np.nanmean(values, axis=(0, 1))) / np.where(spread > 0, spread, 1.0)


def _matrices(outcomes: pd.DataFrame, query_ids: list[str], llm_ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    rows = pd.Index(query_ids).get_indexer(pd.Index(outcomes["query_id"]))
    columns = pd.Index(llm_ids).get_indexer(pd.Index(outcomes["llm_id"]))
    matrices = []
    for name in ("performance", "cost_usd"):
        matrix = np.full((len(query_ids), len(llm_ids)), np.nan, dtype=np.float64)
        matrix[rows, columns] = outcomes[name]
        matrices.append(matrix)
    observed = np.isfinite(matrices[0]) & np.isfinite(matrices[1])
    return np.where(observed, matrices[0], np.nan), np.where(observed, matrices[1], np.nan)


def _thin(performance: np.ndarray, keep: int, seed: int) -> np.ndarray:
    """Return True where an outcome is hidden: all but `keep` random observed ones of each row."""
    draw = np.random.default_rng([seed, 1]).random(performance.shape)
    draw[~np.isfinite(performance)] = np.inf
    return draw.argsort(axis=1).argsort(axis=1) >= keep


def _visible_users(users: pd.DataFrame, stated: bool) -> pd.DataFrame:
    """Hide the preferences unless the configuration says that users stated them."""
    return users[["user_id", "kind"]].assign(preference=users["preference"] if stated else np.nan)
