import pytest

from evaluation.report_tables import MAX_TASKS, MAX_USERS, build_tables
from evaluation.results import mean_singles
from evaluation.summary import summarise, user_table
from evaluation.wording import per_thousand
from tests.evaluation.fake_results import POLICIES, make_results


def tables_of(**size):
    results = make_results(**size)
    return results, {t.title: t for t in build_tables(results, summarise(results, resamples=30))}


@pytest.mark.parametrize(
    "size",
    [
        {"users": 3, "queries": 10},
        {"users": 2, "queries": 6, "repeats": 1, "policies": ("random", "knn")},
        {"users": 2, "queries": 6, "kind": "persona", "cost_kind": "none"},
    ],
)
def test_every_row_has_every_column(size):
    for table in tables_of(**size)[1].values():
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert len(table.marks) == len(table.rows)
        assert all(isinstance(cell, str) for row in table.rows for cell in row)
        assert "nan" not in str(table.rows)


def test_the_policy_table_marks_ceiling_and_floors():
    policies = tables_of(users=3, queries=20)[1]["All policies"]
    marks = dict(zip([row[0].split(" ")[0] for row in policies.rows], policies.marks, strict=True))
    assert set(marks) == set(POLICIES)
    assert marks["graph"] == "graph"
    assert marks["oracle"] == "oracle"
    assert {name for name, mark in marks.items() if mark == "floor"} == {
        "random",
        "cheapest",
        "best_single",
        "best_single_per_user",
        "best_single_per_task",
    }
    rewards = [float(row[1].split(" ")[0].replace("−", "-")) for row in policies.rows]
    assert rewards == sorted(rewards, reverse=True)
    assert "±" in policies.rows[0][1]


def test_savings_are_against_the_strongest_single_llm():
    results, tables = tables_of(users=3, queries=20)
    table = tables["Which LLM each user gets"]
    strongest = mean_singles(results).iloc[0]
    mine = user_table(results).query("policy == 'graph' and user_id == 'user_0'").iloc[0]
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["User"] == "user_0"
    assert row["α"] == "0.20"
    assert row["Inferred α"] != "–"
    assert row["LLMs"].count("%") <= 3
    assert row["Saved per 1,000"] == per_thousand(strongest["cost_usd"] - mine["cost_usd"], True)
    assert str(strongest["llm_id"]) in table.about


def test_long_tables_are_cut_and_say_so():
    tables = tables_of(users=MAX_USERS + 20, llms=3, queries=150, tasks=65, repeats=1, policies=("graph", "oracle"))[1]
    assert len(tables["Each user"].rows) == len(tables["Which LLM each user gets"].rows) == MAX_USERS
    assert "per_user.csv" in tables["Each user"].about
    assert tables["Each user"].rows[0][0] == "user_0"
    assert tables["Each user"].rows[-1][0] == f"user_{MAX_USERS + 19}"
    assert len(tables["Each task"].rows) == MAX_TASKS
    assert "per_task.csv" in tables["Each task"].about


def test_without_the_router_its_tables_are_left_out():
    tables = tables_of(users=2, queries=6, policies=("random", "oracle"))[1]
    assert "Which LLM each user gets" not in tables
    assert "of oracle" in tables["Each task"].about


def test_without_costs_no_cost_is_shown():
    for table in tables_of(users=2, queries=6, cost_kind="none")[1].values():
        assert not any("1,000" in column for column in table.columns)
