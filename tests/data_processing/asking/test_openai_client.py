"""The client against a real HTTP server: retries, kinds of failures, keys, limits."""

import asyncio
import datetime
import email.utils
import json
import logging
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from configs.errors import InputError
from configs.schema import Endpoint
from data_processing.asking import openai_client
from data_processing.asking.openai_client import OpenAIClient
from data_processing.asking.replies import retry_after_s
from data_processing.llm_client import Call, CallError, Completion
from tests.data_processing.scripted_api import Api, Reply, answer, call, echo, refusal, script, serving

SECRET = "sk-very-secret-0123456789"


def ask(endpoint: Endpoint, *calls: Call, backoff_s: float = 0.001) -> list[Completion]:
    async def go() -> list[Completion]:
        async with OpenAIClient([endpoint], backoff_s) as client:
            return list(await asyncio.gather(*(client.ask(one) for one in calls)))

    return asyncio.run(go())


def fails(*replies: Callable[[], Reply] | None, **fields: Any) -> CallError:
    """Return how a call fails that gets these replies."""
    with serving(script(*replies)) as api, pytest.raises(CallError) as caught:
        ask(api.endpoint(**fields), call("hello"))
    return caught.value


def test_an_answer_comes_with_its_usage_and_latency() -> None:
    with serving(script(lambda: answer("Forty-two.", (12, 4)))) as api:
        (found,) = ask(api.endpoint(), call("hello", seed=7, temperature=0.5))
    assert (found.text, found.input_tokens, found.output_tokens) == ("Forty-two.", 12, 4)
    assert not found.estimated
    assert found.finish_reason == "stop"
    assert 0 < found.latency_s < 5
    expected = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    assert api.bodies == [expected | {"max_tokens": 5, "seed": 7, "temperature": 0.5}]


@pytest.mark.parametrize("usage", [None, (0, 0), (12, 0), (10**30, 5), (12, 10**9 + 1), (True, 5), ("12", 5)])
def test_tokens_are_counted_where_the_usage_is_missing_nothing_or_beyond_sense(usage: Any) -> None:
    with serving(script(lambda: answer("Four words, a stop.", usage))) as api:
        (found,) = ask(api.endpoint(), call("one two three"))
    assert found.estimated
    assert (found.input_tokens, found.output_tokens) == (3, 6)


@pytest.mark.parametrize(
    "text", ["NUL \0 in it", "😀" * 300, "lone \ud83d surrogate \udc00", "x" * 200_000, " \n leading"]
)
def test_any_text_comes_through(text: str) -> None:
    with serving(script(lambda: answer(text))) as api:
        assert ask(api.endpoint(), call("hello"))[0].text == text


def test_a_prompt_with_half_a_character_is_sent_as_valid_text() -> None:
    with serving(echo) as api:
        ask(api.endpoint(), call("half \ud83d, whole 😀, NUL \0"))
    assert api.prompts == ["half \ufffd, whole 😀, NUL \0"]


def test_a_compressed_reply_is_read() -> None:
    def packed() -> Reply:
        body = zlib.compress(json.dumps({"choices": [{"message": {"content": "packed"}}]}).encode())
        return web.Response(body=body, headers={"Content-Encoding": "deflate"})

    with serving(script(packed)) as api:
        assert ask(api.endpoint(), call("hello"))[0].text == "packed"


def test_parts_and_refusals_are_answers() -> None:
    parts: Any = [{"type": "text", "text": "one, "}, {"type": "image"}, {"type": "text", "text": "two"}]
    with serving(script(lambda: answer(parts), lambda: answer(None, refusal="I will not."))) as api:
        assert ask(api.endpoint(), call("a"))[0].text == "one, two"
        (found,) = ask(api.endpoint(), call("b"))
    assert (found.text, found.finish_reason) == ("I will not.", "refusal")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_failures_that_may_pass_are_tried_again(status: int) -> None:
    with serving(script(*[lambda: refusal(status, "later")] * 3)) as api:
        assert ask(api.endpoint(retries=3), call("hello"))[0].text == "at last"
        assert len(api.bodies) == 4


def test_the_failure_says_how_often_it_was_tried() -> None:
    error = fails(*[lambda: refusal(500, "broken")] * 9, retries=2)
    assert (error.kind, error.attempts, error.status, str(error)) == ("server", 3, 500, "HTTP 500: broken")


@pytest.mark.parametrize(
    ("status", "message", "code", "kind"),
    [
        (429, "slow down", None, "rate_limit"),
        (500, "broken", None, "server"),
        (401, "who are you", "invalid_api_key", "authentication"),
        (403, "not for you", None, "authentication"),
        (402, "no credits", None, "authentication"),
        (429, "You exceeded your current quota", "insufficient_quota", "authentication"),
        (404, "The model `m` does not exist", "model_not_found", "request"),
        (422, "temperature must be a number", None, "request"),
        (400, "too big", "context_length_exceeded", "context_length"),
        (400, "This model's maximum context length is 4096 tokens. However", None, "context_length"),
        (400, "The decoder prompt (length 9000) is longer than the maximum model length of", None, "context_length"),
        (400, "This endpoint's maximum context length is 8192 tokens.", "400", "context_length"),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", None, "context_length"),
        (400, "the request exceeds the available context size", None, "context_length"),
        (500, "Requested tokens (5000) exceed context window of 4096", None, "context_length"),
        (413, "Please reduce the length of the messages", None, "context_length"),
        (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 3000", None, "context_length"),
    ],
)  # fmt: skip
def test_each_status_has_its_kind(status: int, message: str, code: str | None, kind: str) -> None:
    error = fails(lambda: refusal(status, message, code))
    assert (error.kind, error.status) == (kind, status)
    assert message in str(error)


@pytest.mark.parametrize("kind", ["authentication", "request", "context_length"])
def test_what_will_not_pass_is_not_tried_again(kind: str) -> None:
    status = {"authentication": 401, "request": 400, "context_length": 400}[kind]
    message = "maximum context length is 10 tokens" if kind == "context_length" else "no"
    error = fails(lambda: refusal(status, message), retries=5)
    assert (error.kind, error.attempts) == (kind, 1)


def reported(code: object, message: str) -> Callable[[], Reply]:
    return lambda: web.json_response({"error": {"code": code, "message": message}})


def test_an_error_within_a_reply_of_status_200_is_an_error() -> None:
    assert fails(reported(429, "upstream is busy")).kind == "rate_limit"
    assert fails(reported(502, "upstream broke")).kind == "server"
    assert fails(reported("context_length_exceeded", "too long")).kind == "context_length"
    assert fails(lambda: web.json_response({"choices": [{"error": {"code": 502, "message": "x"}}]})).kind == "server"
    assert "plain words" in str(fails(lambda: web.json_response({"error": "plain words"})))


@pytest.mark.parametrize(
    "body",
    [
        b"{not json",
        b"",
        b"[1, 2]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": [{"text": "old style"}]}',
        b"\xff\xfe\xfa",
        b"[" * 100_000,
        b"<html>busy</html>",
    ],
)
def test_a_reply_that_is_not_what_the_api_promises_is_malformed(body: bytes) -> None:
    error = fails(lambda: web.Response(body=body, content_type="application/json"))
    assert error.kind == "malformed"
    assert len(str(error)) < 400


def test_an_empty_answer_is_a_failure_that_was_billed() -> None:
    error = fails(lambda: answer(" \n", (10, 5)), retries=0)
    assert (error.kind, error.tokens, error.retryable) == ("empty", (10, 5), True)
    assert fails(lambda: answer(None)).kind == "empty"


def test_an_empty_answer_at_full_length_is_not_tried_again() -> None:
    body = {
        "choices": [{"message": {"content": ""}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 512},
    }
    error = fails(lambda: web.json_response(body), retries=5)
    assert (error.kind, error.attempts) == ("empty", 1)
    assert "max_tokens" in str(error)


def test_billed_attempts_are_told_and_may_end_the_call() -> None:
    heard: list[tuple[int, int]] = []

    def billed(sent: int, made: int) -> bool:
        heard.append((sent, made))
        return len(heard) < 2

    async def go(endpoint: Endpoint) -> None:
        async with OpenAIClient([endpoint], 0.001) as client:
            await client.ask(call("hello"), billed)

    with serving(script(*[lambda: answer("", (10, 5))] * 9)) as api, pytest.raises(CallError):
        asyncio.run(go(api.endpoint(retries=8)))
    assert heard == [(10, 5), (10, 5)]


def test_a_connection_cut_in_the_middle_is_tried_again() -> None:
    with serving(script(None, None)) as api:
        assert ask(api.endpoint(retries=2), call("hello"))[0].text == "at last"
    assert fails(None).kind == "connection"


def test_nobody_listening_is_a_failed_connection() -> None:
    with serving(echo) as api:
        endpoint = api.endpoint(retries=1)
    with pytest.raises(CallError) as caught:
        ask(endpoint, call("hello"))
    assert (caught.value.kind, caught.value.status, caught.value.attempts) == ("connection", None, 2)


def test_a_reply_that_takes_too_long_is_a_timeout() -> None:
    async def never(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        if len(api.bodies) == 1:
            await asyncio.Event().wait()
        return answer("in time")

    with serving(never) as api:
        with pytest.raises(CallError) as caught:
            ask(api.endpoint(timeout_s=0.1), call("hello"))
        assert caught.value.kind == "timeout"
        api.bodies.clear()
        assert ask(api.endpoint(timeout_s=0.1, retries=1), call("hello"))[0].text == "in time"


def test_a_redirect_is_not_followed() -> None:
    error = fails(lambda: web.Response(status=308, headers={"Location": "https://elsewhere.example/v1"}))
    assert error.kind == "request"
    assert "elsewhere.example" in str(error)


def waits(monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], status: int = 429) -> list[float]:
    """Return the seconds the client waits after a refusal with these headers, pauses negative, without waiting."""
    waited: list[float] = []
    wait_s = OpenAIClient._wait_s

    def note(self: OpenAIClient, error: CallError, attempt: int, lane: openai_client.Lane) -> float:
        waited.append(wait_s(self, error, attempt, lane))
        return 0.0

    with monkeypatch.context() as patched:
        patched.setattr(OpenAIClient, "_wait_s", note)
        patched.setattr(openai_client.RateLimits, "pause", lambda self, seconds: waited.append(-seconds))
        with serving(script(lambda: refusal(status, "later", **headers))) as api:
            ask(api.endpoint(retries=1), call("hello"))
    return waited


def test_the_wait_that_the_api_asks_for_is_kept_by_the_call_and_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    paused, slept = waits(monkeypatch, {"Retry-After": "17"})
    assert paused == -17
    assert 17 <= slept < 17.01


def test_a_wait_without_end_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waits(monkeypatch, {"Retry-After": "86400"})[1] == pytest.approx(120, abs=0.1)


def test_only_a_rate_limit_pauses_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(waits(monkeypatch, {"Retry-After": "3"}, 503)) == 1


def test_the_backoff_doubles_with_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_client.random, "uniform", lambda low, high: (low, high))
    client = OpenAIClient([], 0.5)
    error = CallError("server", "x")
    bounds = [client._wait_s(error, attempt, None) for attempt in (1, 2, 3, 20)]  # type: ignore[arg-type]
    assert bounds == [(0, 0.5), (0, 1.0), (0, 2.0), (0, 60.0)]


def test_all_forms_of_retry_after_are_read() -> None:
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90)
    assert retry_after_s({"retry-after": "2.5"}) == 2.5
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after_s({"retry-after": email.utils.format_datetime(at, usegmt=True)}) == pytest.approx(90, abs=2)
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    for nonsense in ("soon", "-3", "nan", ""):
        assert retry_after_s({"retry-after": nonsense}) is None
    assert retry_after_s({}) is None


def test_the_key_is_sent_and_nothing_else_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", f" {SECRET}\n")
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-another-company")
    with serving(echo) as api:
        ask(api.endpoint(api_key_env="SOME_KEY"), call("hello"))
        ask(api.endpoint(), call("hello"))
    assert api.headers[0]["Authorization"] == f"Bearer {SECRET}"
    assert "Authorization" not in api.headers[1]
    assert "of-another-company" not in str(api.headers)
    assert not [name for name in api.headers[0] if name.lower().startswith("x-stainless")]


@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_a_missing_key_names_the_variable_and_the_endpoint(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_KEY", value)
    with serving(echo) as api:
        with pytest.raises(InputError, match=r"'api'.*SOME_KEY"):
            ask(api.endpoint(api_key_env="SOME_KEY"), call("hello"))
        assert not api.bodies


def test_a_key_with_a_line_break_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", f"{SECRET}\nX-Evil: 1")
    with pytest.raises(InputError, match="SOME_KEY") as caught:
        ask(Endpoint(name="api", base_url="http://127.0.0.1:1/v1", api_key_env="SOME_KEY"), call("hello"))
    assert SECRET not in str(caught.value)


def test_a_key_that_the_api_quotes_back_is_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOME_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    for quoting in (refusal(401, f"Incorrect key {SECRET}."), web.json_response({"error": f"what is {SECRET}?"})):
        error = fails(lambda quoting=quoting: quoting, api_key_env="SOME_KEY")
        assert "***" in str(error)
        assert SECRET not in repr(error)
        assert error.__suppress_context__
    assert SECRET not in caplog.text


def test_nothing_shows_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", SECRET)

    async def go() -> str:
        client = OpenAIClient([Endpoint(name="api", base_url="http://127.0.0.1:1/v1", api_key_env="SOME_KEY")])
        async with client:
            return repr(client) + repr(client.lanes) + repr(vars(client))

    assert SECRET not in asyncio.run(go())


def test_no_more_calls_are_under_way_than_the_endpoint_takes() -> None:
    gate = asyncio.Event()

    async def slow(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        if api.under_way == 3:
            gate.set()
        await gate.wait()  # until three are under way at once
        return answer("done")

    with serving(slow) as api:
        ask(api.endpoint(concurrency=3), *(call(f"{number}") for number in range(12)))
    assert api.most_under_way == 3


def test_requests_per_minute_hold_calls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[float] = []

    async def reserve(self: object, tokens: float) -> object:
        starts.append(tokens)
        return openai_client.RateLimits.__new__(openai_client.RateLimits)

    monkeypatch.setattr(openai_client.RateLimits, "reserve", reserve)
    monkeypatch.setattr(openai_client.RateLimits, "correct", lambda self, mine, tokens: starts.append(tokens))
    with serving(echo) as api:
        ask(api.endpoint(tokens_per_minute=1000), call("one two three"))
    assert starts == [3 + 5, 10 + 5]  # counted prompt and max_tokens first, then the usage


def test_an_unknown_endpoint_is_named() -> None:
    with pytest.raises(InputError, match=r"'m'.*api.*'other'"):
        ask(Endpoint(name="api", base_url="http://127.0.0.1:1/v1"), call("hello", endpoint="other"))


def test_a_base_url_may_end_in_a_slash_or_a_query() -> None:
    with serving(echo) as api:
        for url in (f"{api.url}/", f"{api.url}?api-version=3"):
            start = time.perf_counter()
            assert ask(api.endpoint(base_url=url), call("hello"))[0].text == "echo hello"
            assert time.perf_counter() - start < 5
