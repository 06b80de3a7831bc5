import csv
import re
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.importers.reading import bools, numbers, read_csv, read_json, read_jsonl, task_of, texts
from tests.data_processing.importers.helpers import ALPHABET, write_csv

HERE = Path("x.csv")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.text(ALPHABET, max_size=8), min_size=3, max_size=3), max_size=5))
def test_a_csv_is_read_as_it_was_written(rows: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_csv(Path(folder) / "x.csv", ["a", "b", "c"], rows)
        table = read_csv(path, lambda name: name != "b")
    assert list(table.columns) == ["a", "c"]
    assert table.to_numpy().tolist() == [[row[0], row[2]] for row in rows]


def test_long_fields_are_read_and_the_global_limit_is_put_back(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    path = write_csv(tmp_path / "x.csv", ["a", "b"], [["y" * 300_000, "1"]])
    assert len(read_csv(path)["a"].iloc[0]) == 300_000
    assert csv.field_size_limit() == before


def test_a_byte_order_mark_is_not_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("\ufeffa,b\r\n1,2\r\n".encode())
    assert list(read_csv(path).columns) == ["a", "b"]


@pytest.mark.parametrize("row", ["1", "1,2,3", '1,"2'])
def test_a_row_of_another_length_is_named(row: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"a,b\n1,2\n\n{row}\n")
    with pytest.raises(InputError, match=r"x\.csv.*row 2"):
        read_csv(path)


def test_numbers_keep_blanks_and_allow_a_rounding_error() -> None:
    values = pd.Series(["0.25", " 1 ", "", float("nan"), None, 1 + 1e-12], dtype=object)
    assert numbers(values, HERE, "p", high=1.0).fillna(-1).tolist() == [0.25, 1, -1, -1, -1, 1]
    with pytest.raises(InputError, match=r"x\.csv.*'p', row 3"):
        numbers(values, HERE, "p", high=1.0, blank=False)
    with pytest.raises(InputError, match=r"x\.csv.*'p', row 2 has 'nan'"):
        numbers(pd.Series(["0.25", "nan"], dtype=object), HERE, "p", high=1.0)


def test_bools_and_texts() -> None:
    assert bools(pd.Series(["True", "false", "1", "0.0", ""]), HERE, "b").fillna(-1).tolist() == [1, 0, 1, 0, -1]
    with pytest.raises(InputError, match=r"'b', row 2 has '2'"):
        bools(pd.Series(["True", "2"]), HERE, "b")
    with pytest.raises(InputError, match=r"'t', row 2 is empty"):
        texts(pd.Series(["a", None], dtype=object), HERE, "t")


def test_json_lines_split_at_newlines_only(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": "b\u2028c"}\n\n{"a": 1}\n', encoding="utf-8")
    assert read_jsonl(path) == [(1, {"a": "b\u2028c"}), (3, {"a": 1})]


@pytest.mark.parametrize(
    "text", ["1" * 5000, "[" * 200_000, '{"a": ', "\ud800"], ids=["digits", "deep", "cut", "bytes"]
)
def test_json_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=re.escape(f"{path}: expected JSON")):
        read_json(path)
    with pytest.raises(InputError, match=r"x\.json: expected JSON(, line 1| Lines)"):
        read_jsonl(path)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("gsm8k-train.json", "gsm8k"),
        ("MMLU_test.json", "mmlu"),
        ("gsm8k_responses.csv", "gsm8k"),
        ("mmlu_law.csv", "mmlu_law"),
        ("contest.json", "contest"),
        ("train.json", "train"),
    ],
)
def test_the_task_of_a_file(name: str, task: str) -> None:
    assert task_of(Path(name)) == task
