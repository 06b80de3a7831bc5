import json
import random
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.importers import load_source
from data_processing.importers.routerdc import known_metric, metric_of
from data_processing.tables import Dataset
from tests.data_processing.importers.helpers import NAMES, SENTENCES, UNITS, data, noted, real, seen, write_json

PRICED = "llms:\n- {llm_id: a, input_price_usd_per_mtok: 2.0, output_price_usd_per_mtok: 4.0}\n"


def load(path: Path, **fields: object) -> Dataset:
    return load_source(data("routerdc", path, **fields)).dataset


def record(question: str, **scores: object) -> dict:
    return {"question": question, "scores": scores, "cluster_id": 3}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True).flatmap(
        lambda llms: st.dictionaries(
            SENTENCES, st.fixed_dictionaries(dict.fromkeys(llms, UNITS)), min_size=1, max_size=5
        )
    ),
    st.randoms(use_true_random=False),
)
def test_every_score_lands_under_its_name(table: dict, order: random.Random) -> None:
    records = [
        {"cluster_id": 0, "scores": dict(order.sample(list(scores.items()), len(scores))), "question": text}
        for text, scores in table.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "none.yaml"
        config.write_text("llms:" + "".join(f"\n- {{llm_id: {x}}}" for x in NAMES))  # no prices, so no cost
        dataset = load(write_json(Path(folder) / "GSM8K-train.json", records), llms_file=str(config))
    assert seen(dataset) == {("gsm8k", text, x): (p, 0.0) for text, scores in table.items() for x, p in scores.items()}
    assert dataset.cost_kind == "none"


def test_train_and_test_files_of_one_set_meet_and_overlaps_leave_train(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "MMLU_train.json", [record("q1", a=1, b=0), record("q2", a=0.5, b=0)])
    write_json(tmp_path / "b" / "mmlu-test.json", [record(" q2\n", b=0.25, a=1), record("q3", a=0, b=0)])
    loaded = load_source(data("routerdc", tmp_path / "a", test_path=str(tmp_path / "b")))
    assert loaded.dataset.tasks["task_id"].tolist() == ["mmlu"]
    texts = dict(zip(loaded.dataset.queries["query_id"], loaded.dataset.queries["query"], strict=True))
    assert loaded.test_query_ids is not None
    assert sorted(texts[i] for i in loaded.test_query_ids) == [" q2\n", "q3"]
    assert sorted(texts.values()) == [" q2\n", "q1", "q3"]
    assert noted(loaded.dataset, "1 train query also in the test set removed from train")


def test_what_a_score_is_stands_in_the_metric(tmp_path: Path) -> None:
    for name in ("cmmlu_train", "gsm8k-train", "tenths_train", "odd_train"):
        write_json(tmp_path / f"{name}.json", [record("q", a=0.3), record("r", a=0.123 if name == "odd_train" else 1)])
    dataset = load(tmp_path)
    metrics = dict(zip(dataset.tasks["task_id"], dataset.tasks["metric"], strict=True))
    assert metrics == {
        "cmmlu": "probability",
        "gsm8k": "multi_attempt",
        "tenths": "multi_attempt",
        "odd": "probability",
    }
    assert noted(dataset, "scores of task 'odd' taken as probability")
    assert not noted(dataset, "'cmmlu'")


def test_scores_can_be_counted_as_the_paper_does(tmp_path: Path) -> None:
    rows = [record("q", a=0.3, b=0.0), record("r", a=None, b=1e-9)]
    for name in ("cmmlu_train", "gsm8k_train"):
        write_json(tmp_path / f"{name}.json", rows)
    dataset = load(tmp_path, scores="counted")
    table = dataset.outcomes.merge(dataset.queries, on="query_id").set_index(["task_id", "query", "llm_id"])
    performance = table["performance"].to_dict()
    assert performance["cmmlu", "q", "a"] == 1.0
    assert performance["cmmlu", "q", "b"] == 0.0
    assert performance["cmmlu", "r", "b"] == 1.0
    assert performance["gsm8k", "q", "a"] == 0.3
    assert ("cmmlu", "r", "a") not in performance, "not known is not wrong"
    metrics = dict(zip(dataset.tasks["task_id"], dataset.tasks["metric"], strict=True))
    assert metrics == {"cmmlu": "accuracy", "gsm8k": "multi_attempt"}


def test_prices_give_a_computed_cost(tmp_path: Path) -> None:
    prices = tmp_path / "mine.yaml"
    prices.write_text(PRICED)
    path = write_json(tmp_path / "d" / "t.json", [record("one two three", a=1)])
    dataset = load(path, llms_file=str(prices), output_tokens=10)
    assert dataset.cost_kind == "computed"
    assert dataset.outcomes["cost_usd"].tolist() == [(3 * 2 + 10 * 4) / 1e6]
    assert noted(dataset, "1 of 1 outcomes have no response and are taken as 10 tokens")


def test_prices_for_some_llms_only_are_refused(tmp_path: Path) -> None:
    prices = tmp_path / "mine.yaml"
    prices.write_text(PRICED)
    path = write_json(tmp_path / "d" / "t.json", [record("q", a=1, zz=0)])
    with pytest.raises(InputError, match=r"'zz'.*mine\.yaml"):
        load(path, llms_file=str(prices))


@pytest.mark.parametrize("score", [1.5, -0.1, "1", float("nan"), float("inf"), [1]])
def test_a_bad_score_names_file_row_and_llm(tmp_path: Path, score: object) -> None:
    path = write_json(tmp_path / "bad.json", [record("q", a=1), record("r", a=score)])
    with pytest.raises(InputError, match=r"bad\.json: row 2.*\[0, 1\].*'a'"):
        load(path)


@pytest.mark.parametrize(
    "bad", [{"question": "q"}, {"question": "", "scores": {"a": 1}}, {"question": "q", "scores": {}}, 3]
)
def test_a_bad_record_names_its_row(tmp_path: Path, bad: object) -> None:
    path = write_json(tmp_path / "bad.json", [record("q", a=1), bad])
    with pytest.raises(InputError, match=r"bad\.json: row 2"):
        load(path)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ({}, "one object of type dict"),
        ([], "an empty list"),
        ({"a": 1}, "one object of type dict"),
        ([1], "a list of int"),
        ([{"query": "q", "scores": {"a": 1}}], "records with 'query', 'scores'"),
        ([{}], "records with no keys"),
    ],
)
def test_another_json_is_refused_saying_what_it_is(tmp_path: Path, content: object, got: str) -> None:
    with pytest.raises(InputError, match=rf"x\.json: expected a JSON list .* got {got}; give"):
        load(write_json(tmp_path / "x.json", content))


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("MATH_prealgebra", "multi_attempt"),
        ("Arc-Challenge", "probability"),
        ("my_mmlu", "probability"),
        ("mbpp", "multi_attempt"),
        ("mmlu_anatomy", "probability"),
        ("own", None),
    ],
)
def test_a_known_set_says_what_its_scores_are(task: str, metric: str | None) -> None:
    assert known_metric(task) == metric


@pytest.mark.parametrize("attempts", range(1, 11))
def test_shares_of_attempts_are_told_from_probabilities(attempts: int) -> None:
    shares = np.append(np.arange(attempts + 1) / attempts, np.nan)
    assert metric_of(shares) == "multi_attempt"
    assert metric_of(np.append(shares, 0.4137)) == "probability"
    assert metric_of(np.array([np.nan])) == "probability"


def test_a_file_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text(json.dumps([record("q", a=1)])[:-5])
    with pytest.raises(InputError, match=r"cut\.json.*cut off"):
        load(path)


def test_published_set() -> None:
    path = real("routerdc")
    dataset = load(path)
    assert (len(dataset.queries), len(dataset.llms), dataset.cost_kind) == (5935, 7, "none")
    metrics = dict(zip(dataset.tasks["task_id"], dataset.tasks["metric"], strict=True))
    assert metrics["arc_challenge"] == metrics["mmlu"] == metrics["cmmlu"] == "probability"
    assert metrics["gsm8k"] == metrics["humaneval"] == "multi_attempt"
    assert (dataset.llms["description"] != "").all()
    mine = dataset.outcomes.merge(dataset.queries).groupby(["task_id", "llm_id"])["performance"].mean()
    raw = json.loads((path / "gsm8k-train.json").read_text(encoding="utf-8"))
    for llm_id in raw[0]["scores"]:
        assert mine["gsm8k", llm_id] == pytest.approx(sum(r["scores"][llm_id] for r in raw) / len(raw))
