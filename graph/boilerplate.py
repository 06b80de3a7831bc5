"""Lines that many prompts of one task share, and how to take them off before a text is embedded.

Benchmark prompts often carry the same few-shot examples: RouterBench puts 2,000 characters of them before a question
of 100. A mean-pooled embedding then says which benchmark a prompt is from and little about the question. What is
shared is found by counting lines of train queries; no label and no outcome is looked at.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from configs.errors import InputError

MIN_TEXTS = 3
MIN_FRACTION = 0.02
MIN_CHARACTERS_LEFT = 5
FORMAT_VERSION = 1

# line hash -> how many occurrences of the line in one text are boilerplate
Lines = dict[str, int]


class Boilerplate:
    """The shared lines of each task; `strip` takes them off.

    A line is boilerplate where at least max(`min_texts`, ⌈`min_fraction` · n⌉) of the n distinct train texts of the
    task hold it. Occurrences count: if every prompt has the shot line `B) Logan` once, a question whose own option is
    `B) Logan` has it twice, and only the first goes. Lines are compared with runs of white space made one space.
    """

    def __init__(self, min_texts: int = MIN_TEXTS, min_fraction: float = MIN_FRACTION) -> None:
        self.min_texts = min_texts
        self.min_fraction = min_fraction
        self.groups: dict[str, Lines] = {}
        self._union: Lines = {}

    def fit(self, task_ids: Sequence[str], texts: Sequence[str]) -> Self:
        """Count the lines of N train texts, `task_ids[i]` being the task of `texts[i]`; return self.

        Give train queries only: a line counted in a test query would be a leak. Where the task is withheld, give the
        same id for all (`graph.records.UNKNOWN_TASK`): they are one group, and the fraction is of all texts.
        """
        if len(task_ids) != len(texts):
            raise InputError(
                f"boilerplate: expected one task id per text, got {len(task_ids)} ids for {len(texts)} texts; pair them"
            )
        # Distinct texts: a query that is in the table three times shares its lines with itself only.
        by_task: dict[str, dict[str, None]] = {}
        for task_id, text in zip(task_ids, texts, strict=True):
            by_task.setdefault(task_id, {})[text] = None
        self.groups = {task_id: self._shared(distinct) for task_id, distinct in by_task.items()}
        self._union = _union(self.groups.values())
        return self

    def strip(self, texts: Sequence[str], task_ids: Sequence[str] | None = None) -> list[str]:
        """Return the texts without their boilerplate lines, in the same order and number.

        A text of a task that `fit` has not seen, or of none, loses the lines of every task. A text that would be left
        with fewer than 5 characters stays whole; one without boilerplate comes back unchanged.
        """
        if task_ids is not None and len(task_ids) != len(texts):
            raise InputError(
                f"boilerplate: expected one task id per text, got {len(task_ids)} ids for {len(texts)} texts; pair them"
            )
        tasks: Sequence[str | None] = [None] * len(texts) if task_ids is None else task_ids
        return [
            _strip_one(text, self._union if task is None else self.groups.get(task, self._union))
            for text, task in zip(texts, tasks, strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able dict, keys sorted; it holds hashes of lines, never a line."""
        return {
            "format_version": FORMAT_VERSION,
            "groups": {task_id: dict(sorted(lines.items())) for task_id, lines in sorted(self.groups.items())},
            "min_fraction": self.min_fraction,
            "min_texts": self.min_texts,
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """Build the fitted object back from `to_json`; raise `InputError` for another format."""
        if state.get("format_version") != FORMAT_VERSION:
            raise InputError(
                f"boilerplate: expected format_version {FORMAT_VERSION}, got {state.get('format_version')!r}; "
                "train the router again with this version"
            )
        boilerplate = cls(state["min_texts"], state["min_fraction"])
        boilerplate.groups = {task_id: dict(lines) for task_id, lines in state["groups"].items()}
        boilerplate._union = _union(boilerplate.groups.values())
        return boilerplate

    def _shared(self, texts: Iterable[str]) -> Lines:
        texts = list(texts)
        needed = max(self.min_texts, math.ceil(self.min_fraction * len(texts)))
        # (line, k) -> number of texts that hold the line at least k times
        texts_with: Counter[tuple[str, int]] = Counter()
        for text in texts:
            counts = Counter(filter(None, map(_normal, text.splitlines())))
            texts_with.update((line, k) for line, count in counts.items() for k in range(1, count + 1))
        shared: Lines = {}
        for (line, k), count in texts_with.items():
            if count >= needed:
                key = _hash(line)
                shared[key] = max(k, shared.get(key, 0))
        return shared


def _union(groups: Iterable[Lines]) -> Lines:
    # A line in 2 % of all texts is in 2 % of the texts of some task: one big group would not find more than this.
    union: Lines = {}
    for lines in groups:
        for key, count in lines.items():
            union[key] = max(count, union.get(key, 0))
    return union


def _strip_one(text: str, shared: Lines) -> str:
    if not shared:
        return text
    left = dict(shared)
    kept: list[str] = []
    removed = False
    for line in text.splitlines():
        normal = _normal(line)
        key = _hash(normal) if normal else ""
        if left.get(key, 0) > 0:
            left[key] -= 1
            removed = True
        elif normal or (kept and kept[-1]):  # removed shots leave runs of blank lines: keep one
            kept.append(line if normal else "")
    if not removed:
        return text
    stripped = "\n".join(kept).strip()
    return stripped if len(stripped) >= MIN_CHARACTERS_LEFT else text


def _normal(line: str) -> str:
    return " ".join(line.split())


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode("utf-8", "surrogatepass")).hexdigest()[:16]
