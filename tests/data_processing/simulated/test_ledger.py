"""Faults over real HTTP, and the count of what was served."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import openai
import pytest

from data_processing.llm_client import Call
from data_processing.simulated.faults import Faults
from data_processing.simulated.server import ServerSettings
from tests.data_processing.simulated.over_http import MODEL, PROMPT, ask, get, hosted

FAILURES: dict[str, tuple[type[Exception], str]] = {
    "rate_limit": (openai.RateLimitError, "injected"),
    "server": (openai.InternalServerError, "injected"),
    "timeout": (openai.APITimeoutError, "timed out"),
    "cut": (openai.APIConnectionError, "Connection error"),
    "context_length": (openai.BadRequestError, "maximum context length"),
}


@pytest.mark.parametrize("kind", list(FAILURES))
def test_faults_look_like_real_ones(kind: str) -> None:
    error, message = FAILURES[kind]
    with (
        hosted(ServerSettings(faults=Faults({kind: 1.0}, retry_after_s=7.0))) as url,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=0.3) as client,
    ):
        with pytest.raises(error, match=message) as caught:
            ask(client)
        if isinstance(caught.value, openai.RateLimitError):
            assert caught.value.response.headers["Retry-After"] == "7"
        if kind == "cut":
            with pytest.raises((openai.APIError, openai.APIConnectionError)):
                list(ask(client, stream=True))
        stats = get(url, "/stats")
    assert stats["faults"][kind] == stats["requests"] >= 1
    assert stats["delivered"] == 0


def test_faults_of_the_body(tmp_path: Path) -> None:
    rates = {"malformed": 0.4, "empty": 0.4}
    with (
        hosted(ServerSettings(faults=Faults(rates))) as url,
        openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client,
    ):
        seen: dict[str, int] = {"malformed": 0, "empty": 0, "whole": 0}
        for _ in range(40):
            try:
                text = ask(client).choices[0].message.content
                seen["whole" if text else "empty"] += 1
            except json.JSONDecodeError:
                seen["malformed"] += 1
        stats = get(url, "/stats")
    assert stats["faults"] == {kind: seen[kind] for kind in rates}
    assert stats["delivered"] == seen["whole"] == stats["repeated"] + 1


def test_every_fault_passes_when_asked_again_and_nothing_else_changes() -> None:
    kinds = ("rate_limit", "server", "cut", "malformed", "context_length", "slow")
    faults = Faults(dict.fromkeys(kinds, 0.12), slow_s=0.01)
    prompts = [f"Question {number}?" for number in range(25)]
    answers: list[list[str]] = []
    for settings in (ServerSettings(), ServerSettings(faults=faults)):
        with hosted(settings) as url, openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            answers.append([_insisted(client, prompt) for prompt in prompts])
            stats = get(url, "/stats")
            assert (stats["delivered"], stats["repeated"]) == (len(prompts), 0)
    assert answers[0] == answers[1]
    assert stats["faults"].keys() == set(kinds)


def _insisted(client: openai.OpenAI, prompt: str) -> str:
    for _ in range(50):
        with contextlib.suppress(openai.APIError, json.JSONDecodeError):
            return ask(client, messages=[{"role": "user", "content": prompt}]).choices[0].message.content
    raise AssertionError("fifty failures in a row")


def test_what_was_delivered_is_counted_by_the_key_of_the_call(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    parameters = {"temperature": 0.0, "seed": 0, "max_tokens": 512}
    call = Call("nimbus-8b", MODEL, "simulated", (("system", "Hé"), ("user", PROMPT)), parameters, 1.0, 1.0)
    with (
        hosted(ServerSettings(log=log)) as url,
        openai.OpenAI(base_url=url, api_key="none") as client,
    ):
        messages = [{"role": role, "content": text} for role, text in call.messages]
        for _ in range(2):
            done = ask(client, messages=messages, **parameters)
        ask(client)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        stats = get(url, "/stats?keys=1")
    assert [line["key"] for line in lines[:2]] == [call.key, call.key]
    assert lines[1]["completion_tokens"] == done.usage.completion_tokens
    assert stats["by_key"][call.key] == 2
    assert (stats["requests"], stats["delivered"], stats["distinct"], stats["repeated"]) == (3, 3, 2, 1)
    assert stats["by_model"] == {MODEL: 3}


def test_answers_take_as_long_as_they_are_told() -> None:
    with (
        hosted(ServerSettings(latency_s=0.15)) as url,
        openai.OpenAI(base_url=url, api_key="none") as client,
    ):
        started = time.monotonic()
        ask(client)
        assert time.monotonic() - started >= 0.15


def test_a_client_that_hangs_up_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with hosted(ServerSettings(latency_s=0.05)) as url:
        for stream in (True, False):
            with (
                pytest.raises(openai.APITimeoutError),
                openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=0.01) as client,
            ):
                ask(client, stream=stream)
        with openai.OpenAI(base_url=url, api_key="none") as client:
            ask(client)
        assert get(url, "/stats")["delivered"] == 1
    assert caplog.records == []
