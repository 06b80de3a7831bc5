"""What is asked of LLMs and what comes back: the contract between askers, the store of answers and the clients."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from configs.errors import InputError

# What went wrong with a call; the retryable ones may pass by themselves.
ErrorKind = Literal[
    "rate_limit",  # 429
    "server",  # 5xx, 408, 409
    "timeout",
    "connection",  # refused, reset, cut in the middle of an answer
    "malformed",  # a reply that is not what the API promises
    "empty",  # a reply without any text
    "context_length",  # the prompt is longer than the LLM takes
    "authentication",  # 401, 403
    "request",  # any other 4xx: wrong model name, wrong parameter
]
RETRYABLE: frozenset[ErrorKind] = frozenset({"rate_limit", "server", "timeout", "connection", "malformed", "empty"})


@dataclasses.dataclass(frozen=True)
class Completion:
    """One answer; `latency_s` in seconds. `estimated`: the API gave no usage, so tokens were counted here."""

    text: str
    input_tokens: int
    output_tokens: int
    latency_s: float
    estimated: bool = False
    finish_reason: str = ""


class ChatModel(Protocol):
    """Answers prompts as one of several LLMs."""

    def complete(self, llm_id: str, prompt: str, *, seed: int) -> Completion:
        """Return the answer of `llm_id`; an unknown id raises `InputError`, a failed call raises and never answers."""


@dataclasses.dataclass(frozen=True)
class Call:
    """One request to one LLM.

    `messages` are (role, content) pairs; `parameters` are sent beside model and messages and must be JSON (temperature,
    seed, max_tokens, response_format …). Prices are US dollars per million tokens.
    """

    llm_id: str
    api_model: str
    endpoint: str
    messages: tuple[tuple[str, str], ...]
    parameters: Mapping[str, Any]
    input_price_usd_per_mtok: float
    output_price_usd_per_mtok: float

    @functools.cached_property
    def key(self) -> str:
        """What an answer is stored under: sha256 over model, messages and parameters, in hex."""
        content = [self.api_model, self.messages, dict(self.parameters)]
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def cost_usd(self, completion: Completion) -> float:
        """Return US dollars for this answer."""
        return self.cost_of(completion.input_tokens, completion.output_tokens)

    def cost_of(self, input_tokens: float, output_tokens: float) -> float:
        """Return US dollars for so many tokens."""
        return (input_tokens * self.input_price_usd_per_mtok + output_tokens * self.output_price_usd_per_mtok) / 1e6


class CallError(Exception):
    """A call that brought no answer.

    `attempts` made; `status` is the HTTP status, None where there was no reply; `retry_after_s` is how long the API
    asks to wait, in seconds; `tokens` are (input, output) tokens that a reply without an answer was billed for;
    `final`: another attempt would bring the same, whatever the kind.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        status: int | None = None,
        attempts: int = 1,
        *,
        retry_after_s: float | None = None,
        tokens: tuple[int, int] = (0, 0),
        final: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind, self.status, self.attempts = kind, status, attempts
        self.retry_after_s, self.tokens, self.final = retry_after_s, tokens, final

    @property
    def retryable(self) -> bool:
        """Return whether it may pass by itself."""
        return self.kind in RETRYABLE and not self.final


class BudgetReachedError(InputError):
    """No further call can be begun without the risk of spending more than `build.max_usd`."""
