"""What asking has come to so far: counts, dollars, and the bar that shows them."""

from __future__ import annotations

import collections
import dataclasses
import sys
import time

from tqdm import tqdm

from data_processing.cache import Outcome
from data_processing.llm_client import CallError, ErrorKind


@dataclasses.dataclass(frozen=True)
class Asked:
    """What one run of calls came to.

    `answered` and `failed` calls in this run, `failed` ones by kind in `errors`, with the first message of each kind in
    `messages`; `stored`: calls whose answer the store had, equal calls of this run, and calls that another process
    answered meanwhile. `spent_usd`: US dollars of this process in this run, with what failed attempts are known to have
    cost.
    """

    answered: int
    failed: int
    stored: int
    spent_usd: float
    seconds: float
    errors: dict[ErrorKind, int]
    messages: dict[ErrorKind, str]


class Tally:
    """Counts as a run goes on, with a bar on stderr; `progress`: on, off, or auto (where stderr is a terminal)."""

    def __init__(self, total: int | None, label: str, progress: str) -> None:
        shown = progress == "on" or (progress == "auto" and sys.stderr.isatty())
        self.total = total
        self.answered = self.stored = 0
        self.errors: collections.Counter[ErrorKind] = collections.Counter()
        self.messages: dict[ErrorKind, str] = {}  # the first of each kind
        self.start = time.perf_counter()
        self.bar = tqdm(total=total, desc=label, unit="call", disable=not shown, file=sys.stderr)

    @property
    def done(self) -> int:
        """Number of calls that need nothing more in this run."""
        return self.answered + self.errors.total() + self.stored

    def add_stored(self, count: int) -> None:
        """Count calls that need not be asked. They leave the bar's total, so that rate and time left stay true."""
        self.stored += count
        if count and self.bar.total is not None:
            self.bar.total -= count
            self.bar.refresh()

    def add_failed(self, kind: ErrorKind, message: str) -> None:
        """Count a call that failed without being asked here: by another process, or as an equal one."""
        self._count(kind, message)
        self.bar.update(1)

    def add(self, outcomes: list[Outcome], spent_usd: float) -> None:
        """Count what this run has asked and stored."""
        for outcome in outcomes:
            if isinstance(outcome.result, CallError):
                self._count(outcome.result.kind, str(outcome.result))
            else:
                self.answered += 1
        self.bar.set_postfix_str(f"${spent_usd:.4f}, {self.errors.total()} failed", refresh=False)
        self.bar.update(len(outcomes))

    def asked(self, spent_usd: float) -> Asked:
        """Return the counts."""
        seconds = time.perf_counter() - self.start
        failed = self.errors.total()
        return Asked(self.answered, failed, self.stored, spent_usd, seconds, dict(self.errors), dict(self.messages))

    def _count(self, kind: ErrorKind, message: str) -> None:
        self.errors[kind] += 1
        self.messages.setdefault(kind, message)
