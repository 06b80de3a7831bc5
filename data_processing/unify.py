"""First stage: raw questions of all kinds become the tables `tasks`, `queries` and `llms` of a build.

Each task's questions come from its `source` in configs/tasks.yaml or in a file of your own (build.tasks_file).
"""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from configs.catalogue import SourceEntry, TaskEntry, read_tasks, shipped_tasks, task_spelling
from configs.errors import InputError, did_you_mean
from configs.load import expand_variables
from configs.schema import Build, Config
from data_processing.characters import whole_characters
from data_processing.importers.describe import llm_table, plural
from data_processing.questions.hub import hub_file
from data_processing.questions.raw import Question, read_questions
from data_processing.questions.shorten import shorten
from data_processing.roster import asked_llms
from data_processing.scoring import final_number, find_metric
from data_processing.simulated.world import NOTE, world_questions, world_tasks
from data_processing.stage import Done, stage_main
from data_processing.tables import conform, query_id
from data_processing.workspace import Workspace

SHIPPED_TASKS = "configs/tasks.yaml"
MADE_OF_THEM = ("outcomes", "users", "interactions")  # tables of later stages


@dataclasses.dataclass(frozen=True)
class TaskQuestions:
    """One task with its questions; `origin` says in a few words where they are from."""

    task_id: str
    description: str
    metric: str
    questions: list[Question]
    origin: str


def run(config: Config, workspace: Workspace) -> Done:
    """Write the tables that `unified` returns.

    Where they replace others, what later stages made of those is removed: a run that is cut short must not leave
    outcomes of other questions. The answers are in the store, so making them anew costs nothing.
    """
    tables, notes = unified(config)
    if not all(_same(workspace, name, table) for name, table in tables.items()):
        removed = workspace.remove(MADE_OF_THEM)
        if removed:
            notes.append(f"other questions or LLMs than before: removed the tables {', '.join(removed)}")
    for name, table in tables.items():
        workspace.write(name, table)
    return Done(notes)


def _same(workspace: Workspace, name: str, table: pd.DataFrame) -> bool:
    try:
        return workspace.read(name, "unify").equals(conform(name, table, name))
    except InputError:  # none there, or a damaged one
        return False


def unified(config: Config) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Return the tables `tasks`, `queries` and `llms`, and notes on what was left out or changed.

    Raises `InputError` where a task is not known or has no source, where its file does not fit, or as `asked_llms`.
    """
    llms, notes = _llms(config)
    if config.build.tasks:
        tasks = _tasks(config.build)
    else:
        tasks = _world(config)
        notes.append(NOTE)
    rows = []
    for task in tasks:
        chosen, more = chosen_questions(task, config.build, config.seed)
        notes += more
        rows += [
            {
                "query_id": query_id(task.task_id, question.query),
                "task_id": task.task_id,
                "query": question.query,
                "ground_truth": question.ground_truth,
                "choices": question.choices,
            }
            for question in chosen
        ]
    fields = ("task_id", "description", "metric")
    described = pd.DataFrame([{name: getattr(task, name) for name in fields} for task in tasks])
    return {"tasks": described, "queries": pd.DataFrame(rows), "llms": llms}, notes


def chosen_questions(task: TaskQuestions, build: Build, seed: int) -> tuple[list[Question], list[str]]:
    """Return the questions of a task that are asked, in the order of their file, and notes.

    They are cut to `build.prompt_tokens`, then repeated texts are dropped (the first stays), then
    `build.queries_per_task` of them are taken. A random sample follows from seed, task and text alone: neither other
    tasks nor other rows change whether a question comes before another, and a larger sample holds a smaller one.
    """
    whole, damaged = _storable(task.questions)
    texts = [question.query for question in whole]
    asked = shorten(texts, build.prompt_tokens) if build.prompt_tokens else texts
    unique: dict[str, Question] = {}
    cut = set()
    for question, text in zip(whole, asked, strict=True):
        unique.setdefault(text, dataclasses.replace(question, query=text))
        if text != question.query:
            cut.add(text)
    kept = list(unique.values())
    if build.queries_per_task is not None and build.queries_per_task < len(kept):
        ranks = {text: _rank(seed, task.task_id, text) if build.sample == "random" else "" for text in unique}
        taken = set(sorted(unique, key=ranks.__getitem__)[: build.queries_per_task])
        kept = [question for question in kept if question.query in taken]
    notes = [f"{task.task_id}: {plural(len(kept), 'question')} of {len(unique):,} from {task.origin}"]
    repeated = len(whole) - len(unique)
    if repeated:
        notes.append(f"{task.task_id}: {plural(repeated, 'repeated question')} left out")
    shortened = sum(question.query in cut for question in kept)
    if shortened:
        notes.append(
            f"{task.task_id}: {plural(shortened, 'question')} cut to {build.prompt_tokens:,} tokens, the first and the "
            "last half"
        )
    if damaged:
        notes.append(
            f"{task.task_id}: {plural(damaged, 'question')} with half a character (a lone surrogate), which no "
            "table can hold: replaced by U+FFFD"
        )
    return kept, notes


def _rank(seed: int, task_id: str, text: str) -> str:
    return hashlib.sha256(f"{seed}\x1f{query_id(task_id, text)}".encode()).hexdigest()


def _storable(questions: Sequence[Question]) -> tuple[list[Question], int]:
    """Return the questions with lone surrogates replaced, and in how many there were some."""
    out, damaged = [], 0
    for question in questions:
        clean = dataclasses.replace(
            question,
            query=whole_characters(question.query),
            ground_truth=whole_characters(question.ground_truth),
            choices=whole_characters(question.choices),
        )
        damaged += clean != question
        out.append(clean)
    return out, damaged


def _llms(config: Config) -> tuple[pd.DataFrame, list[str]]:
    asked = asked_llms(config)
    table, notes = llm_table([llm.llm_id for llm in asked], config.data, {llm.llm_id: llm.entry for llm in asked})
    return table.assign(api_model=[llm.api_model for llm in asked]), notes


def _world(config: Config) -> list[TaskQuestions]:
    world = config.data.simulated
    by_task: dict[str, list[Question]] = {}
    for question in world_questions(world.queries, world.seed):
        by_task.setdefault(question.task_id, []).append(Question(question.query, question.ground_truth))
    rows = world_tasks().to_dict("records")
    return [
        TaskQuestions(row["task_id"], row["description"], row["metric"], by_task[row["task_id"]], "the simulated world")
        for row in rows
    ]


def _tasks(build: Build) -> list[TaskQuestions]:
    own_file = Path(build.tasks_file).expanduser() if build.tasks_file else None
    own = read_tasks(own_file) if own_file else {}
    known = {**shipped_tasks(), **own}
    spellings = [task_spelling(task_id) for task_id in build.tasks]
    for task_id, spelling in zip(build.tasks, spellings, strict=True):
        if spellings.count(spelling) > 1:
            raise InputError(f"build.tasks: expected each task once, got {task_id!r} {spellings.count(spelling)} times")
    found = []
    for task_id, spelling in zip(build.tasks, spellings, strict=True):
        where = str(own_file) if spelling in own else SHIPPED_TASKS
        entry, source = _entry(task_id, known, where)
        found.append(_read(task_id, entry, source, f"{where}: task {task_id!r}: source", build.run_code))
    return found


def _entry(task_id: str, known: dict[str, TaskEntry], where: str) -> tuple[TaskEntry, SourceEntry]:
    entry = known.get(task_spelling(task_id))
    if entry is not None and entry.source is not None:
        return entry, entry.source
    usable = [other.task_id for other in known.values() if other.source is not None]
    if entry is None:
        raise InputError(
            f"build.tasks: expected tasks with a source, got {task_id!r}{did_you_mean(task_id, usable)}; known with "
            f"one are {', '.join(usable)}; add yours in a file given as build.tasks_file"
        )
    raise InputError(
        f"build.tasks: expected tasks with a source, got {task_id!r}, which has none in {where}; known with one are "
        f"{', '.join(usable)}; describe where its questions are in a file given as build.tasks_file"
    )


def _read(task_id: str, entry: TaskEntry, source: SourceEntry, mapping: str, run_code: bool) -> TaskQuestions:
    metric = source.metric or entry.metric
    try:  # better known before answers are paid for than when they are to be scored
        find_metric(metric, run_code=run_code)
    except InputError as err:
        raise InputError(f"{mapping}.metric: {err}") from err
    if source.hub is not None:
        hub = source.hub
        path = hub_file(hub.dataset, hub.revision, hub.file, hub.sha256)
        origin = f"{hub.dataset} at {hub.revision[:12]} ({hub.file})"
    else:
        path = Path(expand_variables(source.file, mapping, "file", settable=False)).expanduser()
        origin = path.name
    questions = read_questions(path, source, mapping)
    if metric == "gsm8k":
        _check_numbers(questions, path, mapping)
    return TaskQuestions(task_id, entry.description, metric, questions, origin)


def _check_numbers(questions: Sequence[Question], path: Path, mapping: str) -> None:
    """Without a number nothing could be right, which is better known before answers are paid for."""
    for question in questions:
        if final_number(question.ground_truth) is None:
            raise InputError(
                f"{path}: {question.where}: expected a number in ground_truth for metric 'gsm8k', got "
                f"{question.ground_truth[:60]!r}; mend the row, or choose another metric ({mapping}.metric)"
            )


if __name__ == "__main__":
    sys.exit(stage_main(run, __doc__ or ""))
