"""What judging will cost, against what a scripted judge over real HTTP is then asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.schema import Build, Config, Users
from data_processing import judge
from data_processing.cache import ResponseStore
from data_processing.cost import count_tokens
from data_processing.judging import asker
from data_processing.judging.cost import REPLY_TOKENS, JudgeCost, judge_cost
from data_processing.llm_client import CallError, Completion
from data_processing.responses import answer_call
from data_processing.roster import asked_llms
from data_processing.workspace import Workspace
from tests.data_processing.judged_world import by_taste, config, world
from tests.data_processing.scripted_llm import Body, scripted_llm

LLMS = 5
WORDS = ["alpha", "river", "seven", "cloud", "green"]


def settings_of(folder: Path, url: str, answer_tokens: int = 40, **judging: Any) -> Config:
    users = Users(strategy="llm_as_judge", interactions_per_user=6)
    made = config(folder, url, users=users, asked_again=0.25, answer_tokens=answer_tokens, **judging)
    simulated = made.data.simulated.model_copy(update={"llms": LLMS})
    return made.model_copy(update={"data": made.data.model_copy(update={"simulated": simulated, "output_tokens": 60})})


def long_answers(workspace: Workspace) -> pd.DataFrame:
    """Give every LLM an answer of 60 words to every query."""
    outcomes = workspace.read("outcomes", "score")
    rng = np.random.default_rng(0)
    outcomes = outcomes.assign(response=[" ".join(rng.choice(WORDS, size=60)) for _ in range(len(outcomes))])
    workspace.write("outcomes", outcomes)
    return outcomes


def stored(settings: Config, workspace: Workspace, outcomes: pd.DataFrame) -> None:
    """Put the answers into the store, as the stage before would have."""
    texts = workspace.read("queries", "unify").set_index("query_id")["query"]
    llms = {llm.llm_id: llm for llm in asked_llms(settings)}
    with ResponseStore(workspace.store) as store:
        for row in outcomes.itertuples():
            call = answer_call(llms[row.llm_id], texts[row.query_id], settings.build.answers)
            store.put(call, Completion(str(row.response), 10, 60, 0.1))


def cost_of(settings: Config, workspace: Workspace, with_store: bool) -> JudgeCost:
    queries, llms = workspace.read("queries", "unify"), asked_llms(settings)
    if not with_store:
        return judge_cost(settings, queries, llms, None)
    with ResponseStore(workspace.store) as store:
        return judge_cost(settings, queries, llms, store)


def sent_tokens(requests: list[Body]) -> float:
    return float(count_tokens(["\n".join(m["content"] for m in body["messages"]) for body in requests]).sum())


@pytest.mark.parametrize("answered", [False, True])
def test_what_is_expected_is_what_is_asked(answered: bool, tmp_path: Path) -> None:
    workspace = world(tmp_path, queries=10, llms=LLMS)
    outcomes = long_answers(workspace)
    with scripted_llm(by_taste) as (url, requests):
        settings = settings_of(tmp_path, url)
        if answered:
            stored(settings, workspace, outcomes)
        found = cost_of(settings, workspace, answered)
        judge.run(settings, workspace)
        after = cost_of(settings, workspace, True)
    assert (found.calls, found.stored) == (len(requests), 0)
    # A shortened answer is shown with a mark, which a guess of its length does not have.
    assert found.input_tokens == pytest.approx(sent_tokens(requests), rel=0.01 if answered else 0.2)
    assert found.output_tokens == REPLY_TOKENS * len(requests)
    if answered:
        assert (after.calls, after.stored, after.input_tokens, after.most_output_tokens) == (found.calls,) * 2 + (0, 0)


def test_the_most_is_more_than_a_judge_that_never_answers_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asker, "UNREADABLE", 10**9)  # it is asked everything all the same
    workspace = world(tmp_path, queries=6, llms=LLMS)
    long_answers(workspace)
    with scripted_llm(lambda body: "well " * 17) as (url, requests):
        settings = settings_of(tmp_path, url, answer_tokens=400, max_tokens=17)
        found = cost_of(settings, workspace, False)
        judge.run(settings, workspace)
    assert len(requests) == 2 * found.calls
    assert sent_tokens(requests) <= found.most_input_tokens
    assert found.most_output_tokens == 17 * len(requests)
    assert found.input_tokens < found.most_input_tokens / 4  # 60 tokens an answer are usual, 400 possible


def test_a_failed_answer_is_not_shown_and_one_never_asked_for_is_guessed(tmp_path: Path) -> None:
    workspace = world(tmp_path, queries=1, llms=LLMS)
    settings = settings_of(tmp_path, "http://127.0.0.1:9/v1")
    guess = cost_of(settings, workspace, False)
    llms, text = asked_llms(settings), workspace.read("queries", "unify")["query"][0]
    calls = [answer_call(llm, text, settings.build.answers) for llm in llms]
    with ResponseStore(workspace.store) as store:
        for number, call in enumerate(calls[:-1]):
            store.put(call, Completion(f"answer {number}", 10, 2, 0.1))
        assert judge_cost(settings, workspace.read("queries", "unify"), llms, store) == guess
        store.put_error(calls[-1], CallError("server", "down", 500))
    left = cost_of(settings, workspace, True)
    assert left.calls == guess.calls
    shown = len(calls[:-1]) * 2  # tokens of "answer 0" and so on, in place of 40 of each
    assert guess.input_tokens - left.input_tokens == left.calls * (len(calls) * 40 - shown)


def test_one_llm_leaves_nothing_to_judge(tmp_path: Path) -> None:
    workspace = world(tmp_path, queries=2, llms=1)
    made = Config(users=Users(strategy="llm_as_judge"), build=Build(folder=str(tmp_path)))
    queries = workspace.read("queries", "unify")
    assert judge_cost(made, queries, asked_llms(made)[:1], None) == JudgeCost(0, 0, 0.0, 0.0, 0.0, 0.0)
