import random
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.cost import count_tokens
from data_processing.importers import load_source
from data_processing.tables import Dataset
from tests.data_processing.importers.helpers import SENTENCES, data, noted, real, responses, seen, write_csv

STRONG, WEAK = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"


def load(path: Path, **fields: object) -> Dataset:
    return load_source(data("routellm", path, **fields)).dataset


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(SENTENCES, st.tuples(st.booleans(), st.booleans(), SENTENCES, SENTENCES), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
    st.sampled_from([str, lambda flag: str(flag).lower(), int]),
)
def test_every_cell_lands_under_its_name(table: dict, order: random.Random, spell: object) -> None:
    head = ["prompt", STRONG, WEAK, f"{STRONG}_response", f"{WEAK}_response"]
    rows = [[text, spell(s), spell(w), answer_s, answer_w] for text, (s, w, answer_s, answer_w) in table.items()]
    columns = order.sample(range(5), 5)
    with tempfile.TemporaryDirectory() as folder:
        path = write_csv(
            Path(folder) / "gsm8k_responses.csv", [head[i] for i in columns], [[r[i] for i in columns] for r in rows]
        )
        dataset = load(path)
    got = seen(dataset)
    assert {key: value[0] for key, value in got.items()} == {
        ("gsm8k", text, x): float(flag) for text, (s, w, *_) in table.items() for x, flag in ((STRONG, s), (WEAK, w))
    }
    for text, (_, _, answer_s, answer_w) in table.items():
        assert (responses(dataset)[text, STRONG], responses(dataset)[text, WEAK]) == (answer_s, answer_w)
        tokens = count_tokens([text, answer_s, answer_w])
        assert got["gsm8k", text, STRONG][1] == pytest.approx((tokens[0] * 10 + tokens[1] * 30) / 1e6)
        assert got["gsm8k", text, WEAK][1] == pytest.approx((tokens[0] + tokens[2]) * 0.6 / 1e6)


def test_subfolders_tasks_duplicates_and_empty_cells(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "mmlu" / "mmlu_law.csv", ["prompt", WEAK, STRONG], [["q", "True", "True"], ["q", "False", "True"]]
    )
    write_csv(tmp_path / "mmlu" / "mmlu_art.csv", ["prompt", WEAK, STRONG], [["q", "", "True"], ["r", "True", "False"]])
    dataset = load(tmp_path, output_tokens=3)
    assert {key: value[0] for key, value in seen(dataset).items()} == {
        ("mmlu_law", "q", WEAK): 0.5,
        ("mmlu_law", "q", STRONG): 1.0,
        ("mmlu_art", "q", STRONG): 1.0,
        ("mmlu_art", "r", WEAK): 1.0,
        ("mmlu_art", "r", STRONG): 0.0,
    }
    assert noted(dataset, "1 duplicate query")
    assert noted(dataset, "1 outcome without a performance dropped")
    assert dataset.tasks.set_index("task_id").loc["mmlu_law", "description"].endswith("This part: law.")


def test_one_wrong_cell_is_an_error_not_a_skipped_column(tmp_path: Path) -> None:
    rows = [["q", "True", "True"], ["r", "maybe", "False"], ["s", "True", "False"]]
    with pytest.raises(InputError, match=rf"x\.csv.*{WEAK}.*row 2 has 'maybe'"):
        load(write_csv(tmp_path / "x.csv", ["prompt", WEAK, STRONG], rows))


def test_other_columns_and_files_are_noted(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", ["", "prompt", "subject", WEAK, STRONG], [["0", "q", "law", "True", "False"]])
    write_csv(tmp_path / "other.csv", ["prompt", "answer"], [["q", "b"]])
    dataset = load(tmp_path)
    assert noted(dataset, "1 column of x.csv not used: subject")
    assert noted(dataset, "other.csv not read")
    assert len(dataset.outcomes) == 2


def test_nothing_to_read_says_what_is_there(tmp_path: Path) -> None:
    write_csv(tmp_path / "other.csv", ["prompt", "answer"], [["q", "b"]])
    with pytest.raises(InputError, match=r"two True/False columns, got other\.csv"):
        load(tmp_path)


def test_an_empty_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'prompt', row 1 is empty"):
        load(write_csv(tmp_path / "x.csv", ["prompt", WEAK, STRONG], [["", "True", "False"]]))


def test_published_set() -> None:
    path = real("routellm")
    dataset = load(path)
    raw = pd.concat([pd.read_csv(file).assign(file=file.stem) for file in sorted(path.rglob("*.csv"))])
    assert len(raw) - len(dataset.queries) == 24
    assert noted(dataset, "24 duplicate queries")
    assert len(dataset.tasks) == raw["file"].nunique()
    mine = dataset.outcomes.groupby("llm_id")["performance"].mean()
    for llm_id in (STRONG, WEAK):
        once = raw.groupby(["file", "prompt"])[llm_id].mean().mean()
        assert mine[llm_id] == pytest.approx(once)
    assert (dataset.outcomes["response"] != "").sum() == 2 * 659
