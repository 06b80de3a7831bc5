"""What an OpenAI-compatible API replied: an answer, or which kind of failure."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any, NoReturn, TypeGuard

import openai

from data_processing.cost import count_tokens
from data_processing.llm_client import Call, CallError, Completion, ErrorKind
from data_processing.one_line import one_line

LONGEST_MESSAGE = 500  # characters of an API's message that are kept
MOST_TOKENS = 10**9  # of one call; a usage above it is a mistake of the API, and one far above it fits no table
# OpenAI, vLLM, OpenRouter, llama.cpp, text-generation-inference and others, each in words of its own.
TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size)|maximum (model |input |sequence )?length|(prompt|input)s? (is|are) too long"
    r"|too many (input )?tokens|reduce the length|must have less than \d+ tokens",
    re.IGNORECASE,
)
NO_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "insufficient_credits")


def read_reply(body: bytes, call: Call, latency_s: float) -> Completion:
    """Return the answer in the body of a reply with status 200; raises `CallError` where there is none."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise CallError("malformed", f"expected JSON, got {_start(body)}: {_line(str(err))}", 200) from None
    if not isinstance(reply, dict):
        raise CallError("malformed", f"expected a JSON object, got {_start(body)}", 200)
    if reply.get("error"):  # OpenRouter reports what went wrong upstream with status 200
        _raise_reported(reply["error"])
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict) and choice.get("error"):
        _raise_reported(choice["error"])
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise CallError("malformed", f"expected choices with a message, got {_start(body)}", 200)
    return _completion(message, str(choice.get("finish_reason") or ""), reply.get("usage"), call, latency_s)


def _completion(message: dict, finish_reason: str, usage: object, call: Call, latency_s: float) -> Completion:
    text = _text(message.get("content"))
    if not text.strip() and isinstance(message.get("refusal"), str):
        text, finish_reason = message["refusal"], "refusal"  # what the LLM has to say to this question
    tokens = _tokens(usage)
    if not text.strip():
        cut = finish_reason == "length"
        remedy = "; all of max_tokens went elsewhere (reasoning?), raise it" if cut else ""
        raise CallError(
            "empty",
            f"expected text, got none (finish_reason {finish_reason!r}){remedy}",
            200,
            tokens=tokens or (0, 0),
            final=cut or finish_reason == "content_filter",
        )
    if tokens is not None and min(tokens) > 0:
        return Completion(text, *tokens, latency_s, False, finish_reason)
    # No usage, or zeros for a text that is there: an answer must never look cheaper than it was.
    counted = count_tokens([content for _, content in call.messages] + [text])
    return Completion(text, int(counted[:-1].sum()), int(counted[-1]), latency_s, True, finish_reason)


def _text(content: object) -> str:
    """Return the text of a message's content: a string, nothing, or a list of parts."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _tokens(usage: object) -> tuple[int, int] | None:
    """Return (input, output) tokens; None where the API gave none, or numbers that cannot be."""
    if not isinstance(usage, dict):
        return None
    sent, made = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (sent, made) if _is_count(sent) and _is_count(made) else None


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS


def failure(error: openai.OpenAIError) -> CallError:
    """Return what an exception of the SDK means."""
    cause = _line(str(error.__cause__ or error))
    if isinstance(error, openai.APITimeoutError):
        return CallError("timeout", cause)
    if isinstance(error, openai.APIStatusError):
        body = error.body if isinstance(error.body, dict) else {}
        code = str(error.code or body.get("code") or body.get("type") or "")
        message = _message(error.body) or error.message
        if error.status_code < 400:
            message = f"the API has moved to {error.response.headers.get('location')}; mend base_url"
        return _reported(error.status_code, code, message, retry_after_s(error.response.headers))
    return CallError("connection", cause)


def _raise_reported(error: object) -> NoReturn:
    """Raise what an error within a reply of status 200 says."""
    details: Mapping[str, Any] = error if isinstance(error, dict) else {}
    code = str(details.get("code") or details.get("type") or "")
    status = int(code) if code.isdigit() and 400 <= int(code) < 600 else 500
    raise _reported(status, code, _message(error) or "an error without a message", None)


def _reported(status: int, code: str, message: str, wait_s: float | None) -> CallError:
    kind: ErrorKind
    if code in NO_MONEY or status == 402:
        kind = "authentication"  # it is the account that is refused
    elif status == 429:
        kind = "rate_limit"
    elif code == "context_length_exceeded" or TOO_LONG.search(message):  # some say it with status 500
        kind = "context_length"
    elif status in (408, 409) or status >= 500:
        kind = "server"
    else:
        kind = "authentication" if status in (401, 403) else "request"
    return CallError(kind, f"HTTP {status}: {_line(message)}", status, retry_after_s=wait_s)


def _message(body: object) -> str:
    """Return the words for people in the body of an error: {"error": {"message": …}}, {"detail": …}, or text."""
    if isinstance(body, dict):
        words = body.get("message") or body.get("error") or body.get("detail")
        return _message(words) if words else json.dumps(body)
    return "" if body is None else body if isinstance(body, str) else json.dumps(body)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `retry-after-ms` or `Retry-After` (seconds or an HTTP date) asks for, or None."""
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit_s
        except (KeyError, ValueError):
            continue
        if seconds >= 0:  # also false for nan
            return seconds
    try:
        date = email.utils.parsedate_to_datetime(headers["retry-after"])
        return max(0.0, date.timestamp() - time.time())
    except (KeyError, ValueError, OverflowError):
        return None


def _line(text: str) -> str:
    return one_line(text, LONGEST_MESSAGE)  # some APIs reply with a page of HTML


def _start(body: bytes) -> str:
    text = body[:80].decode("utf-8", "replace")
    return repr(text) if len(body) <= 80 else f"{text!r}…"
