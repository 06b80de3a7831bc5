"""The answer key: questions of others, found by text, answered as well as the profile's skill says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from data_processing.scoring import score
from data_processing.simulated.answer_key import AnswerKey
from data_processing.simulated.llm import SimulatedLLM
from data_processing.simulated.profiles import PROFILES

SUBJECTS = {
    "cooking": "the cook baked a cake with eggs, butter and flour in the oven",
    "finance": "the bank lent money, and the loan cost many dollars in interest",
    "sport": "the team won the football match and the coach praised the players",
}


def problem(subject: str, number: int) -> dict[str, str]:
    total = 3 * number + 4
    query = f"On day {number} {SUBJECTS[subject]}. There were 3 groups of {number} and then 4 more. How many in all?"
    truth = f"There are 3*{number}=<<3*{number}={3 * number}>>{3 * number} at first.\nThen {3 * number}+4=" + (
        f"<<{3 * number}+4={total}>>{total} in all.\n#### {total:,}"
    )
    return {"task_id": "gsm", "query": query, "ground_truth": truth, "metric": "gsm8k"}


def passage(subject: str, number: int) -> dict[str, str]:
    name = f"Keller {('Smith', 'Jones', 'Brown', 'Green', 'White')[number % 5]}"
    query = f"Who came first in year {1900 + number}?\n\nIn that year {SUBJECTS[subject]}. {name} came before Ada Ruiz."
    return {"task_id": "squad", "query": query, "ground_truth": name, "metric": "f1_score"}


def choice(subject: str, number: int) -> dict[str, str]:
    query = f"In story {number} {SUBJECTS[subject]}. What is meant?\nA. rain\nB. sun\nC. snow\nD. wind\nE. fog"
    return {"task_id": "mmlu", "query": query, "ground_truth": "ABCDE"[number % 5], "metric": "multiple_choice"}


def article(subject: str, number: int) -> dict[str, str]:
    filler = " ".join(
        f"Sentence {i} of story {number} tells at some length what happened before noon." for i in range(15)
    )
    truth = f"In town {number} {SUBJECTS[subject]}. People were glad of it. The mayor, however, said nothing at all."
    return {"task_id": "news", "query": f"Summarise. {filler} {truth}", "ground_truth": truth, "metric": "rouge_l"}


MAKERS = (problem, passage, choice, article)
ROWS = [make(subject, number) for make in MAKERS for subject in SUBJECTS for number in range(1, 41)]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> AnswerKey:
    path = tmp_path_factory.mktemp("key") / "key.parquet"
    pd.DataFrame(ROWS).to_parquet(path)
    return AnswerKey.of(path)


@pytest.fixture(scope="module")
def results(key: AnswerKey) -> pd.DataFrame:
    llm = SimulatedLLM(PROFILES, key)
    rows = []
    for row in ROWS:
        subject = next(name for name, text in SUBJECTS.items() if text in row["query"])
        for profile in PROFILES:
            said = llm.complete(profile.llm_id, row["query"], seed=0).text
            rows.append(
                (row["task_id"], row["query"], subject, profile.llm_id, said, row["metric"], row["ground_truth"])
            )
    table = pd.DataFrame(rows, columns=["task", "query", "subject", "llm", "said", "metric", "truth"])
    table["performance"] = [score(*row) for row in table[["metric", "said", "truth"]].to_numpy()]
    return table


def test_every_kind_is_answered_right_and_wrong(results: pd.DataFrame) -> None:
    assert not results["said"].str.contains("I am a simulated").any()
    means = results.groupby("task")["performance"].mean()
    assert means.between(0.3, 0.9).all()
    for task in ("gsm", "mmlu"):
        assert set(results.loc[results["task"] == task, "performance"]) == {0.0, 1.0}
    assert results.loc[results["task"].isin(["squad", "news"]), "performance"].nunique() > 20


def test_there_is_something_to_learn(results: pd.DataFrame) -> None:
    by_llm = results.pivot_table(index="query", columns="llm", values="performance")
    single, oracle = by_llm.mean().max(), by_llm.max(axis=1).mean()
    cells = results.groupby(["task", "subject", "llm"])["performance"].mean().unstack()
    assert oracle > single + 0.1
    assert cells.max(axis=1).mean() > single + 0.04
    assert cells.idxmax(axis=1).nunique() >= 3


def test_the_subject_matters_to_those_who_have_one(results: pd.DataFrame) -> None:
    mean = results.groupby(["llm", "subject"])["performance"].mean()
    assert mean["olive-34b-chat", "cooking"] > mean["olive-34b-chat", "finance"] + 0.15
    assert mean["abacus-7b-math", "finance"] > mean["abacus-7b-math", "sport"] + 0.1


def test_white_space_does_not_matter(key: AnswerKey) -> None:
    llm = SimulatedLLM(PROFILES, key)
    query = ROWS[50]["query"]
    exact = llm.complete("quill-pro", query, seed=0)
    other = llm.complete("quill-pro", "\r\n " + query.replace("\n", "\r\n") + " \n", seed=0)
    assert (other.text, other.output_tokens) == (exact.text, exact.output_tokens)
    assert len(key) == len(ROWS)
    assert key.read("What else?") is None


def test_wrong_numbers_are_wrong_and_told_as_firmly(results: pd.DataFrame) -> None:
    said = results[(results["task"] == "gsm") & (results["llm"] == "abacus-7b-math")]
    assert said["said"].str.contains("####").all()
    assert 0.2 < said["performance"].mean() < 0.95


def test_odd_truths(tmp_path: Path) -> None:
    rows = [
        {"query": "yes or no?", "ground_truth": "no", "metric": "exact_match"},
        {"query": "pick", "ground_truth": "a red hat", "metric": "multiple_choice"},
        {"query": "a third of it?", "ground_truth": "#### -0.125", "metric": "gsm8k"},
        {
            "query": "list",
            "ground_truth": "1. one thing\n2. another thing\n3. a third thing of them all",
            "metric": "bert",
        },
    ]
    key = _written(rows, tmp_path / "key.csv")
    llm = SimulatedLLM(PROFILES, key)
    for row in rows[:3]:
        said = [llm.complete(profile.llm_id, row["query"], seed=seed).text for profile in PROFILES for seed in range(4)]
        marks = {score(row["metric"], text, row["ground_truth"]) for text in said}
        assert marks == {0.0, 1.0}, row
    assert llm.complete("titan-ultra", "list", seed=0).text


def test_unusable_rows_are_not_in_the_key(tmp_path: Path) -> None:
    rows = [
        {"query": "a", "ground_truth": "", "metric": "f1_score"},
        {"query": "b", "ground_truth": "no number", "metric": "gsm8k"},
        {"query": "c", "ground_truth": "assert f(1) == 2", "metric": "code"},
        {"query": "d", "ground_truth": "fine", "metric": "f1_score"},
    ]
    key = _written(rows, tmp_path / "key.jsonl")
    assert [key.read(row["query"]) is None for row in rows] == [True, True, True, False]


def test_a_folder_of_tables_is_a_key(tmp_path: Path) -> None:
    pd.DataFrame({"task_id": ["t"], "description": ["x"], "metric": ["f1_score"]}).to_parquet(
        tmp_path / "tasks.parquet"
    )
    queries = {"query_id": ["1"], "task_id": ["t"], "query": ["why?"], "ground_truth": ["thus"], "choices": [""]}
    pd.DataFrame(queries).to_parquet(tmp_path / "queries.parquet")
    assert len(AnswerKey.of(tmp_path)) == 1
    (tmp_path / "tasks.parquet").unlink()
    with pytest.raises(InputError, match="expected a table 'tasks' in an answer key, found none"):
        AnswerKey.of(tmp_path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key.csv"
    pd.DataFrame({"query": ["a"], "answer": ["b"]}).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"key\.csv: expected the columns .* got query, answer; add 'ground_truth'"):
        AnswerKey.of(path)


def _written(rows: list[dict[str, str]], path: Path) -> AnswerKey:
    table = pd.DataFrame(rows)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_json(path, orient="records", lines=True)
    return AnswerKey.of(path)
