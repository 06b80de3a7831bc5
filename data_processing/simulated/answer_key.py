"""An answer key: questions that the simulated world did not write, with their ground truths.

A simulated LLM knows nothing. On questions of a real set it can be right or wrong only if it is told what is right, and
that is all this does: the numbers that come of it say something of the software, nothing of any real LLM. How well an
LLM does depends on what a router can find out: the kind of question, its subject and its difficulty.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from data_processing.scoring import final_number
from data_processing.simulated.keyed_answers import Choice, Known, Sentences, Span, WorkedNumber
from data_processing.simulated.profiles import ARITHMETIC, EXTRACTIVE, INSTRUCTION, SUMMARY
from data_processing.simulated.question import Answerer, Question
from data_processing.simulated.topic_words import telling_words, topic_of
from data_processing.tables import find_table, read_table

NEEDED = ("query", "ground_truth", "metric")
SHORT_TRUTH = 8  # words up to which a ground truth is a span rather than a text
LONG_SOURCE = 150  # words from which on a text is to be summarised rather than an instruction followed
BOILERPLATE = 10, 0.5  # in a task of so many questions, a word that more than this share of them has tells nothing
# Words of the question at which it becomes harder by a degree; steps of the solution for word problems.
HARDER: dict[str, tuple[int, int, int]] = {
    ARITHMETIC: (2, 3, 5),
    EXTRACTIVE: (100, 140, 190),
    INSTRUCTION: (8, 14, 40),
    SUMMARY: (800, 1300, 2200),
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One question of the key."""

    task_id: str
    query: str
    ground_truth: str
    metric: str


class AnswerKey:
    """Finds a question by its text, whatever its white space."""

    def __init__(self, entries: Mapping[str, Entry], boilerplate: Mapping[str, frozenset[str]]) -> None:
        self._entries = entries
        self._boilerplate = boilerplate
        self._read = functools.lru_cache(maxsize=1024)(self._question)

    @classmethod
    def of(cls, path: Path) -> AnswerKey:
        """Return the key in a file (Parquet, CSV, JSON, JSON Lines) or in a folder with the tables queries and tasks.

        The file needs the columns query, ground_truth and metric; task_id is read where it is there. Questions without
        a ground truth are left out, and so are those whose metric needs a program to be run. Raises `InputError` naming
        the file and the column that is missing.
        """
        table = _of_folder(path) if path.is_dir() else read_table(path)
        missing = [name for name in NEEDED if name not in table.columns]
        if missing:
            raise InputError(
                f"{path}: expected the columns {', '.join(NEEDED)} in an answer key, got "
                f"{', '.join(map(str, table.columns))}; add {missing[0]!r}"
            )
        tasks = table["task_id"] if "task_id" in table.columns else pd.Series("", index=table.index)
        columns = [tasks, *(table[name] for name in NEEDED)]
        rows = zip(*(column.fillna("").astype("str") for column in columns), strict=True)
        entries = [Entry(task, query, truth, metric.lower()) for task, query, truth, metric in rows]
        known = {_squeezed(entry.query): entry for entry in entries if _usable(entry)}
        return cls(known, _boilerplate(list(known.values())))

    def __len__(self) -> int:
        return len(self._entries)

    def read(self, prompt: str) -> tuple[Answerer, Question] | None:
        """Return who answers the prompt, and the question as a simulated LLM sees it; None where it is not in the key.

        `task_id` of the question is the kind of task that it is most like, by which skills and styles are chosen.
        """
        return self._read(_squeezed(prompt))

    def _question(self, squeezed: str) -> tuple[Answerer, Question] | None:
        entry = self._entries.get(squeezed)
        if entry is None:
            return None
        words = len(squeezed.split())
        kind, answerer = _kind(entry, words)
        size = len(entry.ground_truth.split("####")[0].strip().splitlines()) if kind == ARITHMETIC else words
        difficulty = 1 + sum(size >= bound for bound in HARDER[kind])
        topic = topic_of(telling_words(entry.query), self._boilerplate.get(entry.task_id, frozenset()))
        content = Known(entry.ground_truth, entry.query)
        return answerer, Question(kind, entry.query, entry.ground_truth, topic, difficulty, "plain", content)


def _of_folder(folder: Path) -> pd.DataFrame:
    tables = {}
    for name in ("queries", "tasks"):
        path = find_table(folder, name)
        if path is None:
            raise InputError(
                f"{folder}: expected a table {name!r} in an answer key, found none; give a folder of tables"
            )
        tables[name] = read_table(path)
    return tables["queries"].merge(tables["tasks"][["task_id", "metric"]], on="task_id", how="left")


def _usable(entry: Entry) -> bool:
    if not entry.ground_truth.strip() or entry.metric.startswith("code"):
        return False
    return entry.metric != "gsm8k" or final_number(entry.ground_truth) is not None


def _kind(entry: Entry, words: int) -> tuple[str, Answerer]:
    if entry.metric == "gsm8k":
        return ARITHMETIC, WorkedNumber()
    if entry.metric == "multiple_choice":
        return INSTRUCTION, Choice()
    if len(entry.ground_truth.split()) <= SHORT_TRUTH:
        return EXTRACTIVE, Span(entry.metric)
    return SUMMARY if words >= LONG_SOURCE else INSTRUCTION, Sentences(entry.metric)


def _boilerplate(entries: list[Entry]) -> dict[str, frozenset[str]]:
    """Return task id -> words that belong to how its questions are put rather than to one of them."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    sizes = Counter(entry.task_id for entry in entries)
    for entry in entries:
        counts[entry.task_id].update(telling_words(entry.query).keys())
    least, share = BOILERPLATE
    return {
        task: frozenset(word for word, count in found.items() if sizes[task] >= least and count > share * sizes[task])
        for task, found in counts.items()
    }


def _squeezed(text: str) -> str:
    return " ".join(text.split())
