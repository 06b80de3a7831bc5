from pathlib import Path

import pytest

from configs.schema import Answers, Build, Config, Data, Judging, SimulatedWorld, Users
from data_processing.cache import ResponseStore
from data_processing.cost import count_tokens
from data_processing.llm_client import CallError, Completion
from data_processing.plan import as_text, plan, total
from data_processing.responses import answer_call
from data_processing.roster import asked_llms, judge_llm
from tests.data_processing.made_questions import table_of

TEXTS = ("How much is 2 + 2?", "Name a river that flows through Vienna, please.", "Why?")
QUERIES = table_of(TEXTS)


def config_of(**keys: object) -> Config:
    return Config(data=Data(simulated=SimulatedWorld(llms=2)), **keys)


def test_what_is_planned_is_what_prices_and_tokens_make(tmp_path: Path) -> None:
    config = config_of(build=Build(answers=Answers(max_tokens=100)))
    llms = asked_llms(config)
    costs = plan(config, QUERIES, llms, tmp_path / "none.sqlite")
    inputs = sum(count_tokens(TEXTS))
    for cost, llm in zip(costs, llms, strict=True):
        assert (cost.stage, cost.llm_id, cost.calls, cost.stored) == ("answers", llm.llm_id, 3, 0)
        assert (cost.input_tokens, cost.most_output_tokens) == (inputs, 300)
        most = (inputs * llm.input_price_usd_per_mtok + 300 * llm.output_price_usd_per_mtok) / 1e6
        assert cost.most_usd == pytest.approx(most)
        assert 0 < cost.usd <= most
    assert total(costs).usd == pytest.approx(sum(cost.usd for cost in costs))
    assert not (tmp_path / "none.sqlite").exists()  # a plan leaves nothing behind


def test_answers_that_are_there_cost_nothing_and_failures_are_asked_again(tmp_path: Path) -> None:
    config = config_of()
    llms = asked_llms(config)
    path = tmp_path / "store.sqlite"
    done, failed = (answer_call(llms[0], text, config.build.answers) for text in TEXTS[:2])
    with ResponseStore(path) as store:
        store.put(done, Completion("4", 7, 1, 0.1))
        store.put_error(failed, CallError("server", "down", 500))
    first, second = plan(config, QUERIES, llms, path)
    assert (first.calls, first.stored) == (3, 1)
    assert first.input_tokens == sum(count_tokens(TEXTS[1:]))
    assert (second.calls, second.stored) == (3, 0)


def test_a_system_prompt_is_paid_for_with_every_question(tmp_path: Path) -> None:
    prompt = "You answer in one word."
    config = config_of(build=Build(answers=Answers(system_prompt=prompt)))
    cost = plan(config, QUERIES, asked_llms(config), tmp_path / "none.sqlite")[0]
    assert cost.input_tokens == sum(count_tokens(TEXTS)) + 3 * count_tokens([prompt])[0]


def test_without_a_greatest_length_there_is_no_greatest_cost(tmp_path: Path) -> None:
    config = config_of(build=Build(answers=Answers(max_tokens=None)))
    costs = plan(config, QUERIES, asked_llms(config), tmp_path / "none.sqlite")
    assert [cost.most_usd for cost in costs] == [None, None]
    assert total(costs).most_usd is None
    assert "no limit" in as_text(costs)


def test_judgements_are_planned_where_an_llm_judges(tmp_path: Path) -> None:
    users = Users(strategy="llm_as_judge", interactions_per_user=2)
    config = config_of(users=users, build=Build(judge=Judging(asked_again=0.0)))
    costs = plan(config, QUERIES, asked_llms(config), tmp_path / "none.sqlite")
    assert [cost.stage for cost in costs] == ["answers", "answers", "judgements"]
    assert costs[-1].llm_id == judge_llm(config).llm_id
    assert costs[-1].calls == 9 * 2  # nine named personas, two questions each
    by_rules = config_of(users=users, build=Build(judge=Judging(by="rules")))
    assert [c.stage for c in plan(by_rules, QUERIES, asked_llms(by_rules), tmp_path / "none.sqlite")] == ["answers"] * 2


def test_the_table_names_every_llm_and_sums_up(tmp_path: Path) -> None:
    config = config_of()
    lines = as_text(plan(config, QUERIES, asked_llms(config), tmp_path / "none.sqlite")).splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["calls", "stored", "tokens", "in", "tokens", "out", "US", "dollars", "at", "most"]
    assert [line.split()[1] for line in lines[1:3]] == [llm.llm_id for llm in asked_llms(config)]
    assert lines[3].split()[:3] == ["all", "6", "0"]
