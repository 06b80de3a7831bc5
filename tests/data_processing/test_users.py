from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from configs.schema import Build, Config, Judging, Users
from data_processing.judging.judged import judged_digest
from data_processing.judging.judgements import judgement_table, write_judgements
from data_processing.judging.report import write_statistics
from data_processing.personas import make_personas
from data_processing.stage import Done
from data_processing.users import make_users, run, simulate_interactions, thinned_interactions
from data_processing.workspace import Workspace
from tests.data_processing.judged_world import world

CELL = st.one_of(
    st.none(), st.tuples(st.integers(0, 4), st.integers(0, 4)).map(lambda pair: (pair[0] / 4, pair[1] / 4))
)
WORLDS = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=8)
)
ALPHAS = st.lists(st.integers(0, 10).map(lambda n: n / 10), min_size=1, max_size=3)


def unpack(rows: list) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    cells = np.array([[(np.nan, np.nan) if cell is None else cell for cell in row] for row in rows], dtype=float)
    return cells[..., 0], cells[..., 1], [f"q{i}" for i in range(len(rows))], [f"m{i}" for i in range(len(rows[0]))]


def simulate(rows: list, config: Users, seed: int = 0) -> pd.DataFrame:
    performance, cost, queries, llms = unpack(rows)
    return simulate_interactions(make_users(config), queries, llms, performance, cost, config, seed)


@settings(max_examples=60, deadline=None)
@given(WORLDS, ALPHAS)
def test_users_choose_the_best_observed_answer_and_of_equal_ones_the_cheaper(rows: list, alphas: list[float]) -> None:
    config = Users(preferences=tuple(alphas))
    made = simulate(rows, config)
    preference = dict(zip(make_users(config)["user_id"], alphas, strict=True))
    answered = {f"q{i}" for i, row in enumerate(rows) if any(cell is not None for cell in row)}
    assert set(zip(made["user_id"], made["query_id"], strict=True)) == {(u, q) for u in preference for q in answered}
    for choice in made.itertuples():
        row, alpha = rows[int(choice.query_id[1:])], preference[choice.user_id]
        rewards = {i: alpha * cell[0] - (1 - alpha) * cell[1] for i, cell in enumerate(row) if cell is not None}
        picked = int(choice.llm_id[1:])
        assert choice.reward == pytest.approx(rewards[picked])
        assert rewards[picked] == pytest.approx(max(rewards.values()), abs=2e-6)
        tied = [row[i][1] for i, value in rewards.items() if value == pytest.approx(max(rewards.values()), abs=1e-12)]
        assert row[picked][1] == min(tied)


@settings(max_examples=40, deadline=None)
@given(WORLDS, st.integers(1, 10), st.integers(0, 50))
def test_interactions_per_user_are_distinct_queries_drawn_from_the_seed(rows: list, number: int, seed: int) -> None:
    config = Users(preferences=(0.3, 0.9), interactions_per_user=number)
    made = simulate(rows, config, seed)
    answered = sum(any(cell is not None for cell in row) for row in rows)
    for user in ("user_1", "user_2"):
        mine = made.loc[made["user_id"] == user, "query_id"]
        assert len(mine) == mine.nunique() == min(number, answered)
    pd.testing.assert_frame_equal(made, simulate(rows, config, seed))


def test_draws_differ_between_users_and_seeds() -> None:
    rows = [[(0.5, 0.5)]] * 40
    config = Users(preferences=(0.5, 0.5), interactions_per_user=8)
    drawn = [frozenset(simulate(rows, config, s).groupby("user_id")["query_id"].get_group(u))
             for s in (0, 1) for u in ("user_1", "user_2")]  # fmt: skip
    assert len(set(drawn)) == 4


def test_one_query_and_one_llm() -> None:
    made = simulate([[(1.0, 0.25)]], Users(preferences=(0.5,)))
    assert made[["user_id", "query_id", "llm_id", "reward"]].to_numpy().tolist() == [["user_1", "q0", "m0", 0.375]]


def test_no_outcome_at_all_gives_no_interaction() -> None:
    made = simulate([[None, None]], Users())
    assert made.empty
    assert list(made.columns) == ["user_id", "query_id", "llm_id", "reward", "judge_reply"]


def test_feedback_by_choice_does_not_tell_the_reward() -> None:
    rows = [[(1.0, 1.0), (0.5, 0.0)]] * 3
    told, chosen = (simulate(rows, Users(preferences=(0.2, 1.0), feedback=kind)) for kind in ("reward", "choice"))
    assert chosen["reward"].isna().all()
    assert told["reward"].notna().all()
    pd.testing.assert_frame_equal(told.drop(columns="reward"), chosen.drop(columns="reward"))


def test_ids_of_users_tell_nothing_of_their_preference_and_sort_as_they_count() -> None:
    users = make_users(Users(preferences=tuple([0.9, 0.1] * 6)))
    assert users["user_id"].tolist() == [f"user_{n:02d}" for n in range(1, 13)] == sorted(users["user_id"])
    assert users["preference"].tolist() == [0.9, 0.1] * 6
    assert set(users["kind"]) == {"preference"}


@pytest.mark.parametrize("order", [1, -1])
def test_of_equally_good_answers_the_cheaper_is_taken_in_any_order(order: int) -> None:
    rows = [[(1.0, 1.0), (0.75, 0.75), (0.25, 0.25), (0.5, 0.5)][::order]]
    made = simulate(rows, Users(preferences=(0.5,)))
    assert rows[0][int(made["llm_id"].iloc[0][1:])] == (0.25, 0.25)


def log(users: int = 4, queries: int = 30, seed: int = 0) -> pd.DataFrame:
    """A log in which users differ in how much they did, in no order."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"user_{u}", f"q{q:02d}", f"m{rng.integers(3)}", np.nan, "")
        for u in range(users)
        for q in range(queries - 7 * u)
    ]
    table = pd.DataFrame(rows, columns=["user_id", "query_id", "llm_id", "reward", "judge_reply"])
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


def cells(table: pd.DataFrame) -> set[tuple[str, str, str]]:
    found = list(zip(table["user_id"], table["query_id"], table["llm_id"], strict=True))
    assert len(found) == len(set(found))
    return set(found)


def test_a_log_is_left_as_it_is_unless_it_is_to_be_thinned_or_shuffled() -> None:
    table = log()
    assert thinned_interactions(table, Users(), 0.3, 0) is table


@pytest.mark.parametrize(
    ("most", "share", "kept"), [(5, 1.0, 5), (5, 0.3, 2), (1, 0.01, 1), (20, 1.0, 20), (99, 1.0, 99)]
)
def test_a_thinned_log_has_so_many_of_each_user_drawn_from_what_was_there(most: int, share: float, kept: int) -> None:
    table = log()
    thin = thinned_interactions(table, Users(interactions_per_user=most), share, 0)
    assert cells(thin) <= cells(table)
    counts = thin.groupby("user_id").size().to_dict()
    assert counts == {user: min(kept, number) for user, number in table.groupby("user_id").size().items()}


def test_thinning_reads_ids_and_seed_not_the_order_of_rows() -> None:
    table, config = log(), Users(interactions_per_user=6)
    first = cells(thinned_interactions(table, config, 1.0, 0))
    again = cells(thinned_interactions(table.sample(frac=1, random_state=9), config, 1.0, 0))
    other = cells(thinned_interactions(table, config, 1.0, 1))
    assert first == again != other
    drawn = [frozenset(q for u, q, _ in first if u == f"user_{n}") for n in range(2)]
    assert drawn[0] != drawn[1], "users are thinned alike"


@pytest.mark.parametrize("most", [None, 6])
def test_a_shuffled_log_is_dealt_out_anew(most: int | None) -> None:
    table = log(users=4, queries=30)
    config = Users(shuffled=True, interactions_per_user=most)
    dealt = thinned_interactions(table, config, 1.0, 0)
    plain = thinned_interactions(table, config.model_copy(update={"shuffled": False}), 1.0, 0)
    # The same picks, now another's; nobody picks twice on one query.
    assert {(q, m) for _, q, m in cells(dealt)} <= {(q, m) for _, q, m in cells(plain)}
    assert not dealt.duplicated(["user_id", "query_id"]).any()
    assert set(dealt["user_id"]) <= set(plain["user_id"])
    assert 0.5 * len(plain) < len(dealt) <= len(plain)
    own = len(cells(dealt) & cells(plain)) / len(dealt)
    assert own < 0.7, "users keep their own picks"
    assert cells(dealt) == cells(thinned_interactions(table.sample(frac=1, random_state=3), config, 1.0, 0))
    assert cells(dealt) != cells(thinned_interactions(table, config, 1.0, 1))


@pytest.mark.parametrize("config", [Users(), Users(interactions_per_user=3), Users(shuffled=True)])
def test_an_empty_log_stays_empty(config: Users) -> None:
    assert thinned_interactions(log()[:0], config, 1.0, 0).empty


def built(folder: Path, users: Users, replies: dict[str, str | None] | None = None) -> tuple[Config, Workspace]:
    """Return a workspace up to the judgements: for each query the LLM that every persona chose."""
    workspace = world(folder, queries=3)
    if replies is not None:
        outcomes = workspace.read("outcomes", "score")
        queries = sorted(set(outcomes["query_id"]))
        rows = [
            (persona.user_id, query, llm, 1, 4, "read", f"reply {llm}", None, None, "", "", 1, 1, 0.0)
            for persona in make_personas(users)
            for query, llm in zip(queries, replies.values(), strict=False)
        ]
        write_judgements(workspace, judgement_table(rows))
        write_statistics(workspace, {"judged": judged_digest(Config(name="test", users=users), outcomes)})
    return Config(name="test", users=users), workspace


def llms(workspace: Workspace) -> list[str]:
    return sorted(workspace.read("llms", "unify")["llm_id"])


def test_the_stage_writes_users_with_preferences_and_no_interactions(tmp_path: Path) -> None:
    config, workspace = built(tmp_path, Users(preferences=(0.2, 0.9)))
    assert run(config, workspace) == Done(["2 users; what they choose follows from their preferences"])
    pd.testing.assert_frame_equal(workspace.read("users", "users"), make_users(config.users))
    assert workspace.read("interactions", "users").empty


def test_the_stage_writes_what_the_personas_chose(tmp_path: Path) -> None:
    names = llms(world(tmp_path, queries=3))
    judged = Users(strategy="llm_as_judge", personas=2)
    config, workspace = built(tmp_path, judged, {"first": names[1], "second": None, "third": names[0]})
    assert run(config, workspace) == Done(["2 users; 4 choices of 2 of them"])
    users, interactions = workspace.read("users", "users"), workspace.read("interactions", "users")
    assert list(users["kind"]) == ["persona", "persona"]
    assert list(interactions["llm_id"]) == [names[1], names[0]] * 2
    assert interactions["reward"].isna().all()
    assert interactions["judge_reply"][0] == f"reply {names[1]}"


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        (None, r"run: python -m data_processing\.judge"),
        ({"first": None}, "expected choices, got none that could be read"),
        ({"first": "gone"}, r"expected an answer of table 'outcomes', got '.* \+ gone'"),
    ],
)
def test_the_stage_refuses_judgements_that_do_not_fit(
    tmp_path: Path, replies: dict[str, str | None] | None, said: str
) -> None:
    config, workspace = built(tmp_path, Users(strategy="llm_as_judge", personas=2), replies)
    with pytest.raises(InputError, match=said):
        run(config, workspace)
    assert not (workspace.tables / "interactions.parquet").exists()


def test_the_stage_refuses_judgements_of_other_personas(tmp_path: Path) -> None:
    names = llms(world(tmp_path, queries=3))
    _, workspace = built(tmp_path, Users(strategy="llm_as_judge", personas=2), {"first": names[0]})
    other = Config(name="test", users=Users(strategy="llm_as_judge"))
    with pytest.raises(InputError, match="expected a persona of the configuration, got 'persona_0001'"):
        run(other, workspace)


def judged_workspace(folder: Path) -> tuple[Config, Workspace]:
    names = llms(world(folder, queries=3))
    replies: dict[str, str | None] = {"first": names[0], "second": names[1], "third": names[0]}
    return built(folder, Users(strategy="llm_as_judge", personas=2), replies)


@pytest.mark.parametrize("change", [{"response": "Another text."}, {"performance": 0.25}, {"cost_usd": 9.0}])
def test_the_stage_refuses_judgements_of_other_answers(tmp_path: Path, change: dict) -> None:
    config, workspace = judged_workspace(tmp_path)
    outcomes = workspace.read("outcomes", "score")
    workspace.write("outcomes", outcomes[::-1])
    run(config, workspace)  # the order of rows does not matter
    outcomes.loc[outcomes.index[0], list(change)] = list(change.values())
    workspace.write("outcomes", outcomes)
    with pytest.raises(InputError, match=r"expected judgements of these answers.*python -m data_processing\.judge"):
        run(config, workspace)


def test_the_stage_refuses_judgements_of_fewer_answers_or_by_another_judge(tmp_path: Path) -> None:
    config, workspace = judged_workspace(tmp_path)
    more = world(tmp_path / "more", queries=4)
    other = config.model_copy(update={"build": Build(judge=Judging(order_seed=1))})
    with pytest.raises(InputError, match="expected judgements of these answers"):
        run(other, workspace)
    (workspace.folder / "judge.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="expected judgements of these answers"):
        run(config, workspace)
    for name in ("queries", "outcomes"):
        workspace.write(name, more.read(name, "unify"))
    with pytest.raises(InputError, match=r"judgements\.parquet: expected"):
        run(config, workspace)
