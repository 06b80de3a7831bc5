"""Files of labelled prompts, and the classifier that is trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from baselines.binary_router import BinaryRouter
from baselines.classifier import Classifier
from configs.errors import InputError, did_you_mean
from configs.schema import Config
from data_processing.importers.describe import plural
from data_processing.labelling.labels import INFERIOR, LABELS, SUPERIOR
from data_processing.questions.raw import read_rows
from data_processing.splits import split_queries
from data_processing.tables import conform
from graph.encoder import make_encoder
from graph.features import QueryFeatures
from graph.records import UNKNOWN_TASK
from graph.routing_data import train_features

WEAK, STRONG = "inferior", "superior"  # as good names as any where labels name no LLM


def read_labels(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return query (text), query_id and label (0.0 inferior suffices, 1.0 superior needed), and notes.

    Reads the rows that `data_processing.pairwise` and `data_processing.label` write, or JSON, CSV or Parquet of the
    same fields. Raises `InputError` that names file and row for a blank prompt, an unknown label, or a prompt with
    both labels, and for a file with one label alone.
    """
    found: dict[str, str] = {}
    rows = read_rows(path, None, "--labels")
    for where, row in rows:
        query, label = row.get("query"), row.get("label")
        if not isinstance(query, str) or not query.strip():
            raise InputError(f"{path}: {where}: expected a prompt in 'query', got a blank one; fill or remove the row")
        if label not in LABELS:
            hint = did_you_mean(str(label), list(LABELS))
            raise InputError(
                f"{path}: {where}: expected a label {INFERIOR} or {SUPERIOR}, got {label!r}{hint}; mend it"
            )
        if found.setdefault(query, str(label)) != label:
            raise InputError(f"{path}: {where}: expected one label per prompt, got both for {query[:60]!r}; remove one")
    table = pd.DataFrame({"query": list(found), "label": [float(label == SUPERIOR) for label in found.values()]})
    for value, name in enumerate(LABELS):
        if (table["label"] == value).sum() == 0:
            raise InputError(
                f"{path}: expected prompts of both labels, got {plural(len(table), 'prompt')} and none with {name}; "
                "label more, or shift the threshold of data_processing.pairwise"
            )
    table["query_id"] = [f"row-{number:07d}" for number in range(len(table))]
    repeated = len(rows) - len(table)
    return table, [f"{plural(repeated, 'repeated prompt')} left out"] if repeated else []


def train_on_labels(table: pd.DataFrame, config: Config) -> tuple[BinaryRouter, np.ndarray]:
    """Return the router trained on `table` of `read_labels`, and which rows (N,) it has not seen: the test split.

    With `encoder.training: contrastive` the encoder's top layers are fine-tuned first, by the cross-entropy of the two
    labels: each has a vector, and the cosines with a prompt's vector are the logits. Splits by `seed`, alike in labels.
    """
    splits = split_queries(table.assign(task_id=[LABELS[int(value)] for value in table["label"]]), config.data.split,
                           config.seed)  # fmt: skip
    part = splits.to_numpy()
    features = QueryFeatures(
        make_encoder(config.encoder, config.train.device), config.encoder.drop_boilerplate, config.encoder.style
    )
    texts = list(table["query"])
    seen = [text for text, name in zip(texts, part, strict=True) if name == "train"]
    features.fit([UNKNOWN_TASK] * len(seen), seen)
    if config.encoder.training == "contrastive":
        _fine_tune(features, table, part, config)
    label = table["label"].to_numpy()
    x = features.transform(list(table["query_id"]), [UNKNOWN_TASK] * len(table), texts).embeddings.astype(np.float64)
    train, held = part == "train", part == "validation"
    if len(set(label[train])) < 2:
        raise InputError(
            f"--labels: expected prompts of both labels to train on, got {plural(int(train.sum()), 'prompt')} of one "
            f"label among {len(table)}; label more"
        )
    head = Classifier.fit(x[train], label[train], x[held], label[held])
    return BinaryRouter(features, config.encoder, head, WEAK, STRONG), part == "test"


def _fine_tune(features: QueryFeatures, table: pd.DataFrame, part: np.ndarray, config: Config) -> None:
    # A label is as sure as it will get: it must not be mixed with the mean of its task, of which there is one.
    own = config.encoder.contrastive.model_copy(update={"loss": "listwise", "target": "performance", "smoothing": 0.0})
    told = config.model_copy(update={"encoder": config.encoder.model_copy(update={"contrastive": own})})
    sides = conform("llms", pd.DataFrame({"llm_id": [WEAK, STRONG]}))
    right = np.stack([1 - table["label"], table["label"]], axis=1)
    tasks = pd.Series([UNKNOWN_TASK] * len(table), dtype=object)
    queries = table.assign(task_id=UNKNOWN_TASK)
    train_features(features, queries, tasks, part, right, sides, told, config.seed, progress=False)
