"""Who answers at the server: the simulated LLMs, the judge, the labeller and the embeddings, by model name."""

from __future__ import annotations

import functools
from typing import Any

from data_processing.cost import count_tokens
from data_processing.llm_client import Completion
from data_processing.simulated.answer_key import AnswerKey
from data_processing.simulated.embeddings import EMBEDDINGS
from data_processing.simulated.judge import SimulatedJudge
from data_processing.simulated.labeller import SimulatedLabeller
from data_processing.simulated.llm import SimulatedLLM, input_tokens
from data_processing.simulated.profiles import profiles
from data_processing.simulated.protocol import ApiError, ChatRequest
from data_processing.simulated.server import ServerSettings

OWNER = "simulated"
JUDGE = "simulated/judge"
LABELLER = "simulated/labeller"
REMEMBERED = 16384  # answers


class Responder:
    """Answers chat requests. What is asked again with the same seed is answered from memory."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        cast = profiles(settings.llms, settings.seed)
        key = AnswerKey.of(settings.answer_key) if settings.answer_key else None
        self._llms = SimulatedLLM(cast, key)
        self._judge = SimulatedJudge(settings.seed, key, settings.judge_position_bias, settings.judge_wordy)
        self._labeller = SimulatedLabeller(settings.seed)
        fixed = {"object": "model", "created": 0, "owned_by": OWNER, "max_model_len": settings.context_tokens}
        names = [*(f"{OWNER}/{profile.llm_id}" for profile in cast), JUDGE, LABELLER, EMBEDDINGS]
        self._models = {name: {"id": name, **fixed} for name in names}
        self._complete = functools.lru_cache(maxsize=REMEMBERED)(self._from_llm)

    def models(self) -> list[dict[str, Any]]:
        """Return what is known of each model."""
        return list(self._models.values())

    def model(self, name: str) -> dict[str, Any]:
        """Return what is known of a model, by its name with or without `simulated/`; `ApiError` 404 names the known."""
        found = self._models.get(name) or self._models.get(f"{OWNER}/{name}")
        if found is None:
            message = f"model: expected one of {', '.join(self._models)}, got {name!r}; use one of them"
            raise ApiError(404, message, "model_not_found", "model")
        return found

    def answer(self, request: ChatRequest, nonsense: bool = False) -> Completion:
        """Return the answer to a request; raises `ApiError` for an unknown model or a prompt that is too long."""
        name = self.model(request.model)["id"]
        if name == EMBEDDINGS:
            message = f"model: expected one that chats, got {name!r}; ask it at /v1/embeddings"
            raise ApiError(400, message, "unsupported_model", "model")
        messages = request.conversation
        tokens = sum(input_tokens(text) for _, text in messages)
        room = self._settings.context_tokens - tokens
        if room < 1:
            raise too_long(tokens, self._settings.context_tokens)
        if name == JUDGE:
            text = self._judge.reply(messages, request.response_format, request.variation, nonsense)
            output = int(count_tokens([text])[0])
        elif name == LABELLER:
            text = self._labeller.reply(messages, request.variation, nonsense)
            output = int(count_tokens([text])[0])
        else:
            asked = next(text for role, text in reversed(messages) if role == "user")
            done = self._complete(name.removeprefix(f"{OWNER}/"), asked, request.variation)
            text, output = done.text, done.output_tokens
        stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
        text, output = _stopped(text, output, stops)
        text, output, cut = shortened(text, output, min(request.token_limit or room, room))
        return Completion(text, tokens, output, 0.0, finish_reason="length" if cut else "stop")

    def _from_llm(self, llm_id: str, prompt: str, variation: str) -> Completion:
        return self._llms.complete(llm_id, prompt, seed=self._settings.seed, variation=variation)


def too_long(tokens: int, most: int) -> ApiError:
    """Return the refusal of a prompt that is longer than the model takes."""
    message = (
        f"messages: expected at most {most:,} tokens, the model's maximum context length, got {tokens:,}; shorten them"
    )
    return ApiError(400, message, "context_length_exceeded", "messages")


def shortened(text: str, tokens: int, limit: int) -> tuple[str, int, bool]:
    """Return a text of `tokens` tokens cut to at most `limit`, the tokens that are left, and whether it was cut."""
    if tokens <= limit:
        return text, tokens, False
    low, high = 0, len(text)  # characters: a beginning of `low` fits, one of `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        if count_tokens([text[:middle]])[0] <= limit:
            low = middle
        else:
            high = middle
    return text[:low], int(count_tokens([text[:low]])[0]), True


def _stopped(text: str, tokens: int, stops: list[str]) -> tuple[str, int]:
    """Return the text up to the first of the sequences at which it is to stop."""
    ends = [text.index(stop) for stop in stops if stop and stop in text]
    if not ends:
        return text, tokens
    text = text[: min(ends)]
    return text, int(count_tokens([text])[0])
