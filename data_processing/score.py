"""Score every stored answer against its ground truth: `python -m data_processing.score --config …`.

Writes table `outcomes`. A call that failed is a row with its error and no numbers; one that was never made is no row.
"""

from __future__ import annotations

import dataclasses
import json
import math
import string
import sys
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from configs.errors import InputError
from configs.schema import Answers, Config
from data_processing.cache import ResponseStore
from data_processing.characters import damaged, whole_characters
from data_processing.importers.describe import plural
from data_processing.llm_client import Completion, ErrorKind
from data_processing.responses import answer_call
from data_processing.roster import AskedLLM, unified_llms
from data_processing.scoring import find_metric, score_all
from data_processing.stage import Done, stage_main
from data_processing.workspace import Workspace

ASK_FIRST = "run first: python -m data_processing.responses"
_LONGEST_ERROR = 300  # characters


@dataclasses.dataclass(frozen=True)
class Asked:
    """One call that was made: its answer, or else the kind and message of its last failure."""

    query_id: str
    task_id: str
    llm_id: str
    ground_truth: str
    key: str
    answer: Completion | None
    cost_usd: float
    failure: tuple[ErrorKind, str] | None


def run(config: Config, workspace: Workspace) -> Done:
    """Score what the store has and write `outcomes`.

    Raises `InputError` where a task's metric is unknown, where it runs code without `build.run_code`, where an LLM or a
    task has no answer at all, and where the tables are of other LLMs or tasks.
    """
    llms = unified_llms(config, workspace)
    queries, tasks = workspace.read("queries", "unify"), workspace.read("tasks", "unify")
    metrics = _metrics(queries, tasks, config.build.run_code)
    if not workspace.store.is_file():
        raise InputError(f"{workspace.store}: expected the store of answers, found none; {ASK_FIRST}")
    with ResponseStore(workspace.store) as store:
        asked = _asked(config.build.answers, queries, llms, metrics, store)
        spent_usd = store.spent_usd({call.key for call in asked})
    llm_ids = [llm.llm_id for llm in llms]
    _check_answered("LLM", llm_ids, [(call.llm_id, call) for call in asked], ", or leave it out of build.llms")
    _check_answered("task", list(metrics), [(call.task_id, call) for call in asked], ", or leave it out of build.tasks")
    outcomes = _table(asked, _performance(asked, metrics, config))
    workspace.write("outcomes", outcomes)
    return Done(_notes(asked, outcomes, metrics, len(queries) * len(llm_ids), spent_usd))


def _metrics(queries: pd.DataFrame, tasks: pd.DataFrame, run_code: bool) -> dict[str, str]:
    """Return task_id -> metric of the tasks that are asked, each checked before anything is scored."""
    named = dict(zip(tasks["task_id"], tasks["metric"], strict=True))
    metrics = {}
    for task_id in queries["task_id"].unique():
        try:
            find_metric(named.get(task_id, ""), run_code=run_code)
        except InputError as err:
            raise InputError(f"table 'tasks', task {task_id!r}: {err}") from err
        metrics[task_id] = named[task_id]
    blank = queries[queries["ground_truth"].str.strip() == ""]
    if len(blank):
        raise InputError(
            f"table 'queries': expected a ground_truth for every query, got none for {blank['query_id'].iloc[0]!r} of "
            f"task {blank['task_id'].iloc[0]!r} (and {len(blank) - 1} more); mend the source and run unify again"
        )
    return metrics


def _asked(
    answers: Answers, queries: pd.DataFrame, llms: Sequence[AskedLLM], metrics: dict[str, str], store: ResponseStore
) -> list[Asked]:
    out = []
    columns = ["query_id", "task_id", "query", "ground_truth", "choices"]
    for query_id, task_id, text, truth, choices in queries[columns].to_numpy().tolist():
        right = with_option(truth, choices) if metrics[task_id] == "multiple_choice" else truth
        for llm in llms:
            call = answer_call(llm, text, answers)
            answer = store.get(call.key)
            failure = None if answer else store.error(call.key)
            if answer or failure:
                cost_usd = call.cost_usd(answer) if answer else math.nan
                out.append(Asked(query_id, task_id, llm.llm_id, right, call.key, answer, cost_usd, failure))
    return out


def with_option(ground_truth: str, choices: str) -> str:
    """Return `B. text` for the truth `B`, so that an answer may quote the option instead of naming its letter.

    `choices`: a JSON list of texts; with anything else, and for a truth that is no letter of it, the truth stays.
    """
    try:
        texts = json.loads(choices or "null")
    except json.JSONDecodeError:
        return ground_truth
    place = string.ascii_uppercase.find(ground_truth.strip()) if len(ground_truth.strip()) == 1 else -1
    if not isinstance(texts, list) or not 0 <= place < len(texts):
        return ground_truth
    return f"{ground_truth.strip()}. {texts[place]}"


def _check_answered(what: str, names: Sequence[str], calls: Sequence[tuple[str, Asked]], remedy: str) -> None:
    answered = {name for name, call in calls if call.answer}
    for name in names:
        if name not in answered:
            kinds = Counter(call.failure[0] for of, call in calls if of == name and call.failure)
            got = f"only failed calls ({_counts(kinds)})" if kinds else "none"
            raise InputError(f"{what} {name!r}: expected at least one answer, got {got}; {ASK_FIRST}{remedy}")


def _performance(asked: Sequence[Asked], metrics: dict[str, str], config: Config) -> np.ndarray:
    """Return the performance of each call, shape (N,), NaN where it failed; answers are scored by their exact text."""
    mode = config.tracking.progress
    progress = mode == "on" or (mode == "auto" and sys.stderr.isatty())
    out = np.full(len(asked), np.nan)
    for task_id, metric in metrics.items():
        rows = [row for row, call in enumerate(asked) if call.answer and call.task_id == task_id]
        texts = [call.answer.text for call in (asked[row] for row in rows) if call.answer]
        truths = [asked[row].ground_truth for row in rows]
        try:
            out[rows] = score_all(metric, texts, truths, run_code=config.build.run_code, progress=progress)
        except InputError as err:
            raise InputError(f"task {task_id!r}: {err}") from err
    return out


def _table(asked: Sequence[Asked], performance: np.ndarray) -> pd.DataFrame:
    rows = [
        {
            "query_id": call.query_id,
            "llm_id": call.llm_id,
            "response": whole_characters(call.answer.text) if call.answer else "",
            "performance": value,
            "cost_usd": call.cost_usd,
            "input_tokens": call.answer.input_tokens if call.answer else math.nan,
            "output_tokens": call.answer.output_tokens if call.answer else math.nan,
            "latency_s": call.answer.latency_s if call.answer else math.nan,
            "error": _error(*call.failure) if call.failure else "",
        }
        for call, value in zip(asked, performance, strict=True)
    ]
    return pd.DataFrame(rows)


def _error(kind: ErrorKind, message: str) -> str:
    line = " ".join(whole_characters(f"{kind}: {message}").split())
    return line if len(line) <= _LONGEST_ERROR else line[: _LONGEST_ERROR - 1] + "…"


def _notes(
    asked: Sequence[Asked], outcomes: pd.DataFrame, metrics: dict[str, str], pairs: int, spent_usd: float
) -> list[str]:
    answers = [call.answer for call in asked if call.answer]
    failures = Counter(call.failure[0] for call in asked if call.failure)
    means = outcomes["performance"].groupby([call.task_id for call in asked]).mean()
    notes = [
        f"{plural(len(answers), 'answer')} scored, for ${spent_usd:.4f}; mean performance: "
        + ", ".join(f"{task_id} {means[task_id]:.3f} ({metric})" for task_id, metric in metrics.items())
    ]
    if failures:
        notes.append(
            f"{plural(failures.total(), 'call')} failed and not scored ({_counts(failures)}); to retry them: "
            "python -m data_processing.responses"
        )
    if len(asked) < pairs:
        notes.append(f"{pairs - len(asked):,} of {pairs:,} calls were never made; {ASK_FIRST}")
    estimated = sum(answer.estimated for answer in answers)
    if estimated:
        notes.append(f"token counts of {plural(estimated, 'answer')} are estimates: the API gave none")
    halves = sum(damaged(answer.text) for answer in answers)
    if halves:
        notes.append(
            f"{plural(halves, 'answer')} with half a character (a lone surrogate), U+FFFD in table outcomes; the "
            "store keeps the exact text"
        )
    return notes


def _counts(kinds: Counter[ErrorKind]) -> str:
    return ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items()))


if __name__ == "__main__":
    sys.exit(stage_main(run, __doc__ or ""))
