"""Asking LLMs through OpenAI-compatible APIs, by `openai.AsyncOpenAI`: keys, limits, retries, typed failures."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import httpx2
import openai
from openai._models import FinalRequestOptions

from configs.errors import InputError
from configs.schema import Endpoint
from data_processing.asking.limits import RateLimits
from data_processing.asking.replies import failure, read_reply
from data_processing.asking.transport import AiohttpClient
from data_processing.characters import whole_characters
from data_processing.cost import count_tokens
from data_processing.llm_client import Call, CallError, Completion

BACKOFF_S = 0.5  # longest wait before the second attempt; doubles with each further one
LONGEST_BACKOFF_S = 60.0
LONGEST_RETRY_AFTER_S = 120.0  # an API that asks for more is asked again after this long
USUAL_ANSWER_TOKENS = 512  # reserved from tokens_per_minute where a call sets no max_tokens
# Sent with every request by the SDK otherwise: what this machine is, to whichever company is asked. It also takes time.
UNSENT = ("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async")
UNSENT_OPTIONS = ("Retry-Count", "Read-Timeout")

Billed = Callable[[int, int], bool]


class _Sdk(openai.AsyncOpenAI):
    """The SDK, which makes URL and headers once and not for every request: a seventh of all client time.

    A client here asks one URL with one key, so that they are always the same. What is overridden is not public. Where
    the SDK gives it up, it is not called, and nothing but time is lost.
    """

    prepared: httpx2.URL | None = None
    built: httpx2.Headers | None = None

    def _prepare_url(self, url: str) -> httpx2.URL:
        if self.prepared is None:
            self.prepared = super()._prepare_url(url)
        return self.prepared

    def _build_headers(self, options: Any, *, retries_taken: int = 0) -> httpx2.Headers:
        if self.built is None:
            self.built = super()._build_headers(options, retries_taken=retries_taken)
        return self.built


@dataclasses.dataclass(repr=False)
class Lane:
    """One endpoint that is being asked. It has no repr: its parts hold the key."""

    endpoint: Endpoint
    sdk: openai.AsyncOpenAI
    secret: str | None
    slots: asyncio.Semaphore
    limits: RateLimits
    request: FinalRequestOptions


class OpenAIClient:
    """Asks the LLMs of several endpoints. An async context manager; use it within one event loop.

    Entering reads the keys from the environment variables that the endpoints name and raises `InputError` where one is
    missing. `backoff_s` is the longest wait before a second attempt, in seconds.
    """

    def __init__(self, endpoints: Sequence[Endpoint], backoff_s: float = BACKOFF_S) -> None:
        self.endpoints = endpoints
        self.backoff_s = backoff_s
        self.lanes: dict[str, Lane] = {}
        self.retrying = True  # False: calls under way end with the attempt they are in

    async def __aenter__(self) -> OpenAIClient:
        secrets = [_secret(endpoint) for endpoint in self.endpoints]  # all, before any connection is made
        for endpoint, secret in zip(self.endpoints, secrets, strict=True):
            self.lanes[endpoint.name] = _lane(endpoint, secret)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self.lanes.values():
            await lane.sdk.close()
        self.lanes.clear()

    async def ask(self, call: Call, billed: Billed | None = None) -> Completion:
        """Return the answer to a call; `latency_s` is that of the attempt that brought it.

        Failures that may pass are tried again `endpoint.retries` times, after an exponential backoff with full jitter
        or what the API asks for. `billed` hears of (input, output) tokens of attempts that cost and brought nothing,
        and says whether there may be another. Raises `CallError`.
        """
        lane = self._lane_of(call)
        body = _body(call)
        async with lane.slots:
            attempt = 1
            while True:
                try:
                    return await _attempt(lane, call, body)
                except CallError as err:
                    affordable = billed is None or not any(err.tokens) or billed(*err.tokens)
                    if not (err.retryable and affordable and self.retrying and attempt <= lane.endpoint.retries):
                        err.attempts = attempt
                        raise
                    wait_s = self._wait_s(err, attempt, lane)
                await asyncio.sleep(wait_s)
                attempt += 1

    def concurrency_of(self, call: Call) -> int:
        """Return how many calls the endpoint of a call takes at once; `InputError` for one that is not there."""
        return self._lane_of(call).endpoint.concurrency

    def _lane_of(self, call: Call) -> Lane:
        if call.endpoint not in self.lanes:
            raise InputError(
                f"LLM {call.llm_id!r}: expected one of the endpoints {', '.join(self.lanes) or '(none)'}, got "
                f"{call.endpoint!r}; add it to build.endpoints"
            )
        return self.lanes[call.endpoint]

    def _wait_s(self, error: CallError, attempt: int, lane: Lane) -> float:
        longest_s = min(LONGEST_BACKOFF_S, self.backoff_s * 2.0 ** (attempt - 1))
        wait_s = random.uniform(0.0, longest_s)  # full jitter: calls that failed together must not come back together
        if error.retry_after_s is None:
            return wait_s
        asked_s = min(error.retry_after_s, LONGEST_RETRY_AFTER_S)
        if error.kind == "rate_limit":
            lane.limits.pause(asked_s)
        return asked_s + wait_s


def key_problems(endpoints: Sequence[Endpoint]) -> list[str]:
    """Return what has to be mended before these endpoints can be asked: a line for each key that is not there."""
    problems = []
    for endpoint in endpoints:
        try:
            _secret(endpoint)
        except InputError as err:
            problems.append(str(err))
    return problems


def _secret(endpoint: Endpoint) -> str | None:
    if endpoint.api_key_env is None:
        return None
    secret = os.environ.get(endpoint.api_key_env, "").strip()
    remedy = f"export {endpoint.api_key_env}=…, or set api_key_env to null where no key is needed"
    if not secret:
        raise InputError(
            f"endpoint {endpoint.name!r}: expected its key in the environment variable {endpoint.api_key_env}, got "
            f"none; {remedy}"
        )
    if not secret.isascii() or not secret.isprintable():
        raise InputError(
            f"endpoint {endpoint.name!r}: expected printable ASCII in the environment variable "
            f"{endpoint.api_key_env}, got other characters; {remedy}"
        )
    return secret


def _lane(endpoint: Endpoint, secret: str | None) -> Lane:
    http = AiohttpClient(endpoint.base_url, endpoint.timeout_s)
    unsent = {f"X-Stainless-{name}": openai.omit for name in UNSENT}
    if http.api_url.host != "api.openai.com":
        # The SDK would send what OPENAI_ORG_ID and OPENAI_PROJECT_ID hold to every company.
        unsent |= {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit}
    # Said with every request so that neither OPENAI_API_KEY, OPENAI_ADMIN_KEY nor OPENAI_CUSTOM_HEADERS steps in.
    headers: dict[str, Any] = {"Authorization": openai.omit if secret is None else f"Bearer {secret}"}
    headers |= {f"X-Stainless-{name}": openai.omit for name in UNSENT_OPTIONS}
    sdk = _Sdk(
        api_key=secret or "none",
        base_url=endpoint.base_url,
        timeout=endpoint.timeout_s,
        max_retries=0,
        default_headers=unsent,  # type: ignore[arg-type]  # Omit is taken, the annotation lags
        http_client=http,
    )
    limits = RateLimits(endpoint.requests_per_minute, endpoint.tokens_per_minute)
    base, mark, query = endpoint.base_url.partition("?")
    url = f"{base.rstrip('/')}/chat/completions{mark}{query}"
    # A missing idempotency key, which goes nowhere, would be drawn anew for every call.
    request = FinalRequestOptions.construct(
        method="post", url=url, headers=headers, timeout=endpoint.timeout_s, idempotency_key="unsent"
    )
    return Lane(endpoint, sdk, secret, asyncio.Semaphore(endpoint.concurrency), limits, request)


def _body(call: Call) -> bytes:
    """Return the JSON of a request, in ASCII.

    Half a character becomes U+FFFD: as an escape it is no valid text to most servers, and the SDK's own encoder fails
    on it.
    """
    messages = [{"role": role, "content": whole_characters(content)} for role, content in call.messages]
    return json.dumps({"model": call.api_model, "messages": messages, **call.parameters}).encode()


async def _attempt(lane: Lane, call: Call, body: bytes) -> Completion:
    """Ask once. Raises `CallError`, its message free of the key."""
    guess = _guessed_tokens(call) if lane.endpoint.tokens_per_minute is not None else 0.0
    reserved = await lane.limits.reserve(guess)
    start = time.perf_counter()
    used = 0.0
    try:
        # The class of a plain response: no pydantic model is made of a reply that is read by hand anyway, because many
        # APIs that call themselves compatible break the model's promises. `post` would make the options each time.
        request = lane.request.model_copy(update={"content": body})
        reply = await lane.sdk.request(httpx2.Response, request)
        answer = read_reply(reply.content, call, time.perf_counter() - start)
        used = answer.input_tokens + answer.output_tokens
        return answer
    except openai.OpenAIError as err:
        raise _scrubbed(failure(err), lane.secret) from None  # the SDK's error holds the request with its key
    except CallError as err:
        used = sum(err.tokens) or guess
        raise _scrubbed(err, lane.secret) from None
    finally:
        lane.limits.correct(reserved, used)


def _scrubbed(error: CallError, secret: str | None) -> CallError:
    """Return the error without the key in its message; some APIs quote it back."""
    if secret is not None:
        error.args = (str(error).replace(secret, "***"),)
    return error


def _guessed_tokens(call: Call) -> float:
    answer = call.parameters.get("max_completion_tokens") or call.parameters.get("max_tokens") or USUAL_ANSWER_TOKENS
    return float(count_tokens([content for _, content in call.messages]).sum()) + answer
