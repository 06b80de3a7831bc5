"""The tables of LLMs and tasks: what a set says about them, what the catalogue knows, and no price in any text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from configs.catalogue import LlmEntry, find_task, read_llms, shipped_llms
from configs.errors import InputError
from configs.schema import Data
from data_processing.tables import COLUMNS, conform

SHIPPED_FILE = "configs/llms.yaml"
QUOTES_A_PRICE = re.compile(
    r"[$€£]|\bper\s+(million|thousand|[mk])\b|\b(pric\w*|costs?|rates?)\b[^.]{0,20}\d", re.IGNORECASE
)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
MONEY = re.compile(r"[$€£]\s*(\d+(?:\.\d+)?)")
DECIMAL = re.compile(r"(?<![\w.-])(\d+\.\d+)(?![\w-])")


def without_prices(text: str) -> str:
    """Return the text less every sentence that quotes a price, on one line."""
    return " ".join(part for part in _sentences(text) if not QUOTES_A_PRICE.search(part))


def quoted_prices(text: str) -> list[float]:
    """Return the numbers that the sentences about prices quote."""
    found: list[str] = []
    for part in _sentences(text):
        if QUOTES_A_PRICE.search(part):
            found += MONEY.findall(part) or DECIMAL.findall(part)
    return [float(number) for number in found]


def _sentences(text: str) -> list[str]:
    return SENTENCE_END.split(" ".join(text.split()))


def family_of(llm_id: str, api_model: str = "") -> str:
    """Return the maker: the part before the last `/` of the API's name or of the id, or else the id's first word."""
    for name in (api_model, llm_id):
        if "/" in name:
            return name.split("/")[-2]
    word = re.match(r"[A-Za-z]+", llm_id)
    return word.group() if word else llm_id


def prices_file(data: Data, own: Path | None = None) -> str:
    """Return the file to which a missing price belongs, for a message."""
    return data.llms_file or (str(own) if own else SHIPPED_FILE)


def llm_table(
    llm_ids: Sequence[str], data: Data, given: Mapping[str, LlmEntry] | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Return table `llms` for these ids, in this order, and notes.

    The user's own file (`data.llms_file`) wins over what the set says (`given`), which wins over `configs/llms.yaml`.
    """
    own = read_llms(Path(data.llms_file).expanduser()) if data.llms_file else {}
    known = {**shipped_llms(), **(given or {}), **own}
    rows, bare = [], []
    for llm_id in llm_ids:
        entry = known.get(llm_id, LlmEntry(llm_id=llm_id))
        row = entry.model_dump()
        row["description"] = without_prices(entry.description)
        row["family"] = entry.family or family_of(llm_id, entry.api_model or "")
        rows.append(row)
        if not row["description"]:
            bare.append(llm_id)
    notes = []
    if bare:
        notes.append(f"{plural(len(bare), 'LLM')} without a description: {', '.join(bare)}")
    unused = [llm_id for llm_id in own if llm_id not in set(llm_ids)]
    if unused:
        notes.append(f"{plural(len(unused), 'LLM')} of {data.llms_file} not in this set: {', '.join(unused)}")
    return conform("llms", pd.DataFrame(rows, columns=list(COLUMNS["llms"]))), notes


def published_llms(content: Mapping[str, Mapping[str, object]], path: Path) -> tuple[dict[str, LlmEntry], list[str]]:
    """Return llm_id -> entry from a JSON of `feature`, `input_price`, `output_price`, `model`, and notes.

    Where a price in the text disagrees with the field, the field wins and the disagreement is counted.
    """
    entries, differing = {}, []
    for llm_id, fields in content.items():
        prices = [_price(fields.get(key), path, llm_id, key) for key in ("input_price", "output_price")]
        feature, model = str(fields.get("feature") or ""), str(fields.get("model") or "")
        entries[llm_id] = LlmEntry(
            llm_id=llm_id,
            description=without_prices(feature),
            family=family_of(llm_id, model),
            api_model=model,
            input_price_usd_per_mtok=prices[0],
            output_price_usd_per_mtok=prices[1],
        )
        if any(number not in prices for number in quoted_prices(feature)):
            differing.append(llm_id)
    notes = []
    if differing:
        notes.append(
            f"{plural(len(differing), 'LLM')} with another price in the description than in the price field "
            f"of {path.name}, the field is used: {', '.join(differing)}"
        )
    return entries, notes


def _price(value: object, path: Path, llm_id: str, key: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise InputError(f"{path}: expected a price >= 0 in {llm_id!r}, {key!r}, got {value!r}; mend or remove it")
    return float(value)


def task_table(
    task_ids: Sequence[str],
    metrics: Mapping[str, str] | None = None,
    descriptions: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return table `tasks`; what the set says (`metrics`, `descriptions`) wins over `configs/tasks.yaml`."""
    rows = []
    for task_id in task_ids:
        entry = find_task(task_id)
        metric = (metrics or {}).get(task_id) or (entry.metric if entry else "")
        description = (descriptions or {}).get(task_id) or (entry.description if entry else "")
        rows.append({"task_id": task_id, "description": description, "metric": metric})
    return conform("tasks", pd.DataFrame(rows, columns=["task_id", "description", "metric"]))


def plural(count: int, singular: str, several: str = "") -> str:
    """Return `1 query` or `2 queries`."""
    return f"{count:,} {singular if count == 1 else several or singular + 's'}"
