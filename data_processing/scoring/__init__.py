"""Metrics by name: how good one answer is against its ground truth, in [0, 1].

A metric is a function of (prediction, ground_truth), both text. One that is faster on many answers at once also has an
attribute `many`: (predictions, ground_truths) -> one number each. An empty prediction scores 0 whatever the metric.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from configs.errors import InputError
from data_processing.scoring.by_name import CODE, LOADED, Metric, Metrics, UnknownMetricError, imported, unknown
from data_processing.scoring.choices import multiple_choice
from data_processing.scoring.numbers import final_number, gsm8k
from data_processing.scoring.words import exact_match, f1_score, normalised, rouge_l

__all__ = [
    "LOADED", "METRICS", "Metric", "UnknownMetricError", "exact_match", "f1_score", "final_number", "find_metric",
    "gsm8k", "multiple_choice", "normalised", "rouge_l", "score", "score_all",
]  # fmt: skip

METRICS = Metrics(
    f1_score=f1_score,
    exact_match=exact_match,
    multiple_choice=multiple_choice,
    gsm8k=gsm8k,
    rouge_l=rouge_l,
)
# A metric of your own comes in by its path, as `package.module:function`; so do those of `LOADED`.
_PATH = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")
_CHUNK = 256  # answers handed to `many` at once: few enough for memory, and for a bar that moves


def score(metric: str, prediction: str, ground_truth: str) -> float:
    """Return the value in [0, 1] of one answer; an unknown metric raises `InputError` with the nearest known name."""
    return float(score_all(metric, [prediction], [ground_truth])[0])


def score_all(
    name: str,
    predictions: Sequence[str],
    ground_truths: Sequence[str],
    *,
    run_code: bool = False,
    progress: bool = False,
) -> np.ndarray:
    """Return the metric's values, shape (N,), float64 in [0, 1]; a blank prediction scores 0 without being looked at.

    `progress` shows a bar. Raises `InputError` as `find_metric`, and where a metric gives what is no number in [0, 1].
    """
    metric = find_metric(name, run_code=run_code)
    pairs = list(zip(predictions, ground_truths, strict=True))
    values = np.zeros(len(pairs))
    rows = [row for row, (prediction, _) in enumerate(pairs) if prediction.strip()]
    many = getattr(metric, "many", None)
    step = _CHUNK if many else 1
    with tqdm(total=len(pairs), initial=len(pairs) - len(rows), desc=name, unit="answer", disable=not progress) as bar:
        for start in range(0, len(rows), step):
            chunk = rows[start : start + step]
            said, truths = [pairs[row][0] for row in chunk], [pairs[row][1] for row in chunk]
            got = many(said, truths) if many else [metric(said[0], truths[0])]
            values[chunk] = _checked(name, got, said)
            bar.update(len(chunk))
    return values


def find_metric(name: str, *, run_code: bool = False) -> Metric:
    """Return the metric `name`: one of `METRICS`, of `LOADED`, or a `package.module:function` that can be imported.

    Raises `InputError` where it is unknown, or where it runs code and `run_code` is not given.
    """
    if name in METRICS:
        return METRICS[name]
    path = LOADED.get(name, name)
    if path == CODE and not run_code:
        raise InputError(
            f"metric {name!r} runs the code in answers, as you and on this machine: expected build.run_code to be "
            "true, got false; set it inside a container, or where you trust the LLMs and the tests"
        )
    match = _PATH.fullmatch(path)
    if match is None:
        raise unknown(name, list(METRICS))
    return imported(name, match[1], match[2])


def _checked(name: str, values: Any, predictions: Sequence[str]) -> np.ndarray:
    """Return the values as float64, shape (N,), or raise `InputError` for the first that is no number in [0, 1]."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise InputError(f"metric {name!r}: expected numbers in [0, 1], got: {err}; mend the metric") from err
    if numbers.shape != (len(predictions),):
        raise InputError(
            f"metric {name!r}: expected one number for each of {len(predictions)} answers, got shape {numbers.shape}; "
            "mend the metric"
        )
    wrong = np.flatnonzero(~((numbers >= 0) & (numbers <= 1)))  # also where it is NaN
    if wrong.size:
        raise InputError(
            f"metric {name!r}: expected a number in [0, 1], got {numbers[wrong[0]]} for the answer "
            f"{predictions[wrong[0]][:60]!r}; mend the metric"
        )
    return numbers
