"""The answer of the chosen LLM, from the server of simulated LLMs."""

import asyncio

import pytest

from configs.errors import InputError
from configs.schema import Build, Config, Endpoint
from serving.answer import answering


def test_the_simulated_llms_answer_offline() -> None:
    with answering(Config(), ["titan-ultra"]) as answerer:
        found = asyncio.run(answerer.ask("titan-ultra", "Give three tips on gardening."))
        assert found.text
        assert found.cost_usd > 0
        with pytest.raises(InputError, match="nobody: expected an LLM of the configuration"):
            asyncio.run(answerer.ask("nobody", "Hello?"))


def test_other_llms_than_the_routers_are_refused_at_the_start() -> None:
    with pytest.raises(InputError, match="expected some of the router's LLMs"), answering(Config(), ["x"]):
        pass


def test_an_endpoint_that_nobody_serves_is_said_in_one_line() -> None:
    dead = Endpoint(name="simulated", base_url="http://127.0.0.1:9/v1", retries=0)
    with (
        answering(Config(build=Build(endpoints=(dead,))), ["titan-ultra"]) as answerer,
        pytest.raises(InputError, match="titan-ultra: expected an answer, got: "),
    ):
        asyncio.run(answerer.ask("titan-ultra", "Hello?"))


def test_a_missing_key_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAGE_KEY", raising=False)
    keyed = Endpoint(name="simulated", base_url="http://127.0.0.1:9/v1", api_key_env="PAGE_KEY")
    config = Config(build=Build(endpoints=(keyed,)))
    with pytest.raises(InputError, match="PAGE_KEY"), answering(config, ["titan-ultra"]):
        pass
