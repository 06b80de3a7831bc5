"""What the tests of all importers share: published formats written from small made-up tables, and ways to look."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from configs.schema import Data
from data_processing.tables import Dataset, validate

ALPHABET = st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t'\"[],|\\")
SENTENCES = st.text(ALPHABET, min_size=1, max_size=20).filter(lambda text: bool(text.strip()))
UNITS = st.integers(0, 1000).map(lambda n: n / 1000)
NAMES = ("gpt-4-1106-preview", "mistralai/mixtral-8x7b-chat", "claude-v1", "made/up-9b", "plain")


def data(source: str, path: Path, **fields: Any) -> Data:
    return Data(source=source, path=str(path), **fields)


def write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def seen(dataset: Dataset) -> dict[tuple[str, str, str], tuple[float, float]]:
    """Return (task, query, LLM) -> (performance, cost_usd), found by name, of a dataset that passes every check."""
    validate(dataset)
    joined = dataset.outcomes.merge(dataset.queries, on="query_id", validate="m:1")
    keys = zip(joined["task_id"], joined["query"], joined["llm_id"], strict=True)
    values = zip(joined["performance"].tolist(), joined["cost_usd"].tolist(), strict=True)
    return dict(zip(keys, values, strict=True))


def responses(dataset: Dataset) -> dict[tuple[str, str], str]:
    joined = dataset.outcomes.merge(dataset.queries, on="query_id", validate="m:1")
    return dict(zip(zip(joined["query"], joined["llm_id"], strict=True), joined["response"], strict=True))


def noted(dataset: Dataset, part: str) -> bool:
    return any(part in note for note in dataset.notes)


def real(folder: str) -> Path:
    """Return the folder of a published set, or skip."""
    root = os.environ.get("ROUTER_DATASETS")
    if not root:
        pytest.skip("ROUTER_DATASETS is not set: the published sets are not here")
    return Path(root) / folder
