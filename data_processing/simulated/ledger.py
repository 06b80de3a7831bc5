"""What a server has served: requests, faults, and the answers that were delivered whole, each of which is paid for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import IO, Any

from configs.errors import InputError


class Ledger:
    """Counts what was served; with a `log` every answer delivered is a line of JSON there as well, at once.

    An answer counts as delivered once its last byte is on its way: a client that dies just then has paid and has
    nothing. `key` is `protocol.request_key`.
    """

    def __init__(self, log: Path | None = None) -> None:
        self._log = log
        self._file: IO[str] | None = None
        self.requests = 0
        self.lost = 0
        self.faults: Counter[str] = Counter()
        self.refused: Counter[int] = Counter()
        self.by_model: Counter[str] = Counter()
        self.by_key: Counter[str] = Counter()

    def open(self) -> None:
        """Open the log; `InputError` where it cannot be written."""
        if self._log is not None:
            try:
                self._file = self._log.open("a", encoding="utf-8", buffering=1)
            except OSError as err:
                raise InputError(f"{self._log}: expected to write a log, got: {err.strerror}; mend the path") from err

    def close(self) -> None:
        """Close the log."""
        if self._file is not None:
            self._file.close()

    def number(self) -> int:
        """Return the number of a new request, from 0."""
        self.requests += 1
        return self.requests - 1

    def delivered(self, model: str, key: str, input_tokens: int, output_tokens: int) -> None:
        """Note an answer that was delivered whole."""
        self.by_model[model] += 1
        self.by_key[key] += 1
        if self._file is not None:
            line = {"model": model, "key": key, "prompt_tokens": input_tokens, "completion_tokens": output_tokens}
            self._file.write(json.dumps(line) + "\n")

    def stats(self, with_keys: bool) -> dict[str, Any]:
        """Return the counts of chat requests: how many came, how many answers were `delivered`, to how many `distinct`
        requests, and how many of them somebody had already (`repeated`); faults by kind; refusals by status; answers
        whose client was gone (`lost`). `with_keys` adds how often each request was answered."""
        total = self.by_model.total()
        stats = {
            "requests": self.requests,
            "delivered": total,
            "distinct": len(self.by_key),
            "repeated": total - len(self.by_key),
            "by_model": dict(self.by_model),
            "faults": dict(self.faults),
            "lost": self.lost,
            "refused": {str(status): count for status, count in self.refused.items()},
        }
        return {**stats, "by_key": dict(self.by_key)} if with_keys else stats
