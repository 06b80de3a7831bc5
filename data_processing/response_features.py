"""What can be measured about an answer without understanding it: the features the rule-based judge weighs.

All of them are read off the text of the answer and of its question, except `correctness`, which is the performance.
White space around an answer never counts. Any language is accepted: the marks of style are English, the rest is not.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd

FEATURES: tuple[str, ...] = (
    "length",
    "steps",
    "formulas_and_code",
    "lists",
    "readability",
    "warmth",
    "hedging",
    "overlap",
    "correctness",
)
READING_EASE = (0.0, 121.22)  # Flesch's scale without its tail; the upper end is one short word of one syllable
SHORTEST_SHARED_WORD = 3  # an answer "A" does not take up the article "a" of the question
NO_SPREAD = 1e-9  # deviations below this are rounding, not a difference between answers

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_VOWELS = re.compile(r"[aeiouy]+")
_SENTENCE_END = re.compile(r"[.!?]+\s+|[。！？]+\s*|\n\s*")
_WRITTEN_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
_NUMBERED_LINE = re.compile(r"\n[ \t]*\d{1,3}[.)]\s")
_BULLET_LINE = re.compile(r"\n[ \t]*[-*+•–]\s")
_STEP_NUMBER = re.compile(r"step \d")
_MATHS_MARKS = "=+^<>×÷√∑∫≤≥\\"  # a backslash opens a LaTeX command
_CODE_MARKS = ("```", "\n    ", "\n\t")

_STEP, _CODE, _WARM, _HEDGE = range(4)
_KIND_OF_WORD = {
    word: kind
    for kind, words in (
        (_STEP, "first firstly second secondly third thirdly then next finally lastly"),
        (_CODE, "def return import elif lambda printf println"),
        (
            _WARM,
            "happy glad great lovely thanks thank hope enjoy welcome wonderful please fun love delighted awesome "
            "excellent amazing cheers congratulations kindly dear sorry friend you've you'll let's",
        ),
        (
            _HEDGE,
            "may might perhaps maybe possibly possible probably likely unlikely roughly approximately seems seem "
            "appears appear arguably generally usually sometimes unclear uncertain unsure depends depend assume "
            "assuming suggests could verify mistaken",
        ),
    )
    for word in words.split()
}


def answer_features(
    dataset_queries: pd.DataFrame, outcomes: pd.DataFrame, query_ids: list[str], llm_ids: list[str]
) -> np.ndarray:
    """Return (Q, L, F) features of every answer, NaN where there is no performance; F as `FEATURES`.

    Counts are log1p, `readability` is Flesch's reading ease within `READING_EASE`, `overlap` is the share of the
    answer's distinct words of three letters or more that stand in the question, `correctness` is the performance.
    """
    features = np.full((len(query_ids), len(llm_ids), len(FEATURES)), np.nan)
    rows, columns = _cells(outcomes, query_ids, llm_ids)
    performance = outcomes["performance"].to_numpy(dtype=float)
    wanted = np.flatnonzero((rows >= 0) & (columns >= 0) & np.isfinite(performance))
    wanted = wanted[np.argsort(rows[wanted], kind="stable")]
    questions = dict(zip(dataset_queries["query_id"], dataset_queries["query"], strict=True))
    responses = outcomes["response"].to_numpy(dtype=object)
    row, question_words, known = -1, frozenset[str](), dict[str, list[float]]()
    for number in wanted:
        if rows[number] != row:
            row = rows[number]
            question_words, known = frozenset(_long_words(_words(_plain(questions[query_ids[row]])))), {}
        text = responses[number].strip()
        if text not in known:
            known[text] = text_features(text, question_words)
        features[row, columns[number], :-1] = known[text]
        features[row, columns[number], -1] = performance[number]
    return features


def answer_classes(outcomes: pd.DataFrame, query_ids: list[str], llm_ids: list[str]) -> np.ndarray:
    """Return (Q, L) ints: within a row equal numbers, from 0 up, mark equal answers; -1 where there is no outcome.

    Answers are equal if they differ in white space and case only. A blank one equals no other: it says that the text
    is not known.
    """
    rows, columns = _cells(outcomes, query_ids, llm_ids)
    wanted = np.flatnonzero((rows >= 0) & (columns >= 0))
    texts = [" ".join(text.split()).casefold() for text in outcomes["response"].to_numpy(dtype=object)[wanted]]
    codes, distinct = pd.factorize(np.array(texts, dtype=object))
    blank = np.array([not text for text in texts], dtype=bool)
    codes[blank] = len(distinct) + np.arange(blank.sum())
    answer = np.full((len(query_ids), len(llm_ids)), -1, dtype=np.int64)
    answer[rows[wanted], columns[wanted]] = codes
    classes = np.full_like(answer, -1)
    count = np.zeros(len(query_ids), dtype=np.int64)
    for column in range(len(llm_ids)):
        new = (classes[:, column] < 0) & (answer[:, column] >= 0)
        same = (answer == answer[:, [column]]) & new[:, None]
        classes = np.where(same, count[:, None], classes)
        count += new
    return classes


def standardise(features: np.ndarray) -> np.ndarray:
    """Return (Q, L, F): each feature less its mean over the LLMs of the query, over the spread of these differences.

    What all answers to a query have in common cannot matter to a choice between them, so only the differences count.
    NaN, and a feature in which no two answers to a query differ, become 0.
    """
    present = np.isfinite(features)
    count = present.sum(axis=1, keepdims=True)
    mean = np.where(present, features, 0.0).sum(axis=1, keepdims=True) / np.maximum(count, 1)
    deviation = np.where(present, features - mean, 0.0)
    spread = np.sqrt((deviation**2).sum(axis=(0, 1)) / np.maximum(present.sum(axis=(0, 1)), 1))
    return np.where(spread > NO_SPREAD, deviation / np.where(spread > NO_SPREAD, spread, 1.0), 0.0)


def text_features(text: str, question_words: frozenset[str] = frozenset()) -> list[float]:
    """Return all features but `correctness` of one answer; `question_words` are case-folded words of the question."""
    text = text.strip()
    if not text:
        return [0.0] * (len(FEATURES) - 1)
    plain = _plain(text)
    lines = f"\n{plain}\n"
    words = _words(plain)
    kinds = [_KIND_OF_WORD[word] for word in words if word in _KIND_OF_WORD]
    numbered = len(_NUMBERED_LINE.findall(lines))
    maths_and_code = sum(map(text.count, _MATHS_MARKS)) + sum(map(lines.count, _CODE_MARKS))
    long_words = _long_words(words)
    return [
        math.log1p(len(plain.split())),
        math.log1p(numbered + len(_STEP_NUMBER.findall(plain)) + kinds.count(_STEP)),
        math.log1p(maths_and_code + kinds.count(_CODE)),
        math.log1p(numbered + len(_BULLET_LINE.findall(lines))),
        _reading_ease(plain, len(words), numbered),
        math.log1p(kinds.count(_WARM) + plain.count("!") - plain.count("!=")),
        math.log1p(kinds.count(_HEDGE)),
        len(long_words & question_words) / len(long_words) if long_words else 0.0,
    ]


def _reading_ease(plain: str, words: int, numbered: int) -> float:
    """Return Flesch's reading ease; every word has at least one syllable, whatever its script."""
    words = max(words, 1)
    # The dot after the number of a line ends no sentence.
    sentences = max(len(_SENTENCE_END.findall(f"{plain}\n")) - numbered, 1)
    syllables = max(len(_VOWELS.findall(plain)), words)
    ease = 206.835 - 1.015 * words / sentences - 84.6 * syllables / words
    return min(max(ease, READING_EASE[0]), READING_EASE[1])


def _plain(text: str) -> str:
    """Return the text stripped and case-folded; where a script has no spaces, every sign becomes a word."""
    plain = text.strip().casefold().replace("’", "'")
    return plain if plain.isascii() else _WRITTEN_WITHOUT_SPACES.sub(r" \g<0> ", plain).strip()


def _words(plain: str) -> list[str]:
    return _WORD.findall(plain)


def _long_words(words: list[str]) -> set[str]:
    return {word for word in words if len(word) >= SHORTEST_SHARED_WORD}


def _cells(outcomes: pd.DataFrame, query_ids: list[str], llm_ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of each outcome, -1 where its query or LLM is not asked for."""
    rows = pd.Index(query_ids).get_indexer(pd.Index(outcomes["query_id"]))
    columns = pd.Index(llm_ids).get_indexer(pd.Index(outcomes["llm_id"]))
    return rows, columns
