"""The OpenAI chat completions API as far as it is spoken here: what a request may hold and what replies look like.

Source: the API reference at platform.openai.com, and the client library `openai`, which the tests drive.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from data_processing.llm_client import Completion

# Taken note of by real LLMs, without effect here.
WITHOUT_EFFECT = (
    *("top_p", "presence_penalty", "frequency_penalty", "logit_bias", "user", "metadata", "store", "service_tier"),
    *("reasoning_effort", "verbosity", "safety_identifier", "prompt_cache_key"),
)
WORDS_PER_CHUNK = 8

Model = TypeVar("Model", bound=BaseModel)


class ApiError(Exception):
    """A request that is refused, in the shape of OpenAI's errors; `param` is the parameter at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class TextPart(BaseModel):
    """A part of a message; only text is read here."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One message of a conversation; other fields (name, tool calls …) are not read."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        """Return the text of all parts."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """Whether a stream ends with the number of tokens."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """What is read of a chat completion request."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    seed: int | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: dict[str, Any] | None = None

    @property
    def conversation(self) -> tuple[tuple[str, str], ...]:
        """Return (role, text) of each message."""
        return tuple((message.role, message.text) for message in self.messages)

    @property
    def variation(self) -> str:
        """Return what an answer depends on beside the conversation: nothing at temperature 0, else the seed.

        Left out, the temperature is 1, as the API has it, and the seed 0: the same request always gets the same answer.
        """
        return "" if self.temperature == 0 else f"seed {self.seed or 0}"

    @property
    def token_limit(self) -> int | None:
        """Return the longest answer in tokens, None where there is no limit."""
        return self.max_completion_tokens or self.max_tokens


def read_chat(body: bytes) -> tuple[ChatRequest, dict[str, Any]]:
    """Return a request and the same as plain JSON; `ApiError` 400 names the parameter that is wrong or not known."""
    content = read_object(body)
    request = validated(ChatRequest, content)
    if request.n not in (None, 1):
        raise ApiError(400, f"n: expected 1, got {request.n}; ask again with other seeds", "unsupported_value", "n")
    unknown = [name for name in request.model_extra or {} if name not in WITHOUT_EFFECT]
    if unknown:
        message = f"expected parameters that are supported here, got {unknown[0]!r}; leave it out"
        raise ApiError(400, message, "unknown_parameter", unknown[0])
    if not any(message.role == "user" for message in request.messages):
        raise ApiError(400, "messages: expected at least one of role user, got none; add it", param="messages")
    return request, content


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request body."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise ApiError(400, f"expected a body in JSON, got an error: {err}; mend it") from err
    if not isinstance(content, dict):
        raise ApiError(400, f"expected a JSON object, got {type(content).__name__}; mend the body")
    return content


def validated(model: type[Model], content: dict[str, Any]) -> Model:
    """Return the content as `model`; `ApiError` 400 names the first parameter at fault."""
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"]))
        got = "" if first["type"] == "missing" else f", got {str(first['input'])[:80]!r}"
        raise ApiError(400, f"{where}: {first['msg']}{got}", "invalid_value", where) from err


def request_key(content: dict[str, Any]) -> str:
    """Return what a request is counted under; for a `Call` that a client sends as it is, the call's `key`."""
    parameters = {name: value for name, value in content.items() if name not in ("model", "messages")}
    messages = [
        [message.get("role"), message.get("content")] if isinstance(message, dict) else message
        for message in content.get("messages", ())
    ]
    text = json.dumps([content.get("model"), messages, parameters], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def usage(completion: Completion) -> dict[str, int]:
    """Return the tokens of prompt and answer."""
    return {
        "prompt_tokens": completion.input_tokens,
        "completion_tokens": completion.output_tokens,
        "total_tokens": completion.input_tokens + completion.output_tokens,
    }


def completion_body(frame: dict[str, Any], completion: Completion) -> dict[str, Any]:
    """Return the reply to a request without `stream`; `frame` holds id, created and model."""
    message = {"role": "assistant", "content": completion.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": completion.finish_reason}
    return {**frame, "object": "chat.completion", "choices": [choice], "usage": usage(completion)}


def chunk_bodies(frame: dict[str, Any], completion: Completion, with_usage: bool) -> Iterator[dict[str, Any]]:
    """Yield the pieces of a streamed reply: the role, some words each, why it ended, and the usage where asked for."""
    frame = {**frame, "object": "chat.completion.chunk"}
    extra: dict[str, Any] = {"usage": None} if with_usage else {}

    def chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**frame, "choices": [choice], **extra}

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(completion.text):
        yield chunk({"content": piece})
    yield chunk({}, completion.finish_reason)
    if with_usage:
        yield {**frame, "choices": [], "usage": usage(completion)}


def pieces(text: str) -> Iterator[str]:
    """Yield the text in runs of a few words; put together they are the text again."""
    words = text.split(" ")
    for start in range(0, len(words), WORDS_PER_CHUNK):
        piece = " ".join(words[start : start + WORDS_PER_CHUNK])
        yield piece if start == 0 else f" {piece}"


def model_list(models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the reply to GET /v1/models."""
    return {"object": "list", "data": list(models)}
