"""Metrics: how good one answer is against its ground truth, in [0, 1].

Every metric takes (prediction, ground_truth) as text. An empty prediction scores 0 whatever the metric.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

from configs.errors import InputError, did_you_mean

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WORD = re.compile(r"[^\W_]+")
# A sign counts only where it touches the number and nothing touches the sign: `5-3` and `5 - 3` end in 3, `= -3` in -3.
# Digits behind a letter (`GPT4`) are no number; a unit may follow (`12kg`). Commas count only between groups of three.
_NUMBER = re.compile(r"(?<![\w.])(?P<sign>[-−+]?)\$?(?P<digits>\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)")
_LONGEST_NUMBER = 300  # characters; what is longer is noise, and Python refuses to convert beyond 4,300 digits
_MARKED = (
    re.compile(r"####\s*([^\n]*)"),
    re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"(?<!<)<\s*([-−+$]*\d[\d,.]*\s*[\w$%]*)\s*>(?!>)"),
    re.compile(r"(?i)\b(?:final\s+)?answer\s*(?:is|:|=)+\s*([^\n]*)"),
    re.compile(r"(?m)^\s*A\s*:\s*([^\n]*)"),
)
# A letter is a choice where it cannot be a word: `I` and small letters (`a`) need a bracket, a stop or the end behind.
_LETTER = r"(?:([A-HJ-Z])(?![\w'])|([A-Za-z])(?=\s*(?:[).:\]*]|$)))"
_CHOICE_MARKS = (
    re.compile(r"(?i:\b(?:answer|option|choice)\b(?:\s+is)?)\s*[:=]?\s*[(\[*]*" + _LETTER),
    re.compile(r"\\boxed\s*\{\s*" + _LETTER.replace(r"[).:\]*]", r"[).:\]*}]")),
    re.compile(r"^[^\w]*([A-Za-z])\s*(?:[).:\]*]|$)()"),
    re.compile(r"[(\[]([A-Za-z])[)\]]()"),
)


def score(metric: str, prediction: str, ground_truth: str) -> float:
    """Return the metric's value in [0, 1]; an unknown metric raises `InputError` with the nearest known name."""
    if metric not in METRICS:
        raise InputError(
            f"expected a known metric, got {metric!r}{did_you_mean(metric, list(METRICS))}; "
            f"use one of {', '.join(METRICS)}"
        )
    return METRICS[metric](prediction, ground_truth)


def normalised(text: str) -> str:
    """Return the text as SQuAD compares it: lower case, no punctuation, no articles, single spaces.

    Source: the official SQuAD v1.1 evaluation (Rajpurkar et al., arXiv 1606.05250).
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, ground_truth: str) -> float:
    """Return 1 where both texts are equal once normalised, else 0."""
    return float(bool(prediction.strip()) and normalised(prediction) == normalised(ground_truth))


def f1_score(prediction: str, ground_truth: str) -> float:
    """Return the F1 of the normalised words, counted with repeats, as SQuAD does.

    Where nothing is left of the ground truth (it is only articles or punctuation), the raw words are compared.
    """
    truth, said = normalised(ground_truth).split(), normalised(prediction).split()
    if not truth:
        truth, said = ground_truth.lower().split(), prediction.lower().split()
    common = sum((Counter(truth) & Counter(said)).values())
    return 2 * common / (len(truth) + len(said)) if common else 0.0


def rouge_l(prediction: str, ground_truth: str) -> float:
    """Return ROUGE-L: the F1 of the longest common subsequence of words (Lin, 2004; lower case, no stemming)."""
    said, truth = _WORD.findall(prediction.lower()), _WORD.findall(ground_truth.lower())
    if not said or not truth:
        return 0.0
    return 2 * common_subsequence(said, truth) / (len(said) + len(truth))


def common_subsequence(first: list[str], second: list[str]) -> int:
    """Return the length of the longest common subsequence, one big-integer step per word of `second`.

    Source: Hyyrö, "Bit-parallel LCS-length computation revisited" (2004). A zero bit marks a step of the LCS table.
    """
    places: dict[str, int] = {}
    for i, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << i
    everything = (1 << len(first)) - 1
    rows = everything
    for word in second:
        hits = rows & places.get(word, 0)
        rows = ((rows + hits) | (rows - hits)) & everything
    return len(first) - rows.bit_count()


def multiple_choice(prediction: str, ground_truth: str) -> float:
    """Return 1 where the chosen letter equals the ground truth's (`B`, `(B)`, `B. text`, `answer is B`), else 0.

    Where the ground truth is no letter, the texts must match exactly once normalised.
    """
    truth = _choice(ground_truth)
    if truth is None:
        return exact_match(prediction, ground_truth)
    return float(_choice(prediction) == truth)


def _choice(text: str) -> str | None:
    for mark in _CHOICE_MARKS:
        found = mark.findall(text.strip())
        if found:
            return "".join(found[-1]).upper()
    return None


def gsm8k(prediction: str, ground_truth: str) -> float:
    """Return 1 where the final number of the prediction equals that of the ground truth, else 0.

    Commas, signs, currency, decimals and units are understood: `1,250` = `1250.0`; `12.50` is not `1250`. Raises
    `InputError` where the ground truth has no number: nothing could be right then.
    """
    truth = final_number(ground_truth)
    if truth is None:
        raise InputError(f"metric 'gsm8k': expected a number in ground_truth, got {ground_truth[:60]!r}; mend the row")
    return float(final_number(prediction) == truth)


def final_number(text: str) -> Fraction | None:
    """Return the number a text ends on: after `####`, in a box, in `<…>`, after "answer is", else the last one.

    Of a marked place the first number counts, or the first one behind its last `=`; of several marks the last.
    """
    for mark in _MARKED:
        for found in reversed(mark.findall(text)):
            numbers = _numbers(found.rpartition("=")[2]) or _numbers(found)
            if numbers:
                return numbers[0]
    numbers = _numbers(text)
    return numbers[-1] if numbers else None


def _numbers(text: str) -> list[Fraction]:
    out = []
    # LaTeX writes `1{,}250` and `\\$5`
    for match in _NUMBER.finditer(text.replace("{,}", ",").replace("\\$", "$")):
        if len(match["digits"]) <= _LONGEST_NUMBER:
            value = Fraction(match["digits"].replace(",", ""))
            out.append(-value if match["sign"] in ("-", "−") else value)
    return out


METRICS: dict[str, Callable[[str, str], float]] = {
    "f1_score": f1_score,
    "exact_match": exact_match,
    "multiple_choice": multiple_choice,
    "gsm8k": gsm8k,
    "rouge_l": rouge_l,
}
