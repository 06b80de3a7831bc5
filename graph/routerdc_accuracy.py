"""Accuracy as RouterDC counts it, of a choice of LLMs and of what it has to be compared with.

A `probability` is that of the right choice and 0 where the choice was wrong, so any score above 0 is correct. Any other
score (`multi_attempt`: the share of right attempts) counts as it is. All columns are of the same rows: those where each
LLM has a score.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from configs.errors import InputError
from data_processing.importers.reading import files_in, task_of
from data_processing.importers.routerdc import correct, known_metric, metric_of, read_scores

KINDS = ("probability", "multi_attempt")
NUMBERS = ["contrastive", "best_single", "own_best", "oracle"]
COLUMNS = ["name", "queries", "left_out", "scores", *NUMBERS, "own_best_llm"]


@dataclasses.dataclass(frozen=True)
class ScoreSet:
    """N texts of one task and `scores` (N, L) in [0, 1], NaN where unobserved; each row has one.

    `metric` says what a score is; `told_by`, where a file is read, who says so: option, task or values.
    """

    name: str
    task_id: str
    metric: str
    texts: tuple[str, ...]
    llm_ids: tuple[str, ...]
    scores: np.ndarray
    told_by: str = "task"

    def correct(self) -> np.ndarray:
        """Return (N, L): what each answer counts, in [0, 1]; NaN where unobserved."""
        if self.metric != "probability":
            return self.scores
        return np.stack([correct(pd.Series(column)).to_numpy() for column in self.scores.T], axis=1)

    def complete(self) -> np.ndarray:
        """Return (N,): whether each LLM has a score."""
        return np.isfinite(self.scores).all(axis=1)


def read_score_sets(
    paths: Sequence[Path], llm_ids: Sequence[str], kinds: Mapping[str, str] | None = None
) -> list[ScoreSet]:
    """Return the score lists of files and folders, one set per file, columns in the order of `llm_ids`.

    `kinds`: path or name of a file, or "" for all -> what its scores are; else its task says so, else the values do.
    Raises `InputError` for a file that is no score list, has scores of other LLMs, or no row with a score of each; and
    for a file of `kinds` that is not there.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"--data: expected RouterDC score lists, found nothing at {path}; check the path")
    files = list(dict.fromkeys(file for path in paths for file in files_in(path, (".json",), "RouterDC score lists")))
    kinds = kinds or {}
    names = {name for file in files for name in (str(file), file.name)}
    for name in kinds:
        if name and name not in names:
            raise InputError(
                f"--scores: expected the name of one of the files ({', '.join(file.name for file in files)}), got "
                f"{name!r}; give one of these"
            )
    return [_read(file, tuple(llm_ids), kinds) for file in files]


def kinds_of(said: Sequence[str]) -> dict[str, str]:
    """Return `KIND` (under "") and `FILE=KIND` of a command line by file; `InputError` for another kind."""
    kinds = {}
    for text in said:
        file, _, kind = text.rpartition("=")
        if kind not in KINDS:
            raise InputError(f"--scores: expected {' or '.join(KINDS)}, or FILE={KINDS[1]}, got {text!r}; give one")
        kinds[file] = kind
    return kinds


def _read(file: Path, llm_ids: tuple[str, ...], kinds: Mapping[str, str]) -> ScoreSet:
    rows = read_scores(file)
    found = sorted(set(rows["llm_id"]))
    if found != sorted(llm_ids):
        raise InputError(
            f"{file}: expected scores of the LLMs that the checkpoint chooses among ({', '.join(sorted(llm_ids))}), "
            f"got scores of {', '.join(found)}; give files of these LLMs or train on files like this one"
        )
    scores = rows.pivot(index="record", columns="llm_id", values="performance")[list(llm_ids)]
    texts = rows.drop_duplicates("record").set_index("record")["query"].loc[scores.index]
    values = scores.to_numpy()
    if not np.isfinite(values).all(axis=1).any():
        empty = [llm for llm, seen in zip(llm_ids, np.isfinite(values).any(axis=0), strict=True) if not seen]
        got = f"no score of {', '.join(empty)}" if empty else f"{len(values)} rows that each lack one"
        raise InputError(f"{file}: expected rows with a score of every LLM, got {got}; fill them in or leave it out")
    metric, told_by = _metric(file, values, kinds)
    return ScoreSet(file.name, task_of(file), metric, tuple(texts), llm_ids, values, told_by)


def _metric(file: Path, scores: np.ndarray, kinds: Mapping[str, str]) -> tuple[str, str]:
    """Return what the scores of a file are, and who says so."""
    for name in (str(file), file.name, ""):
        if name in kinds:
            return kinds[name], "option"
    known = known_metric(task_of(file))
    return (known, "task") if known else (metric_of(scores), "values")


def accuracy_table(
    sets: Sequence[ScoreSet], similarities: Sequence[np.ndarray], known: Sequence[ScoreSet] | None = None
) -> tuple[pd.DataFrame, str]:
    """Return one row per set, columns `COLUMNS`, and the id of the best single LLM.

    `similarities`: (N, L) of each set; chosen is the LLM of the highest one. Rows where an LLM has no score are left
    out, and counted; a set of which none is left has NaN. The best single LLM has the best average over sets,
    `own_best` is the best of each set; both are told from `known`, the train rows of the same tasks (of all tasks where
    a task has none), and from `sets` themselves, in hindsight, where that is not given.
    """
    llm_ids = sets[0].llm_ids
    own = _known_means(sets, known) if known else [_means(item.correct()[item.complete()]) for item in sets]
    single = int(np.argmax(np.mean(own, axis=0)))
    rows = []
    for item, similarity, mean in zip(sets, similarities, own, strict=True):
        whole = item.complete()
        best = int(mean.argmax())
        numbers = _numbers(item.correct()[whole], similarity[whole], single, best)
        rows.append((item.name, int(whole.sum()), int((~whole).sum()), item.metric, *numbers, llm_ids[best]))
    return pd.DataFrame(rows, columns=COLUMNS), llm_ids[single]


def _numbers(correct: np.ndarray, similarity: np.ndarray, single: int, best: int) -> tuple[float, ...]:
    """Return `NUMBERS` of rows (N, L) without gaps; NaN without any row."""
    if not len(correct):
        return (np.nan,) * len(NUMBERS)
    chosen = correct[np.arange(len(correct)), similarity.argmax(axis=1)]
    return tuple(float(column.mean()) for column in (chosen, correct[:, single], correct[:, best], correct.max(axis=1)))


def _known_means(sets: Sequence[ScoreSet], known: Sequence[ScoreSet]) -> list[np.ndarray]:
    """Return (L,) mean accuracies for each of `sets`: of its task's rows of `known`, of all where it has none."""
    counted = {item.task_id: item.correct() for item in known}
    overall = _means(np.concatenate(list(counted.values())))
    return [_means(counted[item.task_id]) if item.task_id in counted else overall for item in sets]


def _means(correct: np.ndarray) -> np.ndarray:
    """Return (L,) mean accuracies of rows (N, L); −1, so that it is never the best, of an LLM without any score."""
    seen = np.isfinite(correct)
    return np.where(seen.any(axis=0), np.where(seen, correct, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1), -1.0)


def as_text(table: pd.DataFrame, what: str, single: str, hindsight: bool, guessed: Sequence[str] = ()) -> str:
    """Return the table for a person to read, in percent, with the average over sets as its last line.

    `guessed`: names of the files of which the kind of score was told from the values.
    """
    measured = table[table["queries"] > 0]
    last = f"average of {len(measured)}"
    width = max(len(what), *(len(name) for name in table["name"]), len(last))
    kinds = [kind + "?" * (name in guessed) for name, kind in zip(table["name"], table["scores"], strict=True)]
    wide = max(len("scores"), *map(len, kinds))
    heads = ("contrastive", "best single", "own best", "oracle")
    lines = [f"{what:<{width}}  {'scores':<{wide}}  queries  " + "  ".join(f"{head:>11}" for head in heads)]
    for row, kind in zip(table.to_dict("records"), kinds, strict=True):
        numbers = "  ".join(_percent(row[name]) for name in NUMBERS)
        lines.append(f"{row['name']:<{width}}  {kind:<{wide}}  {row['queries']:>7}  {numbers}")
    average = "  ".join(_percent(measured[name].mean()) for name in NUMBERS)
    lines.append(f"{last:<{width}}  {'':<{wide}}  {measured['queries'].sum():>7}  {average}")
    return "\n".join([*lines, *_remarks(table, single, hindsight, guessed)])


def _remarks(table: pd.DataFrame, single: str, hindsight: bool, guessed: Sequence[str]) -> list[str]:
    told = "in hindsight" if hindsight else "chosen on train queries"
    lines = [f"best single: the LLM of the best average, {single}; own best: the best LLM of each line; {told}"]
    if guessed:
        lines.append("?: told from the values; --scores says what they are")
    gaps = [f"{row['left_out']} of {row['name']}" for row in table.to_dict("records") if row["left_out"]]
    if gaps:
        lines.append(f"left out, for an LLM has no score there: {', '.join(gaps)}")
    return lines


def _percent(value: float) -> str:
    return f"{100 * value:11.2f}" if np.isfinite(value) else f"{'-':>11}"
