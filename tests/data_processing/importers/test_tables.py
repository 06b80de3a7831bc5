import dataclasses
import random
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.importers import load_source
from data_processing.tables import COLUMNS, Dataset, query_id, write_tables
from tests.data_processing.importers.helpers import NAMES, SENTENCES, UNITS, data, noted, seen, write_csv, write_json

LONG = ["query", "llm_id", "performance", "cost_usd"]


def load(path: Path, **fields: object) -> Dataset:
    return load_source(data("tables", path, **fields)).dataset


def folder(path: Path, **tables: list[list]) -> Path:
    """Write CSV tables given as rows, the first being the header."""
    for name, (header, *rows) in tables.items():
        write_csv(path / f"{name}.csv", header, rows)
    return path


OUTCOMES = [
    ["query_id", "llm_id", "performance", "cost_usd"],
    ["1", "a", 1, 0.5],
    ["1", "b", 0, 0.25],
    ["2", "b", 0.5, 0.125],
]
QUERIES = [["query_id", "task_id", "query"], ["1", "sums", "1+1?"], ["2", "sums", "2+2?"]]
LLMS = [["llm_id", "description"], ["b", "Small."], ["a", "Large."]]
EXPECTED = {("sums", "1+1?", "a"): (1, 0.5), ("sums", "1+1?", "b"): (0, 0.25), ("sums", "2+2?", "b"): (0.5, 0.125)}


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["t1", "t2"]), SENTENCES, st.sampled_from(NAMES)),
        st.tuples(UNITS, UNITS),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["parquet", "csv", "json", "long"]),
    st.randoms(use_true_random=False),
)
def test_every_row_lands_under_its_name_in_every_form(table: dict, form: str, order: random.Random) -> None:
    rows = order.sample(list(table.items()), len(table))
    if not any(cost for _, cost in table.values()):
        return  # no cost at all is another case
    long = pd.DataFrame(
        [{"task_id": t, "query": q, "llm_id": x, "performance": p, "cost_usd": c} for (t, q, x), (p, c) in rows]
    )
    long = long[order.sample(list(long.columns), 5)]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        if form == "long":
            path = path / "any.csv"
            long.to_csv(path, index=order.random() < 0.5)
        else:
            ids = {pair: str(i) for i, pair in enumerate({(t, q) for t, q, _ in table})}
            queries = pd.DataFrame([{"query_id": i, "task_id": t, "query": q} for (t, q), i in ids.items()])
            keys = [ids[pair] for pair in zip(long["task_id"], long["query"], strict=True)]
            outcomes = long.drop(columns=["task_id", "query"]).assign(query_id=keys)
            for stem, frame in (("queries", queries), ("outcomes", outcomes)):
                if form == "parquet":
                    frame.to_parquet(path / f"{stem}.parquet", index=False)
                elif form == "csv":
                    frame.to_csv(path / f"{stem}.csv", index=False)
                else:
                    frame.to_json(path / f"{stem}.json", orient="records", double_precision=15)
        dataset = load(path)
    assert seen(dataset) == {key: pytest.approx(value, abs=1e-12) for key, value in table.items()}
    assert dataset.cost_kind == "published"
    assert set(dataset.queries["query_id"]) == {query_id(t, q) for t, q, _ in table}


def test_a_folder_with_everything(tmp_path: Path) -> None:
    users = [["user_id", "kind", "preference"], ["u", "preference", 0.5], ["v", "persona", ""]]
    choices = [["user_id", "query_id", "llm_id", "reward"], ["u", "1", "a", 0.25], ["v", "2", "b", ""]]
    tasks = [["task_id", "description", "metric"], ["sums", "Mine.", "mine"]]
    dataset = load(
        folder(tmp_path, outcomes=OUTCOMES, queries=QUERIES, llms=LLMS, users=users, tasks=tasks, interactions=choices)
    )
    assert seen(dataset) == EXPECTED
    assert dataset.llms["llm_id"].tolist() == ["b", "a"]
    assert dataset.tasks.iloc[0].tolist() == ["sums", "Mine.", "mine"]
    assert dataset.users["preference"].tolist()[0] == 0.5
    assert dataset.interactions["query_id"].tolist() == [query_id("sums", "1+1?"), query_id("sums", "2+2?")]
    assert noted(dataset, "1 of 4 (query, LLM) pairs have no outcome")


@pytest.mark.parametrize("form", ["csv", "parquet", "json", "long"])
def test_users_may_state_their_preference_in_words(tmp_path: Path, form: str) -> None:
    said = {"u": "balanced", "v": "Cost-First", "w": "0.25"}
    if form == "long":
        rows = [["q", x, p, 0.5, user, word] for user, word in said.items() for x, p in (("a", 1), ("b", 0))]
        dataset = load(write_csv(tmp_path / "x.csv", [*LONG, "user_id", "preference"], rows))
    else:
        folder(tmp_path, outcomes=OUTCOMES, queries=QUERIES)
        users = pd.DataFrame({"user_id": list(said), "kind": "preference", "preference": list(said.values())})
        path = tmp_path / f"users.{form}"
        {"csv": users.to_csv, "parquet": users.to_parquet}.get(form, lambda p, **_: users.to_json(p, orient="records"))(
            path, index=False
        )
        dataset = load(tmp_path)
    assert dict(zip(dataset.users["user_id"], dataset.users["preference"], strict=True)) == {
        "u": 0.5,
        "v": 0.2,
        "w": 0.25,
    }
    assert set(dataset.users["kind"]) == {"preference"}


def test_a_misspelt_preference_names_file_and_row(tmp_path: Path) -> None:
    users = [["user_id", "kind", "preference"], ["u", "preference", "balanced"], ["v", "preference", "balance"]]
    with pytest.raises(InputError, match=r"users\.csv.*'preference', row 2 has 'balance'"):
        load(folder(tmp_path, outcomes=OUTCOMES, queries=QUERIES, users=users))


def test_what_is_written_can_be_read_again(tmp_path: Path) -> None:
    users = [["user_id", "kind", "persona"], ["v", "persona", "A poet."]]
    choices = [["user_id", "query_id", "llm_id"], ["v", "2", "b"]]
    first = load(
        folder(tmp_path / "a", outcomes=OUTCOMES, queries=QUERIES, llms=LLMS, users=users, interactions=choices)
    )
    write_tables(first, tmp_path / "b")
    second = load(tmp_path / "b")
    for name, table in first.tables().items():
        pd.testing.assert_frame_equal(table, second.tables()[name])


@pytest.mark.parametrize(
    "tables",
    [
        {"outcomes": [["task_id", *LONG], *[[t, q, x, *v] for (t, q, x), v in EXPECTED.items()]]},
        {
            "outcomes": [LONG, *[[q, x, *v] for (_, q, x), v in EXPECTED.items()]],
            "queries": [["task_id", "query"], ["sums", "1+1?"], ["sums", "2+2?"]],
        },
    ],
)
def test_queries_may_be_joined_by_text(tmp_path: Path, tables: dict) -> None:
    assert seen(load(folder(tmp_path, **tables))) == EXPECTED


def test_ids_that_both_sets_count_from_one_do_not_clash(tmp_path: Path) -> None:
    folder(tmp_path / "train", outcomes=OUTCOMES, queries=QUERIES, llms=LLMS)
    other = [["query_id", "task_id", "query"], ["1", "sums", "3+3?"], ["2", "sums", "2+2?"]]
    folder(tmp_path / "test", outcomes=OUTCOMES, queries=other, llms=LLMS)
    loaded = load_source(data("tables", tmp_path / "train", test_path=str(tmp_path / "test")))
    assert loaded.test_query_ids == {query_id("sums", "3+3?"), query_id("sums", "2+2?")}
    assert set(loaded.dataset.queries["query"]) == {"1+1?", "2+2?", "3+3?"}
    assert noted(loaded.dataset, "1 train query also in the test set")


def test_rows_of_one_query_and_llm_are_averaged_and_counted(tmp_path: Path) -> None:
    dataset = load(write_csv(tmp_path / "x.csv", LONG, [["q", "a", 1, 1], ["q", "a", 0, 0.5], ["q", "b", 1, 1]]))
    assert seen(dataset) == {("default", "q", "a"): (0.5, 0.75), ("default", "q", "b"): (1, 1)}
    assert noted(dataset, "1 duplicate query")


def test_cost_is_computed_where_there_is_none(tmp_path: Path) -> None:
    rows = [["one two", "gpt-4-1106-preview", 1, "a b c", "", 5]]
    path = write_csv(
        tmp_path / "x.csv", ["query", "llm_id", "performance", "response", "cost_usd", "input_tokens"], rows
    )
    dataset = load(path)
    assert dataset.cost_kind == "computed"
    assert dataset.outcomes["cost_usd"].tolist() == [pytest.approx((5 * 10 + 3 * 30) / 1e6)]
    free = load(write_csv(tmp_path / "y.csv", LONG, [["q", "gpt-4-1106-preview", 1, 0]]))
    assert (free.cost_kind, free.outcomes["cost_usd"].tolist()) == ("none", [0.0])


def test_long_rows_per_user_give_users_and_choices(tmp_path: Path) -> None:
    head = [*LONG, "user_id", "preference", "chosen"]
    rows = [
        ["q", x, p, c, u, a, x == best]
        for u, a, best in (("u", 0.9, "a"), ("v", 0.1, "b"))
        for x, p, c in (("a", 1, 1), ("b", 0, 0))
    ]
    dataset = load(write_csv(tmp_path / "x.csv", head, rows))
    assert seen(dataset) == {("default", "q", "a"): (1, 1), ("default", "q", "b"): (0, 0)}
    assert dataset.users[["user_id", "kind", "preference"]].to_numpy().tolist() == [
        ["u", "preference", 0.9],
        ["v", "preference", 0.1],
    ]
    assert dataset.interactions[["user_id", "llm_id"]].to_numpy().tolist() == [["u", "a"], ["v", "b"]]
    assert not noted(dataset, "duplicate")


def test_one_user_with_one_row_has_chosen_it(tmp_path: Path) -> None:
    dataset = load(write_csv(tmp_path / "x.csv", [*LONG, "user_id", "reward"], [["q", "a", 1, 1, "u", 0.5]]))
    assert dataset.interactions[["user_id", "llm_id", "reward"]].to_numpy().tolist() == [["u", "a", 0.5]]
    assert dataset.users["kind"].tolist() == ["persona"]


def test_several_rows_per_user_need_a_choice_or_a_preference(tmp_path: Path) -> None:
    rows = [["q", "a", 1, 1, "u"], ["q", "b", 1, 1, "u"]]
    with pytest.raises(InputError, match=r"x\.csv: expected a column 'chosen'"):
        load(write_csv(tmp_path / "x.csv", [*LONG, "user_id"], rows))
    dataset = load(write_csv(tmp_path / "y.csv", [*LONG, "user_id", "preference"], [[*row, 0.5] for row in rows]))
    assert (len(dataset.users), len(dataset.interactions)) == (1, 0)


def test_answers_that_failed_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [["q", "a", 1, 1, ""], ["q", "b", "", "", "timeout"]]
    dataset = load(write_csv(tmp_path / "x.csv", [*LONG, "error"], rows))
    assert noted(dataset, "1 outcome without a performance dropped")
    assert noted(dataset, "1 LLM without any outcome dropped: b")


def test_tables_without_any_performance_are_kept_for_a_judge(tmp_path: Path) -> None:
    rows = [["q", "a", "", 1, "hi"], ["q", "b", "", 2, "ho"]]
    dataset = load(write_csv(tmp_path / "x.csv", [*LONG, "response"], rows))
    assert dataset.outcomes["performance"].isna().all()
    assert len(dataset.outcomes) == 2


@pytest.mark.parametrize(
    ("column", "value"),
    [("performance", "1.2"), ("performance", "good"), ("cost_usd", "-1"), ("cost_usd", "inf"), ("cost_usd", ""),
     ("llm_id", ""), ("query", " "), ("preference", "3"), ("preference", "0.6"), ("chosen", "perhaps"),
     ("user_id", "")],
)  # fmt: skip
def test_a_bad_cell_of_a_long_table_names_file_row_and_column(tmp_path: Path, column: str, value: str) -> None:
    head = [*LONG, "user_id", "preference", "chosen"]
    rows = [["q", "a", "1", "1", "u", "0.5", "1"], ["q", "b", "1", "1", "u", "0.5", "0"]]
    rows[1][head.index(column)] = value
    with pytest.raises(InputError, match=rf"bad\.csv.*'{column}'.*row 2"):
        load(write_csv(tmp_path / "bad.csv", head, rows))


@pytest.mark.parametrize(
    ("table", "row", "match"),
    [
        ("outcomes", ["3", "a", 1, 1], r"outcomes\.csv.*a query of queries\.csv.*'query_id', row 4 has '3'"),
        ("outcomes", ["1", "c", 1, 1], r"outcomes\.csv.*an LLM of llms\.csv.*'llm_id', row 4 has 'c'"),
        ("outcomes", ["1", "a", 1, ""], r"outcomes\.csv.*'cost_usd', row 4"),
        ("queries", ["1", "sums", "x"], r"queries\.csv.*each id once.*'query_id', row 3"),
        ("queries", ["9", "sums", " "], r"queries\.csv.*'query', row 3"),
        ("llms", ["a", "x"], r"llms\.csv.*each id once.*'llm_id', row 3"),
        ("users", ["u", "preference", 0.5], r"users\.csv.*each id once.*'user_id', row 2"),
        ("interactions", ["w", "1", "a"], r"interactions\.csv.*a user of users\.csv.*'user_id', row 2 has 'w'"),
        ("interactions", ["u", "7", "a"], r"interactions\.csv.*'query_id', row 2 has '7'"),
        ("interactions", ["u", "1", "z"], r"interactions\.csv.*'llm_id', row 2 has 'z'"),
        ("interactions", ["u", "1"], r"interactions\.csv.*expected 3 fields in every row, row 2 has 2"),
    ],
)
def test_a_bad_row_of_a_folder_names_file_row_and_column(tmp_path: Path, table: str, row: list, match: str) -> None:
    tables: dict[str, list] = {
        "outcomes": OUTCOMES,
        "queries": QUERIES,
        "llms": LLMS,
        "users": [["user_id", "kind", "preference"], ["u", "preference", 0.5]],
        "interactions": [["user_id", "query_id", "llm_id"], ["u", "1", "a"]],
    }
    tables[table] = [*tables[table], row]
    with pytest.raises(InputError, match=match):
        load(folder(tmp_path, **tables))


def test_unknown_and_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown column 'cost' \(did you mean 'cost_usd'\?\)"):
        load(write_csv(tmp_path / "x.csv", ["query", "llm_id", "performance", "cost"], [list("qa11")]))
    with pytest.raises(InputError, match=r"y\.csv: expected a column 'performance'"):
        load(write_csv(tmp_path / "y.csv", ["query", "llm_id"], [["q", "a"]]))
    with pytest.raises(InputError, match=r"'user_id' beside 'chosen'"):
        load(write_csv(tmp_path / "z.csv", [*LONG, "chosen"], [["q", "a", 1, 1, 1]]))


def test_tasks_that_are_listed_must_cover_the_queries(tmp_path: Path) -> None:
    tasks = [["task_id", "description"], ["other", "x"]]
    with pytest.raises(InputError, match=r"queries\.csv: expected tasks of tasks\.csv.*'sums'"):
        load(folder(tmp_path, outcomes=OUTCOMES, queries=QUERIES, tasks=tasks))


def test_queries_and_interactions_without_outcomes_are_dropped_and_counted(tmp_path: Path) -> None:
    users = [["user_id", "kind"], ["u", "persona"]]
    choices = [["user_id", "query_id", "llm_id"], ["u", "3", "a"], ["u", "1", "a"]]
    queries = [*QUERIES, ["3", "sums", "3+3?"]]
    dataset = load(folder(tmp_path, outcomes=OUTCOMES, queries=queries, users=users, interactions=choices))
    assert noted(dataset, "1 query without any outcome dropped")
    assert noted(dataset, "1 interaction with a dropped query or LLM dropped")
    assert len(dataset.interactions) == 1


def test_a_folder_without_outcomes_says_what_is_there(tmp_path: Path) -> None:
    write_json(tmp_path / "answers.json", [])
    with pytest.raises(InputError, match=r"expected a table 'outcomes'.*got answers\.json"):
        load(tmp_path)


def test_a_damaged_parquet_is_an_input_error(tmp_path: Path) -> None:
    first = load(folder(tmp_path / "a", outcomes=OUTCOMES, queries=QUERIES, llms=LLMS))
    write_tables(dataclasses.replace(first), tmp_path / "b")
    file = tmp_path / "b" / "outcomes.parquet"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"outcomes\.parquet"):
        load(tmp_path / "b")


def test_every_column_of_the_contract_is_accepted_in_long_form() -> None:
    from data_processing.importers.long_table import KNOWN

    assert set(COLUMNS["outcomes"]) - {"query_id"} <= set(KNOWN)
