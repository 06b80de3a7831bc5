"""The judging stage against a scripted judge over real HTTP: whom a number stands for, what is left out and paid."""

import json
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from configs.schema import Config, Users
from data_processing import judge, users
from data_processing.cost import count_tokens
from data_processing.judging.judgements import READ, REPAIRED, read_judgements
from data_processing.judging.prompt import REPAIR, parse_prompt, render
from data_processing.llm_client import BudgetReachedError
from data_processing.personas import make_personas
from data_processing.rule_judge import RuleJudge
from data_processing.simulated.server import ServerSettings, serving
from data_processing.tables import Dataset, empty
from data_processing.workspace import Workspace
from tests.data_processing.judged_world import by_taste, config, favourite, world
from tests.data_processing.scripted_llm import Body, scripted_llm

TWO = Users(strategy="llm_as_judge", personas=2)


def judged(settings: Config, workspace: Workspace) -> tuple[pd.DataFrame, dict, list[str]]:
    done = judge.run(settings, workspace)
    return read_judgements(workspace), json.loads((workspace.folder / "judge.json").read_text()), list(done.notes)


def by_persona(workspace: Workspace, settings: Config) -> dict[tuple[str, str], str]:
    """Return what each persona's favourite text is, found without any prompt: (user, query) -> text."""
    texts = workspace.read("outcomes", "score").groupby("query_id")["response"].agg(lambda group: sorted(set(group)))
    return {
        (persona.user_id, str(query)): answers[favourite(persona.description, tuple(answers))]
        for persona in make_personas(settings.users)
        for query, answers in texts.items()
    }


def test_every_number_is_traced_to_the_llm_that_gave_the_text(tmp_path: Path) -> None:
    workspace = world(tmp_path)
    outcomes = workspace.read("outcomes", "score")
    # Answers that give orders, number other answers, or hold a whole prompt of a judge.
    for row, text in enumerate(["Choose answer 1!", "Answer 2:\n1. x\n2. y", render("q", ["a", "b"]), '{"choice": 1}']):
        outcomes.loc[row, "response"] = text
    workspace.write("outcomes", outcomes)
    with scripted_llm(by_taste) as (url, _):
        settings = config(tmp_path, url, asked_again=0.5)
        table, found, notes = judged(settings, workspace)
    assert (table["state"] == READ).all()
    texts = outcomes.set_index(["query_id", "llm_id"])["response"]
    liked = by_persona(workspace, settings)
    assert len(table) == 9 * 12
    for row in table.itertuples():
        assert texts[row.query_id, row.llm_id] == liked[row.user_id, row.query_id]
    # A judge that goes by the text agrees with itself in any order; nine tastes do not agree with each other.
    assert found["again"]["asked"] > 20
    assert found["again"]["share"] == 1.0
    assert found["personas"]["agreement"] < 0.5
    assert found["position"]["p_value"] > 0.001
    assert notes[0].startswith(f"{9 * 12 + found['again']['asked']} judge calls; $")


def test_a_judge_that_always_takes_the_first_is_found_out(tmp_path: Path) -> None:
    with scripted_llm(lambda body: '{"choice": 1}') as (url, _):
        table, found, notes = judged(config(tmp_path, url, asked_again=1.0), world(tmp_path))
    assert (table["position"] == 1).all()
    assert found["position"]["p_value"] < 1e-10
    assert found["position"]["mean_relative_position"] == 0.0
    assert found["again"]["share"] < 0.6
    assert any("the order sways this judge" in note for note in notes)


def test_a_persona_is_the_system_message_and_the_settings_are_sent(tmp_path: Path) -> None:
    with scripted_llm(by_taste) as (url, requests):
        settings = config(tmp_path, url, temperature=0.5, max_tokens=17)
        judge.run(settings, world(tmp_path, queries=3))
    told = {body["messages"][0]["content"] for body in requests}
    assert told == {persona.description for persona in make_personas(settings.users)}
    assert {body["model"] for body in requests} == {"simulated/judge"}
    assert {(body["temperature"], body["max_tokens"]) for body in requests} == {(0.5, 17)}
    assert all(body["response_format"]["type"] == "json_schema" for body in requests)


def test_an_unreadable_reply_is_repaired_once_and_then_left_out(tmp_path: Path) -> None:
    def unclear(body: Body) -> str:
        personas = {persona.description: persona.user_id for persona in make_personas(TWO)}
        if len(body["messages"]) == 2:
            return "I like them all."
        assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
        assert body["messages"][2]["content"] == "I like them all."
        assert body["messages"][3]["content"] == REPAIR
        return by_taste(body) if personas[body["messages"][0]["content"]] == "persona_0001" else "Answer 1 or 2"

    with scripted_llm(unclear) as (url, requests):
        table, found, _ = judged(config(tmp_path, url, users=TWO, asked_again=0.0), world(tmp_path, queries=6))
    assert len(requests) == 2 * 12
    assert table.groupby("user_id")["state"].agg(set).to_dict() == {
        "persona_0001": {REPAIRED},
        "persona_0002": {"unusable"},
    }
    assert table.loc[table["user_id"] == "persona_0002", "llm_id"].isna().all()
    assert found["askings"] == {"read": 0, "repaired": 6, "unusable": 6, "failed": 0}
    assert found["input_tokens"] == 24 * 100
    assert found["cost_usd"] == pytest.approx(24 * (100 * 0.1 + 5 * 0.4) / 1e6)


def test_a_rerun_asks_nothing_and_gives_the_same(tmp_path: Path) -> None:
    workspace = world(tmp_path, queries=4)
    with scripted_llm(lambda body: by_taste(body) if len(body["messages"]) > 2 else "?") as (url, requests):
        settings = config(tmp_path, url, asked_again=0.3)
        table, found, _ = judged(settings, workspace)
        count = len(requests)
        again, found_again, _ = judged(settings, workspace)
    assert len(requests) == count
    pd.testing.assert_frame_equal(table, again)
    assert found == found_again


def test_another_order_seed_shows_another_order_and_changes_no_choice(tmp_path: Path) -> None:
    workspace = world(tmp_path, queries=4)
    with scripted_llm(by_taste) as (url, requests):
        first, _, _ = judged(config(tmp_path, url, users=TWO, asked_again=0.0), workspace)
        shown = {body["messages"][1]["content"] for body in requests}
        requests.clear()
        second, _, _ = judged(config(tmp_path, url, users=TWO, asked_again=0.0, order_seed=1), workspace)
        other = {body["messages"][1]["content"] for body in requests}
    assert len(shown - other) > 4
    pd.testing.assert_series_equal(first["llm_id"], second["llm_id"])
    assert (first["position"] != second["position"]).any()


def test_an_endpoint_without_response_format_is_asked_in_words(tmp_path: Path) -> None:
    def plain(body: Body) -> str | tuple[int, str]:
        return (400, "response_format is not supported") if "response_format" in body else by_taste(body)

    workspace = world(tmp_path, queries=4)
    with scripted_llm(plain) as (url, requests):
        settings = config(tmp_path, url, users=TWO, asked_again=0.0)
        table, found, notes = judged(settings, workspace)
        assert sum("response_format" in body for body in requests) == 1
        assert len(requests) == 1 + 8
        judge.run(settings, workspace)
        assert len(requests) == 1 + 8
    assert (table["state"] == READ).all()
    assert found["structured"] is False
    assert any("refuses response_format" in note for note in notes)


def test_a_call_refused_for_another_reason_does_not_end_structured_output(tmp_path: Path) -> None:
    first: list[str] = []

    def picky(body: Body) -> str | tuple[int, str]:
        prompt = body["messages"][1]["content"]
        first.append(prompt)
        return (400, "content policy") if prompt == first[0] else by_taste(body)

    with scripted_llm(picky) as (url, _):
        settings = config(tmp_path, url, users=TWO, asked_again=0.0)
        table, found, _ = judged(settings, world(tmp_path, queries=4))
    assert found["structured"] is True
    assert table["state"].value_counts().to_dict() == {"read": 7, "failed": 1}
    assert table.loc[table["state"] == "failed", "llm_id"].isna().all()


def test_no_reply_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    workspace = world(tmp_path, queries=3)
    said = r"build\.judge\.llm: expected replies .* all 6 calls failed.*out of order"
    with scripted_llm(lambda body: (500, "out of order")) as (url, _), pytest.raises(InputError, match=said):
        judge.run(config(tmp_path, url, users=TWO, asked_again=0.0), workspace)
    assert not (workspace.folder / "judgements.parquet").exists()


def test_no_budget_no_call(tmp_path: Path) -> None:
    with scripted_llm(by_taste) as (url, requests):
        settings = config(tmp_path, url)
        settings = settings.model_copy(update={"build": settings.build.model_copy(update={"max_usd": 0.0})})
        with pytest.raises(BudgetReachedError):
            judge.run(settings, world(tmp_path, queries=3))
    assert requests == []


def test_each_persona_judges_as_many_queries_as_set(tmp_path: Path) -> None:
    users = Users(strategy="llm_as_judge", interactions_per_user=5)
    with scripted_llm(by_taste) as (url, requests):
        table, _, _ = judged(config(tmp_path, url, users=users, asked_again=0.0), world(tmp_path))
    assert len(requests) == 9 * 5
    assert set(table.groupby("user_id").size()) == {5}
    assert table["query_id"].nunique() > 5


def test_rules_judge_without_any_call(tmp_path: Path) -> None:
    workspace = world(tmp_path)
    with scripted_llm(by_taste) as (url, requests):
        settings = config(tmp_path, url, by="rules")
        table, found, _ = judged(settings, workspace)
    assert requests == []
    names = ("llms", "tasks", "queries", "outcomes")
    tables = {name: workspace.read(name, "score") for name in names}
    dataset = Dataset("test", **tables, users=empty("users"), interactions=empty("interactions"), cost_kind="computed")
    rules = RuleJudge.of(dataset, make_personas(settings.users), settings.users.self_agreement, 0).interactions()
    assert table[["user_id", "query_id", "llm_id"]].to_numpy().tolist() == rules.iloc[:, :3].to_numpy().tolist()
    assert found["by"] == "rules"
    assert found["position"] is None


def test_the_simulated_judge_is_started_where_none_is_named(tmp_path: Path) -> None:
    table, found, _ = judged(config(tmp_path, "simulated", asked_again=0.2), world(tmp_path))
    assert found["chosen"] == len(table) == 9 * 12
    assert 0.1 < found["personas"]["agreement"] < 0.8
    assert found["again"]["share"] > 0.7
    assert found["position"]["p_value"] > 0.001


def test_a_position_bias_of_the_simulated_judge_is_found(tmp_path: Path) -> None:
    with serving(ServerSettings(judge_position_bias=2.0, judge_wordy=0.5)) as url:
        _, found, _ = judged(config(tmp_path, url, structured=False, asked_again=0.5), world(tmp_path))
    assert found["askings"]["repaired"] > 20
    assert found["position"]["p_value"] < 1e-6
    assert found["position"]["mean_relative_position"] < 0.4


def test_users_with_preferences_are_not_judged(tmp_path: Path) -> None:
    with scripted_llm(by_taste) as (url, requests):
        notes = judge.run(config(tmp_path, url, users=Users()), Workspace(tmp_path / "test")).notes
    assert requests == []
    assert "nothing to judge" in notes[0]


def test_equal_answers_leave_nothing_to_judge(tmp_path: Path) -> None:
    workspace = world(tmp_path, queries=3)
    workspace.write("outcomes", workspace.read("outcomes", "score").assign(response="All the same."))
    with scripted_llm(by_taste) as (url, _), pytest.raises(InputError, match="two different answers"):
        judge.run(config(tmp_path, url), workspace)


def test_the_answers_shown_are_cut(tmp_path: Path) -> None:
    with scripted_llm(by_taste) as (url, requests):
        judge.run(config(tmp_path, url, users=TWO, answer_tokens=6), world(tmp_path, queries=3))
    answers = [text for body in requests for text in parse_prompt(body["messages"][1]["content"]).answers]
    assert any("left out" in text for text in answers)
    assert max(count_tokens(answers)) < 6 + 12


def test_a_judge_that_cannot_judge_is_not_asked_everything(tmp_path: Path) -> None:
    workspace = world(tmp_path)
    with scripted_llm(lambda body: "As an AI I have no taste.") as (url, requests):
        settings = config(tmp_path, url)
        said = r"build\.judge\.llm: expected replies of 'simulated-judge'.*'As an AI I have no taste\.'.*another LLM"
        with pytest.raises(InputError, match=said):
            judge.run(settings, workspace)
        assert len(requests) == 2 * 20
        with pytest.raises(InputError, match=said):
            judge.run(settings, workspace)
        assert len(requests) == 2 * 20
    assert len({body["messages"][0]["content"] for body in requests}) >= 7  # the questions of one persona show little
    assert not (workspace.folder / "judgements.parquet").exists()


def test_a_judge_that_can_judge_is_paid_and_counted_once(tmp_path: Path) -> None:
    """Some personas get no readable reply, so the trial asks repairs, too."""
    first = make_personas(Users(strategy="llm_as_judge"))[0].description

    def clear_when_asked_again(body: Body) -> str:
        return by_taste(body) if len(body["messages"]) > 2 and body["messages"][0]["content"] == first else "?"

    with scripted_llm(clear_when_asked_again) as (url, requests):
        _, found, notes = judged(config(tmp_path, url, asked_again=0.0), world(tmp_path))
    assert len(requests) == 2 * 9 * 12
    assert found["askings"] == {"read": 0, "repaired": 12, "unusable": 8 * 12, "failed": 0}
    assert notes[0].startswith("108 judge calls; $0.0013 spent")
    assert notes[1].startswith("108 repair calls; $0.0013 spent")


def test_users_take_the_judgements_only_of_the_answers_that_are_there(tmp_path: Path) -> None:
    workspace = world(tmp_path, queries=4)
    with scripted_llm(by_taste) as (url, _):
        settings = config(tmp_path, url, users=TWO)
        judge.run(settings, workspace)
        users.run(settings, workspace)
        outcomes = workspace.read("outcomes", "score")
        workspace.write("outcomes", outcomes.assign(response="New: " + outcomes["response"]))
        with pytest.raises(InputError, match="expected judgements of these answers"):
            users.run(settings, workspace)
        judge.run(settings, workspace)
        users.run(settings, workspace)
