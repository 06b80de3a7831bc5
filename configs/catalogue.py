"""What the project knows about LLMs and tasks by name: `configs/llms.yaml`, `configs/tasks.yaml`, a user's own file."""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml
from pydantic import Field

from configs.errors import InputError
from configs.schema import Section, project_root

Price = Annotated[float, Field(ge=0)]
ScoreKind = Literal["probability", "multi_attempt"]


class LlmEntry(Section):
    """One LLM. Prices are US dollars per million tokens, None where not known; the description quotes no price.

    `endpoint` names the entry of `build.endpoints` that answers for it, None where there is only one.
    """

    llm_id: Annotated[str, Field(min_length=1)]
    description: str = ""
    family: str = ""
    api_model: str | None = None
    endpoint: str | None = None
    input_price_usd_per_mtok: Price | None = None
    output_price_usd_per_mtok: Price | None = None


class TaskEntry(Section):
    """One task. `routerdc_scores` says what the scores of the RouterDC file of this task are."""

    task_id: Annotated[str, Field(min_length=1)]
    description: str
    metric: str
    routerdc_scores: ScoreKind | None = None


Entry = TypeVar("Entry", LlmEntry, TaskEntry)


def read_llms(path: Path) -> dict[str, LlmEntry]:
    """Return llm_id -> entry of a YAML file with a list `llms`; `InputError` names the file and the entry."""
    return {entry.llm_id: entry for entry in _read(path, "llms", "llm_id", LlmEntry)}


@functools.cache
def shipped_llms() -> Mapping[str, LlmEntry]:
    """Return llm_id -> entry of `configs/llms.yaml`, read once."""
    return types.MappingProxyType(read_llms(project_root() / "configs" / "llms.yaml"))


@functools.cache
def _shipped_tasks() -> dict[str, TaskEntry]:
    entries = _read(project_root() / "configs" / "tasks.yaml", "tasks", "task_id", TaskEntry)
    return {_spelling(entry.task_id): entry for entry in entries}


def find_task(task_id: str) -> TaskEntry | None:
    """Return what is known of a task, or None. Case, hyphens and underscores do not matter (`arc-challenge`).

    A longer name is read as a part of a known task (`mmlu_anatomy` is the part `anatomy` of `mmlu`), with the part
    added to the description.
    """
    known = _shipped_tasks()
    words = re.split(r"[-_ .]+", task_id)
    for size in range(len(words), 0, -1):
        entry = known.get(_spelling("".join(words[:size])))
        if entry is not None:
            part = " ".join(words[size:])
            text = f"{entry.description} This part: {part}." if part else entry.description
            return entry.model_copy(update={"task_id": task_id, "description": text})
    return None


def _spelling(task_id: str) -> str:
    return re.sub(r"[-_ .]+", "", task_id.lower())


def _read(path: Path, section: str, key: str, model: type[Entry]) -> list[Entry]:
    if not path.is_file():
        raise InputError(f"{path}: expected a YAML file with a list {section!r}, found none; check the path")
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: expected YAML, got: {err}; mend it") from err
    if not isinstance(content, dict) or list(content) != [section] or not isinstance(content[section], list):
        raise InputError(f"{path}: expected one list {section!r} at the top, got {_shape(content)}; see configs/")
    entries: list[Entry] = []
    for number, item in enumerate(content[section], 1):
        try:
            entries.append(model.model_validate(item))
        except pydantic.ValidationError as err:
            first = err.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the entry"
            raise InputError(f"{path}: {section} entry {number}, {where}: {first['msg']}; mend it") from err
    names = [getattr(entry, key) for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: expected each {key} once, got {name!r} {names.count(name)} times; keep one")
    return entries


def _shape(content: Any) -> str:
    return f"keys {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__
