import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.cost import count_tokens
from data_processing.importers import load_source
from data_processing.tables import Dataset
from tests.data_processing.importers.helpers import NAMES, SENTENCES, UNITS, data, noted, real, seen, write_json

LLMS = {
    "a-7b": {"feature": "Good at sums. Priced at $0.20 per million tokens.", "input_price": 0.2, "output_price": 0.2,
             "model": "maker/a-7b", "size": "7B"},
    "b-70b": {"feature": "Large. It costs $0.30 per million.", "input_price": 0.9, "output_price": 0.9,
              "model": "other/b-70b"},
    "idle": {"feature": "Never asked.", "input_price": 1, "output_price": 1, "model": "x/idle"},
}  # fmt: skip


def load(path: Path, **fields: object) -> Dataset:
    return load_source(data("llmrouter", path, **fields)).dataset


def write(folder: Path, table: dict, tasks: list[tuple[str, str]], llms: dict | None = None) -> Path:
    write_json(folder / "s.json", [{"question": q, "scores": s, "cluster_id": 0} for q, s in table.items()])
    if llms is not None:
        write_json(folder / "l.json", llms)
    lines = [
        {"task_name": t, "query": q, "ground_truth": f"gt {q}", "metric": "em", "choices": None, "task_id": None}
        for q, t in tasks
    ]
    if lines:
        (folder / "q.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return folder


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True).flatmap(
        lambda llms: st.dictionaries(
            SENTENCES,
            st.tuples(st.sampled_from(["mmlu", "gsm8k"]), st.fixed_dictionaries(dict.fromkeys(llms, UNITS))),
            min_size=1,
            max_size=5,
        )
    ),
    st.randoms(use_true_random=False),
)
def test_every_score_lands_under_its_name_with_its_price(table: dict, order: random.Random) -> None:
    used = list(next(iter(table.values()))[1])
    prices = {
        x: {"feature": x, "input_price": i + 1, "output_price": 2 * i + 1, "model": x} for i, x in enumerate(used)
    }
    shuffled = {q: dict(order.sample(list(s.items()), len(s))) for q, (_, s) in table.items()}
    tasks = order.sample([(q, t) for q, (t, _) in table.items()], len(table))
    with tempfile.TemporaryDirectory() as folder:
        dataset = load(write(Path(folder), shuffled, tasks, prices), output_tokens=7)
    tokens = dict(zip(table, count_tokens(list(table)), strict=True))
    expected = {(task, q, x): p for q, (task, scores) in table.items() for x, p in scores.items()}
    got = seen(dataset)
    assert {key: value[0] for key, value in got.items()} == expected
    for (_, q, x), (_, cost) in got.items():
        price = prices[x]
        assert cost == pytest.approx((tokens[q] * price["input_price"] + 7 * price["output_price"]) / 1e6, rel=1e-12)
    assert set(dataset.queries["ground_truth"]) == {f"gt {q}" for q in table}


def test_prices_leave_the_text_and_the_field_wins(tmp_path: Path) -> None:
    dataset = load(write(tmp_path, {"q": {"b-70b": 1, "a-7b": 0}}, [("q", "mmlu")], LLMS))
    llms = dataset.llms.set_index("llm_id")
    assert llms["description"].to_dict() == {"a-7b": "Good at sums.", "b-70b": "Large."}
    assert llms["family"].to_dict() == {"a-7b": "maker", "b-70b": "other"}
    assert llms.loc["b-70b", "input_price_usd_per_mtok"] == 0.9
    assert noted(dataset, "1 LLM with another price in the description than in the price field of l.json")
    assert noted(dataset, "1 described LLM without scores not used: idle")


def test_a_text_under_two_tasks_keeps_the_first_and_is_counted(tmp_path: Path) -> None:
    tasks = [("q", "mmlu"), ("q", "gsm8k"), ("r", "mmlu"), ("r", "mmlu")]
    dataset = load(write(tmp_path, {"q": {"a-7b": 1}, "r": {"a-7b": 1}}, tasks, LLMS))
    assert set(dataset.queries["task_id"]) == {"mmlu"}
    assert noted(dataset, "2 repeated texts in the list of queries, 1 of them under two tasks: the first task is kept")


def test_a_test_set_without_descriptions_uses_those_of_train(tmp_path: Path) -> None:
    write(
        tmp_path / "train",
        {"q": {"a-7b": 1, "b-70b": 0}, "r": {"a-7b": 1, "b-70b": 0}},
        [("q", "mmlu"), ("r", "gsm8k")],
        LLMS,
    )
    write(tmp_path / "test", {"q": {"b-70b": 0.5, "a-7b": 0}, "new": {"a-7b": 1, "b-70b": 1}}, [])
    loaded = load_source(data("llmrouter", tmp_path / "train", test_path=str(tmp_path / "test" / "s.json")))
    queries = loaded.dataset.queries.set_index("query")
    assert queries["task_id"].to_dict() == {"r": "gsm8k", "q": "mmlu", "new": "unknown"}
    assert loaded.test_query_ids == {queries.loc["q", "query_id"], queries.loc["new", "query_id"]}
    assert noted(loaded.dataset, "test set: 1 query without a task name: task 'unknown'")
    assert noted(loaded.dataset, "1 train query also in the test set removed from train")
    assert loaded.dataset.cost_kind == "computed"


def test_an_llm_without_a_price_is_named_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'new-llm'.*l\.json"):
        load(write(tmp_path, {"q": {"a-7b": 1, "new-llm": 0}}, [], LLMS))


def test_the_users_own_file_wins(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "llms:\n- {llm_id: a-7b, description: Mine., input_price_usd_per_mtok: 5, output_price_usd_per_mtok: 6}\n"
    )
    dataset = load(write(tmp_path / "d", {"q": {"a-7b": 1}}, [], LLMS), llms_file=str(own))
    assert dataset.llms[["description", "output_price_usd_per_mtok"]].iloc[0].tolist() == ["Mine.", 6.0]


@pytest.mark.parametrize("price", [-1, "free", True, float("nan")])
def test_a_bad_price_names_file_and_llm(tmp_path: Path, price: object) -> None:
    llms = {"a-7b": {**LLMS["a-7b"], "input_price": price}}
    with pytest.raises(InputError, match=r"l\.json.*'a-7b', 'input_price'"):
        load(write(tmp_path, {"q": {"a-7b": 1}}, [], llms))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, {"q": {"a-7b": 1}}, [("q", "mmlu")], LLMS)
    with (folder / "q.jsonl").open("a") as file:
        file.write('{"task_name": "mm')
    with pytest.raises(InputError, match=r"q\.jsonl.*line 2"):
        load(folder)


def test_a_line_without_task_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path, {"q": {"a-7b": 1}}, [("q", "mmlu"), ("r", "")], LLMS)
    with pytest.raises(InputError, match=r"q\.jsonl.*'task_name', line 2"):
        load(folder)


def test_a_folder_without_scores_says_what_is_there(tmp_path: Path) -> None:
    write_json(tmp_path / "l.json", LLMS)
    with pytest.raises(InputError, match=r"'question' and 'scores', got l\.json"):
        load(tmp_path)


def test_published_set() -> None:
    path = real("llmrouter")
    dataset = load(path)
    assert (len(dataset.queries), len(dataset.llms), len(dataset.tasks)) == (5608, 9, 14)
    assert (dataset.tasks["description"] != "").all()
    assert not dataset.llms["description"].str.contains(r"\$|per million", regex=True).any()
    assert (dataset.llms["description"] != "").all()
    assert noted(dataset, "6 of them under two tasks")
    raw = json.loads((path / "train.json").read_text(encoding="utf-8"))
    mine = dataset.outcomes.groupby("llm_id")["performance"].mean()
    for llm_id in raw[0]["scores"]:
        assert mine[llm_id] == pytest.approx(sum(r["scores"][llm_id] for r in raw) / len(raw))
    cost = dataset.outcomes.groupby("llm_id")["cost_usd"].mean()
    assert cost["llama3-chatqa-1.5-70b"] / cost["gemma-2-9b-it"] == pytest.approx(9.0)
