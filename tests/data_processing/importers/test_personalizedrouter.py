import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.importers import load_source
from data_processing.tables import Dataset
from tests.data_processing.importers.helpers import (
    SENTENCES,
    UNITS,
    data,
    noted,
    real,
    responses,
    seen,
    write_csv,
    write_json,
)

V1 = ["user_id", "performance_preference", "task_id", "query", "query_embedding", "ground_truth", "metric", "llm",
      "effect", "cost", "task_description", "task_description_embedding", "response", "reward", "best_llm"]  # fmt: skip
V2 = [name for name in V1 if name not in ("performance_preference", "best_llm", "reward")] + ["best_answer"]
LLMS = ("LLaMA-3 (8b)", "Mixtral-8x7B", "Qwen-2 (72b)")
ALPHAS = {"1": 0.2, "2": 0.6, "3": 1.0}


def load(path: Path, **fields: object) -> Dataset:
    return load_source(data("personalizedrouter", path, **fields)).dataset


def cell(user: str, query: str, llm: str, effect: object, cost: object, task: str = "SQUAD") -> dict:
    alpha = ALPHAS.get(user, 0.5)
    numeric = isinstance(effect, float) and isinstance(cost, float)
    return {
        "user_id": user, "performance_preference": alpha, "task_id": task, "query": query, "llm": llm,
        "metric": "f1_score",
        "query_embedding": "[[ 0.1 -0.2\n 0.3]]", "ground_truth": f"gt {query}", "effect": effect, "cost": cost,
        "task_description": f"about {task}", "task_description_embedding": "[[nan]]", "response": f"{llm} on {query}",
        "reward": alpha * effect - (1 - alpha) * cost if numeric else 0.0,
    }  # fmt: skip


def best(rows: list[dict]) -> list[dict]:
    """Add the index of the best LLM of each user and query, as the authors do."""
    order = list(dict.fromkeys(row["llm"] for row in rows))
    for row in rows:
        group = [r for r in rows if (r["user_id"], r["query"]) == (row["user_id"], row["query"])]
        row["best_llm"] = order.index(max(group, key=lambda r: r["reward"])["llm"])
    return rows


def write(path: Path, rows: list[dict], header: list[str] = V1) -> Path:
    return write_csv(path, header, [[row[name] for name in header] for row in rows])


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(
        SENTENCES, st.fixed_dictionaries({x: st.tuples(UNITS, UNITS) for x in LLMS}), min_size=1, max_size=4
    ),
    st.randoms(use_true_random=False),
)
def test_v1_outcomes_users_and_choices_land_under_their_names(table: dict, order: random.Random) -> None:
    rows = [cell(u, q, x, *table[q][x]) for u in ALPHAS for q in table for x in LLMS]
    order.shuffle(rows)
    header = order.sample(V1, len(V1))
    with tempfile.TemporaryDirectory() as folder:
        dataset = load(write(Path(folder) / "u.csv", best(rows), header))
    assert seen(dataset) == {("SQUAD", q, x): pytest.approx(table[q][x]) for q in table for x in LLMS}
    assert all(answer == f"{x} on {q}" for (q, x), answer in responses(dataset).items())
    assert dict(zip(dataset.users["user_id"], dataset.users["preference"], strict=True)) == ALPHAS
    assert dataset.cost_kind == "relative"
    text = dataset.queries.set_index("query_id")["query"]
    assert len(dataset.interactions) == len(ALPHAS) * len(table)
    for row in dataset.interactions.itertuples():
        alpha = ALPHAS[row.user_id]
        rewards = {x: alpha * p - (1 - alpha) * c for x, (p, c) in table[text[row.query_id]].items()}
        assert row.reward == pytest.approx(max(rewards.values()))
        assert rewards[row.llm_id] == pytest.approx(max(rewards.values()))
    assert not noted(dataset, "not the LLM with the highest reward")


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["1", "2"]), SENTENCES), st.sampled_from([*LLMS, ""]), min_size=1, max_size=6
    ),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_v2_flags_are_the_choices_of_personas(choices: dict, scored: bool, order: random.Random) -> None:
    rows = [
        cell(u, q, x, 0.5 if scored else "", 0.25 if scored else "") | {"best_answer": int(x == chosen)}
        for (u, q), chosen in choices.items()
        for x in LLMS
    ]
    order.shuffle(rows)
    if not any(choices.values()):  # all 0: read as the index of the first LLM, as nothing says otherwise
        return
    with tempfile.TemporaryDirectory() as folder:
        dataset = load(write(Path(folder) / "u.csv", rows, order.sample(V2, len(V2))))
    text = dataset.queries.set_index("query_id")["query"]
    found = {(row.user_id, text[row.query_id]): row.llm_id for row in dataset.interactions.itertuples()}
    assert found == {key: chosen for key, chosen in choices.items() if chosen}
    none = sum(not chosen for chosen in choices.values())
    assert noted(dataset, "without a chosen answer not used") == (none > 0)
    assert set(dataset.users["kind"]) == {"persona"}
    assert dataset.interactions["reward"].isna().all()
    expected = (0.5, 0.25) if scored else (pytest.approx(np.nan, nan_ok=True), 0.0)
    assert all(value == expected for value in seen(dataset).values())
    assert dataset.cost_kind == ("relative" if scored else "none")


def test_v2_best_answer_may_be_an_index_or_a_name(tmp_path: Path) -> None:
    rows = [cell("7", q, x, 0.5, 0.5) | {"best_answer": best} for q, best in (("q", 2), ("r", LLMS[1])) for x in LLMS]
    dataset = load(write(tmp_path / "u.csv", rows, V2))
    assert dataset.interactions["llm_id"].tolist() == [LLMS[2], LLMS[1]]


def test_a_query_asked_twice_is_averaged_and_its_first_choice_kept(tmp_path: Path) -> None:
    first = best([cell("1", "q", x, p, 0.5) for x, p in zip(LLMS, (1.0, 0.0, 0.0), strict=True)])
    again = best([cell("1", "q", x, p, 0.0) for x, p in zip(LLMS, (0.0, 0.0, 1.0), strict=True)])
    dataset = load(write(tmp_path / "u.csv", first + again))
    assert seen(dataset)["SQUAD", "q", LLMS[2]] == (0.5, 0.25)
    assert dataset.interactions["llm_id"].tolist() == [LLMS[0]]
    assert noted(dataset, "1 duplicate query")
    assert noted(dataset, "1 choice on a query the user had chosen for before not used")


def test_files_by_user_are_one_set_without_duplicates(tmp_path: Path) -> None:
    for user in ALPHAS:
        write(tmp_path / f"{user}.csv", best([cell(user, "q", x, 0.5, 0.5) for x in LLMS]))
    dataset = load(tmp_path)
    assert (len(dataset.users), len(dataset.outcomes), len(dataset.interactions)) == (3, 3, 3)
    assert not noted(dataset, "duplicate")


def test_disagreements_with_the_reward_and_between_users_are_counted(tmp_path: Path) -> None:
    rows = best([cell(u, "q", x, p, 0.0) for u in ("1", "2") for x, p in zip(LLMS, (1.0, 0.0, 0.0), strict=True)])
    rows = [row | {"best_llm": 1} if row["user_id"] == "2" else row for row in rows]
    rows[0]["effect"] = 0.5
    dataset = load(write(tmp_path / "u.csv", rows))
    assert noted(dataset, "1 of 2 published choices (best_llm) are not the LLM with the highest reward")
    assert noted(dataset, "1 answer with other numbers for another user: averaged")
    assert dataset.interactions["reward"].tolist() == [0.2, 0.0]


def test_the_descriptions_that_fit_are_taken_without_prices(tmp_path: Path) -> None:
    fields = {"input_price": 0.9, "output_price": 0.9, "model": "together_ai/meta-llama/x"}
    text = "A small model.\nIts cost is higher at 0.8 per million\ntokens, for its size."
    write_json(
        tmp_path / "LLM_Descriptions_v1.json", {"Other": {"feature": "Wrong.", **fields}, LLMS[0]: {"feature": "-"}}
    )
    write_json(tmp_path / "LLM_Descriptions_v2.json", {x: {"feature": text, **fields} for x in LLMS})
    dataset = load(write(tmp_path / "u.csv", best([cell("1", "q", x, 0.5, 0.5) for x in LLMS])))
    assert set(dataset.llms["description"]) == {"A small model."}
    assert set(dataset.llms["family"]) == {"meta-llama"}
    assert set(dataset.llms["input_price_usd_per_mtok"]) == {0.9}
    assert noted(dataset, "3 LLMs with another price in the description")
    assert dataset.cost_kind == "relative"


@pytest.mark.parametrize(
    ("column", "value"),
    [("effect", "nan"), ("effect", "1.2"), ("effect", ""), ("cost", "inf"), ("cost", "-0.5"), ("reward", "x"),
     ("user_id", ""), ("query", " "), ("best_llm", "9"), ("best_llm", "GPT"), ("performance_preference", "2")],
)  # fmt: skip
def test_a_bad_cell_names_file_row_and_column(tmp_path: Path, column: str, value: str) -> None:
    rows = best([cell("1", q, x, 0.5, 0.5) for q in "qr" for x in LLMS])
    for row in rows[3:] if column == "best_llm" else rows[3:4]:
        row[column] = value
    with pytest.raises(InputError, match=rf"u\.csv.*row 4|u\.csv: row 4.*{column}") as err:
        load(write(tmp_path / "u.csv", rows))
    assert repr(column) in str(err.value)


def test_a_user_with_two_preferences_is_refused(tmp_path: Path) -> None:
    rows = best([cell("1", q, x, 0.5, 0.5) for q in "qr" for x in LLMS])
    rows[4]["performance_preference"] = 0.9
    with pytest.raises(InputError, match=r"row 5.*performance_preference.*0\.9.*user '1'"):
        load(write(tmp_path / "u.csv", rows))


def test_two_chosen_answers_are_refused(tmp_path: Path) -> None:
    rows = [cell("1", "q", x, 0.5, 0.5) | {"best_answer": flag} for x, flag in zip(LLMS, (1, 0, 1), strict=True)]
    with pytest.raises(InputError, match=r"u\.csv: row 3"):
        load(write(tmp_path / "u.csv", rows, V2))


def test_both_kinds_in_one_folder_are_refused(tmp_path: Path) -> None:
    rows = best([cell("1", "q", x, 0.5, 0.5) | {"best_answer": 0} for x in LLMS])
    write(tmp_path / "a.csv", rows)
    write(tmp_path / "b.csv", rows, V2)
    with pytest.raises(InputError, match=r"v1 and v2: a\.csv, b\.csv"):
        load(tmp_path)


def test_questions_alone_have_no_outcomes(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "unified_qa_data.csv",
        ["task_id", "query", "ground_truth", "metric", "task_description"],
        [list("abcde")],
    )
    with pytest.raises(InputError, match="questions but no outcomes yet"):
        load(tmp_path)


def test_test_users_must_be_the_same(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", best([cell("1", "q", x, 0.5, 0.5) for x in LLMS]))
    rows = [row | {"performance_preference": 0.3} for row in best([cell("1", "r", x, 0.5, 0.5) for x in LLMS])]
    test = write(tmp_path / "test" / "test.csv", rows)
    with pytest.raises(InputError, match=r"user '1' with the same preference"):
        load_source(data("personalizedrouter", tmp_path / "train.csv", test_path=str(test)))


def test_the_published_folder_has_questions_only() -> None:
    with pytest.raises(InputError, match=r"unified_qa_data\.csv, which has questions but no outcomes yet"):
        load(real("personalizedrouter"))


def test_published_descriptions_quote_no_price(tmp_path: Path) -> None:
    folder = real("personalizedrouter")
    names = ("LLaMA-3 (8b)", "Mixtral-8x7B", "NousResearch")
    rows = best([cell("1", "q", x, 0.5, 0.5) for x in names])
    path = write(tmp_path / "u.csv", rows)
    (tmp_path / "LLM_Descriptions_v1.json").write_bytes((folder / "LLM_Descriptions_v1.json").read_bytes())
    described = load(path)
    assert not described.llms["description"].str.contains(r"per million|\d\.\d", regex=True).any()
    assert (described.llms["description"] != "").all()
    assert noted(described, "1 LLM with another price in the description")
    assert noted(described, "NousResearch")
