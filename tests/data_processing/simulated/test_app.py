"""The server over real HTTP, through the real client library: what it answers and what it refuses."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from data_processing.cost import count_tokens
from data_processing.judging.prompt import RESPONSE_FORMAT, parse_choice, render
from data_processing.simulated.server import ServerSettings
from data_processing.simulated.world import build_world
from tests.data_processing.simulated.over_http import MODEL, PROMPT, SAID, ask, get, hosted


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with hosted(ServerSettings(context_tokens=2000, largest_body_bytes=50_000)) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as made:
        yield made


def test_answers_are_those_of_the_world(client: openai.OpenAI) -> None:
    world = build_world(24, 10, seed=0)
    rows = world.outcomes.merge(world.queries, on="query_id")
    for row in rows.itertuples():
        done = ask(
            client,
            model=f"simulated/{row.llm_id}",
            messages=[{"role": "user", "content": row.query}],
            seed=0,
            max_tokens=512,
        )
        assert done.choices[0].message.content == row.response
        assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (row.input_tokens, row.output_tokens)
        assert done.choices[0].finish_reason == "stop"


def test_the_same_request_gets_the_same_answer_and_the_seed_counts_above_0(client: openai.OpenAI) -> None:
    def texts(**changes: Any) -> list[str]:
        return [ask(client, seed=seed, **changes).choices[0].message.content for seed in range(8)]

    assert len(set(texts())) == 1
    assert len(set(texts(temperature=1.0))) > 1
    assert texts(temperature=1.0) == texts(temperature=1.0)
    bare = client.chat.completions.create(model="nimbus-8b", messages=SAID)  # type: ignore[call-overload]
    assert bare.choices[0].message.content == texts(temperature=1.0)[0]


def test_the_last_user_message_is_the_prompt(client: openai.OpenAI) -> None:
    alone = ask(client)
    talk = [
        {"role": "system", "content": "Be nice."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
    ]
    done = ask(client, messages=talk)
    assert done.choices[0].message.content == alone.choices[0].message.content
    assert done.usage.prompt_tokens == count_tokens(["Be nice.", "Hello", "Hi!", PROMPT]).sum()


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_long_answers_are_cut(client: openai.OpenAI, name: str) -> None:
    whole, cut = ask(client), ask(client, **{name: 9})
    text = cut.choices[0].message.content
    assert whole.choices[0].message.content.startswith(text)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens == count_tokens([text])[0] == 9
    assert ask(client, **{name: whole.usage.completion_tokens}).choices[0].finish_reason == "stop"


def test_an_answer_stops_where_it_is_told(client: openai.OpenAI) -> None:
    text = ask(client).choices[0].message.content
    done = ask(client, stop=["climbing", "never there"])
    assert done.choices[0].message.content == text[: text.index("climbing")]
    assert done.usage.completion_tokens == count_tokens([done.choices[0].message.content])[0]


def test_a_stream_is_the_answer_in_pieces(client: openai.OpenAI) -> None:
    whole = ask(client)
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) > 5
    assert "".join(pieces) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].choices == []
    assert all(chunk.usage is None for chunk in ask(client, stream=True))


def test_the_asynchronous_client_many_at_once(url: str) -> None:
    async def talk() -> list[str]:
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            asked = [client.chat.completions.create(model=MODEL, messages=SAID, seed=i) for i in range(40)]  # type: ignore[list-item]
            stream = await client.chat.completions.create(model=MODEL, messages=SAID, seed=3, stream=True)  # type: ignore[arg-type]
            streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            return [*(done.choices[0].message.content or "" for done in await asyncio.gather(*asked)), streamed]

    *said, streamed = asyncio.run(talk())
    assert len(said) == 40
    assert len(set(said)) > 3
    assert streamed == said[3]


def test_odd_text_survives(client: openai.OpenAI, url: str) -> None:
    odd = "é😀\x00\u2028"
    assert odd[:2] in ask(client, messages=[{"role": "user", "content": odd}]).choices[0].message.content
    # the client library cannot write half a character, but JSON can
    body = b'{"model": "nimbus-8b", "messages": [{"role": "user", "content": "half \\ud83d"}]}'
    request = urllib.request.Request(f"{url}/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert "half \ud83d" in json.load(reply)["choices"][0]["message"]["content"]


def test_the_judge_reads_personas(client: openai.OpenAI) -> None:
    answers = ["Boil it.", "First boil the water. Then add the egg and wait for it. " * 8]
    for persona, number in (("You want long, thorough answers.", 2), ("You want short answers.", 1)):
        messages = [{"role": "system", "content": persona}, {"role": "user", "content": render("An egg?", answers)}]
        structured = ask(client, model="simulated/judge", messages=messages, response_format=RESPONSE_FORMAT)
        assert json.loads(structured.choices[0].message.content) == {"choice": number}
        plain = ask(client, model="simulated/judge", messages=messages)
        assert parse_choice(plain.choices[0].message.content, 2) == number


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert len(names) == 13
    assert {MODEL, "simulated/judge", "simulated/labeller"} < set(names)
    assert client.models.retrieve(MODEL).id == client.models.retrieve("nimbus-8b").id == MODEL


def test_embeddings_are_near_for_near_texts(client: openai.OpenAI) -> None:
    texts = ["How do I bake bread?", "How do I bake a bread roll?", "Stocks fell on Monday"]
    model = "simulated/hashing-embeddings"
    packed = client.embeddings.create(model=model, input=texts)
    plain = client.embeddings.create(model=model, input=texts, encoding_format="float")
    vectors = np.array([item.embedding for item in packed.data])
    np.testing.assert_allclose(vectors, [item.embedding for item in plain.data], atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert packed.usage.prompt_tokens == count_tokens(texts).sum()
    raw = client.embeddings.create(model=model, input="x", dimensions=8, encoding_format="base64").data[0].embedding
    assert len(base64.b64decode(raw)) == 8 * 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"model": "nimbus-9b"}, 404, "expected one of simulated/titan-ultra, .* got 'nimbus-9b'"),
        ({"model": "simulated/hashing-embeddings"}, 400, "ask it at /v1/embeddings"),
        ({"n": 2}, 400, "n: expected 1, got 2"),
        ({"temperature": 3}, 400, "temperature: .* got '3'"),
        ({"max_tokens": 0}, 400, "max_tokens: "),
        ({"messages": []}, 400, "messages: "),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, 400, "at least one of role user"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "messages.0.content"),
        ({"tools": []}, 400, "got 'tools'; leave it out"),
        ({"extra_body": {"banana": 1}}, 400, "got 'banana'"),
    ],
)
def test_what_cannot_be_served_is_refused(
    client: openai.OpenAI, changes: dict[str, Any], status: int, message: str
) -> None:
    with pytest.raises(openai.APIStatusError, match=message) as caught:
        ask(client, **changes)
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert set(caught.value.body) == {"message", "type", "param", "code"}


def test_long_prompts_and_bodies_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="at most 2,000 tokens") as caught:
        ask(client, messages=[{"role": "user", "content": "word " * 2000}])
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.APIStatusError, match="at most 50,000 bytes") as large:
        ask(client, messages=[{"role": "user", "content": "x" * 60_000}])
    assert large.value.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/chat/completions", b"[1]", 400),
        ("POST", "/v1/chat/completions", b"\xff", 400),
        ("POST", "/v1/embeddings", b'{"model": "simulated/hashing-embeddings", "input": ""}', 400),
        ("POST", "/v1/embeddings", b'{"model": "simulated/judge", "input": "a"}', 400),
        ("GET", "/v1/models/none", None, 404),
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/v1/chat/completions", None, 405),
    ],
)
def test_bad_requests_have_a_body_of_the_known_shape(
    url: str, method: str, path: str, body: bytes | None, status: int
) -> None:
    request = urllib.request.Request(url.removesuffix("/v1") + path, body, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == status
    assert set(json.load(caught.value)["error"]) == {"message", "type", "param", "code"}


def test_a_key_is_asked_for() -> None:
    with hosted(ServerSettings(api_key="sësame")) as url:
        for key, right in (("none", False), ("sësame", True)):
            headers = {"Authorization": f"Bearer {key}".encode()}
            connection = http.client.HTTPConnection(url.split("/")[2], timeout=10)
            connection.request("GET", "/v1/models", headers=headers)  # type: ignore[arg-type]
            reply = connection.getresponse()
            assert reply.status == (200 if right else 401)
            assert right or b"invalid_api_key" in reply.read()
            connection.close()
        assert get(url, "/health") == {"status": "ok"}
