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

from configs.describe import fields
from configs.errors import InputError, did_you_mean
from configs.schema import Section, project_root

Text = Annotated[str, Field(min_length=1)]
Price = Annotated[float, Field(ge=0)]
ScoreKind = Literal["probability", "multi_attempt"]


class LlmEntry(Section):
    """One LLM. Prices are US dollars per million tokens, None where not known; the description quotes no price.

    `endpoint` names the entry of `build.endpoints` that answers for it, None where there is only one.
    """

    llm_id: Text
    description: str = ""
    family: str = ""
    api_model: str | None = None
    endpoint: str | None = None
    input_price_usd_per_mtok: Price | None = None
    output_price_usd_per_mtok: Price | None = None


class HubFile(Section):
    """One file of a dataset on the Hugging Face hub, at a commit, tag or branch."""

    dataset: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
    revision: Text
    file: Text
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class SourceEntry(Section):
    """Where the questions of a task are, and which fields of a row they are made of; see `configs/tasks.yaml`."""

    file: Text | None = None
    hub: HubFile | None = None
    rows: Text | None = None
    query: Text
    ground_truth: Text
    choices: Text | Annotated[tuple[Text, ...], Field(min_length=2, strict=False)] | None = None
    truth_is: Literal["letter", "index", "number", "text"] | None = None
    metric: Text | None = None

    @pydantic.model_validator(mode="after")
    def _one_place(self) -> SourceEntry:
        if (self.file is None) == (self.hub is None):
            raise ValueError(f"expected either file or hub, got {'neither' if self.file is None else 'both'}")
        if self.truth_is is not None and self.choices is None:
            raise ValueError("truth_is says which of the choices is right, expected choices beside it, got none")
        return self


class TaskEntry(Section):
    """One task. `routerdc_scores` says what the scores of the RouterDC file of this task are; `source` where its
    questions are, None where only published outcomes are read."""

    task_id: Text
    description: str
    metric: str
    routerdc_scores: ScoreKind | None = None
    source: SourceEntry | None = None


Entry = TypeVar("Entry", LlmEntry, TaskEntry)


def read_llms(path: Path) -> dict[str, LlmEntry]:
    """Return llm_id -> entry of a YAML file with a list `llms`; `InputError` names the file and the entry."""
    return {entry.llm_id: entry for entry in _read(path, "llms", "llm_id", LlmEntry)}


@functools.cache
def shipped_llms() -> Mapping[str, LlmEntry]:
    """Return llm_id -> entry of `configs/llms.yaml`, read once."""
    return types.MappingProxyType(read_llms(project_root() / "configs" / "llms.yaml"))


def read_tasks(path: Path) -> dict[str, TaskEntry]:
    """Return `task_spelling` of the id -> entry of a YAML file with a list `tasks`.

    `InputError` names the file and the entry, also where two ids differ in spelling only.
    """
    entries: dict[str, TaskEntry] = {}
    for entry in _read(path, "tasks", "task_id", TaskEntry):
        other = entries.setdefault(task_spelling(entry.task_id), entry)
        if other is not entry:
            raise InputError(
                f"{path}: expected each task once, got {other.task_id!r} and {entry.task_id!r}, which are one (case, "
                "hyphens and underscores do not count); keep one"
            )
    return entries


@functools.cache
def shipped_tasks() -> Mapping[str, TaskEntry]:
    """Return `task_spelling` of the id -> entry of `configs/tasks.yaml`, read once."""
    return types.MappingProxyType(read_tasks(project_root() / "configs" / "tasks.yaml"))


def find_task(task_id: str) -> TaskEntry | None:
    """Return what is known of a task, or None. Case, hyphens and underscores do not matter (`arc-challenge`).

    A longer name is read as a part of a known task (`mmlu_anatomy` is the part `anatomy` of `mmlu`), with the part
    added to the description; where the questions of the part alone are is not known.
    """
    known = shipped_tasks()
    words = re.split(r"[-_ .]+", task_id)
    for size in range(len(words), 0, -1):
        entry = known.get(task_spelling("".join(words[:size])))
        if entry is not None:
            part = " ".join(words[size:])
            if not part:
                return entry.model_copy(update={"task_id": task_id})
            text = f"{entry.description} This part: {part}."
            return entry.model_copy(update={"task_id": task_id, "description": text, "source": None})
    return None


def task_spelling(task_id: str) -> str:
    """Return what the spellings of one task have in common: small letters, no hyphens, underscores, dots or blanks."""
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
            raise InputError(f"{path}: {section} entry {number}, {_problem(err, model)}; mend it") from err
    names = [getattr(entry, key) for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: expected each {key} once, got {name!r} {names.count(name)} times; keep one")
    return entries


def _problem(err: pydantic.ValidationError, model: type[pydantic.BaseModel]) -> str:
    """Return the first problem as `key: what is wrong`; an unknown key goes before a missing one, which it may be."""
    errors = err.errors()
    first = next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])
    where = ".".join(map(str, first["loc"])) or "the entry"
    if first["type"] == "extra_forbidden":
        section = where.rpartition(".")[0]
        here = [name for name, _ in fields(model) if name.rpartition(".")[0] == section]
        return f"{where}: unknown key{did_you_mean(where, here)}, known here: {', '.join(here)}"
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def _shape(content: Any) -> str:
    return f"keys {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__
