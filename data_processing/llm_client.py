"""What the project expects of anything that answers prompts: a real API client or the simulated LLMs."""

from __future__ import annotations

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class Completion:
    """One answer; `latency_s` in seconds."""

    text: str
    input_tokens: int
    output_tokens: int
    latency_s: float


class ChatModel(Protocol):
    """Answers prompts as one of several LLMs."""

    def complete(self, llm_id: str, prompt: str, *, seed: int) -> Completion:
        """Return the answer of `llm_id`; an unknown id raises `InputError`, a failed call raises and never answers."""
