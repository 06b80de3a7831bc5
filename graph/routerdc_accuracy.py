"""Accuracy as RouterDC counts it, of a choice of LLMs and of what it has to be compared with.

A `probability` is that of the right choice and 0 where the choice was wrong, so any score above 0 is correct. Any other
score (`multi_attempt`: the share of right attempts) counts as it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from configs.errors import InputError
from data_processing.importers.reading import files_in, task_of
from data_processing.importers.routerdc import correct, read_scores, score_metrics

NUMBERS = ["contrastive", "best_single", "own_best", "oracle"]
COLUMNS = ["name", "queries", *NUMBERS, "own_best_llm"]


@dataclasses.dataclass(frozen=True)
class ScoreSet:
    """N texts of one task and `scores` (N, L) in [0, 1], NaN where unobserved; each row has one."""

    name: str
    task_id: str
    metric: str
    texts: tuple[str, ...]
    llm_ids: tuple[str, ...]
    scores: np.ndarray

    def correct(self) -> np.ndarray:
        """Return (N, L): what each answer counts, in [0, 1]; NaN where unobserved."""
        if self.metric != "probability":
            return self.scores
        return np.stack([correct(pd.Series(column)).to_numpy() for column in self.scores.T], axis=1)


def read_score_sets(paths: Sequence[Path], llm_ids: Sequence[str]) -> list[ScoreSet]:
    """Return the score lists of files and folders, one set per file, columns in the order of `llm_ids`.

    Raises `InputError` for a file that is no score list, or that has scores of other LLMs.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"--data: expected RouterDC score lists, found nothing at {path}; check the path")
    files = dict.fromkeys(file for path in paths for file in files_in(path, (".json",), "RouterDC score lists"))
    return [_read(file, tuple(llm_ids)) for file in files]


def _read(file: Path, llm_ids: tuple[str, ...]) -> ScoreSet:
    rows = read_scores(file)
    found = sorted(set(rows["llm_id"]))
    if found != sorted(llm_ids):
        raise InputError(
            f"{file}: expected scores of the LLMs that the checkpoint chooses among ({', '.join(sorted(llm_ids))}), "
            f"got scores of {', '.join(found)}; give files of these LLMs or train on files like this one"
        )
    scores = rows.pivot(index="record", columns="llm_id", values="performance")[list(llm_ids)]
    texts = rows.drop_duplicates("record").set_index("record")["query"].loc[scores.index]
    metric = score_metrics(rows)[0][task_of(file)]
    known = np.isfinite(scores.to_numpy()).any(axis=1)
    if not known.any():
        raise InputError(f"{file}: expected at least one score, got none; give another file")
    return ScoreSet(file.name, task_of(file), metric, tuple(texts[known]), llm_ids, scores.to_numpy()[known])


def accuracy_table(
    sets: Sequence[ScoreSet], similarities: Sequence[np.ndarray], known: Sequence[ScoreSet] | None = None
) -> tuple[pd.DataFrame, str]:
    """Return one row per set, columns `COLUMNS`, and the id of the best single LLM.

    `similarities`: (N, L) of each set; chosen is the LLM of the highest one among those with a score. The best single
    LLM has the best average over sets, `own_best` is the best of each set; both are told from `known`, the train rows
    of the same tasks, and from `sets` themselves, in hindsight, where that is not given.
    """
    llm_ids = sets[0].llm_ids
    means = pd.DataFrame({item.task_id: _means(item) for item in known or ()}, index=pd.RangeIndex(len(llm_ids)))
    own = [_means(item) if known is None else means[item.task_id].to_numpy() for item in sets]
    single = int(np.argmax(np.mean(own, axis=0)))
    rows = []
    for item, similarity, mean in zip(sets, similarities, own, strict=True):
        correct = item.correct()
        chosen = np.where(np.isfinite(correct), similarity, -np.inf).argmax(axis=1)
        numbers = (
            float(correct[np.arange(len(correct)), chosen].mean()),
            _of_column(correct, single),
            _of_column(correct, int(mean.argmax())),
            float(np.nanmax(correct, axis=1).mean()),
        )
        rows.append((item.name, len(correct), *numbers, llm_ids[int(mean.argmax())]))
    return pd.DataFrame(rows, columns=COLUMNS), llm_ids[single]


def _means(item: ScoreSet) -> np.ndarray:
    """Return (L,) mean accuracies; −1, so that it is never the best, of an LLM without any score."""
    correct = item.correct()
    seen = np.isfinite(correct)
    return np.where(seen.any(axis=0), np.where(seen, correct, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1), -1.0)


def _of_column(correct: np.ndarray, llm: int) -> float:
    """Return the mean over the rows where that LLM has a score; NaN without any."""
    seen = np.isfinite(correct[:, llm])
    return float(correct[seen, llm].mean()) if seen.any() else np.nan


def as_text(table: pd.DataFrame, what: str, single: str, hindsight: bool) -> str:
    """Return the table for a person to read, in percent, with the average over sets as its last line."""
    width = max(len(what), *(len(name) for name in table["name"]), len(f"average of {len(table)}"))
    heads = ("contrastive", "best single", "own best", "oracle")
    lines = [f"{what:<{width}}  queries  " + "  ".join(f"{head:>11}" for head in heads)]
    lines += [
        f"{row['name']:<{width}}  {row['queries']:>7}  " + "  ".join(f"{100 * row[name]:11.2f}" for name in NUMBERS)
        for row in table.to_dict("records")
    ]
    average = "  ".join(f"{100 * table[name].mean():11.2f}" for name in NUMBERS)
    lines.append(f"{f'average of {len(table)}':<{width}}  {table['queries'].sum():>7}  {average}")
    told = "in hindsight" if hindsight else "chosen on train queries"
    lines.append(f"best single: the LLM of the best average, {single}; own best: the best LLM of each line; {told}")
    return "\n".join(lines)
