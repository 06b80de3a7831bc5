import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.catalogue import SourceEntry
from configs.errors import InputError
from data_processing.questions.raw import Question, read_questions

ROWS = [{"q": "Who?", "a": "Ada", "n": 1}, {"q": "When, where?\nSay", "a": "\u201c1843\u201d", "n": 2}]


def source(**fields: Any) -> SourceEntry:
    return SourceEntry(**{"file": "unused", "query": "{q}", "ground_truth": "{a}", **fields})


def read(path: Path, **fields: Any) -> list[Question]:
    return read_questions(path, source(**fields), "tasks.yaml: task 't': source")


def pairs(path: Path, **fields: Any) -> list[tuple[str, str]]:
    return [(question.query, question.ground_truth) for question in read(path, **fields)]


def refusal(path: Path, **fields: Any) -> str:
    with pytest.raises(InputError) as err:
        read(path, **fields)
    assert "\n" not in str(err.value)
    return str(err.value)


def write(path: Path, content: Any) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(content), path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def csv_text(end: str) -> str:
    return end.join(["q,a,n", "Who?,Ada,1", '"When, where?\nSay",\u201c1843\u201d,2', ""])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.json", json.dumps(ROWS)),
        ("x.JSON", "\ufeff" + json.dumps(ROWS, indent=1).replace("\n", "\r\n")),
        ("x.jsonl", "\ufeff" + "\r\n".join(json.dumps(row) for row in ROWS) + "\r\n\r\n"),
        ("x.csv", csv_text("\n")),
        ("x.csv", "\ufeff" + csv_text("\r\n")),
        ("x.parquet", ROWS),
    ],
)
def test_all_formats_give_the_same_questions(tmp_path: Path, name: str, content: Any) -> None:
    path = tmp_path / name
    if isinstance(content, str):
        path.write_bytes(content.encode())
    else:
        write(path, content)
    assert pairs(path, query="{q} ({n})") == [("Who? (1)", "Ada"), ("When, where?\nSay (2)", "\u201c1843\u201d")]


def test_rows_are_named_as_a_person_counts_them(tmp_path: Path) -> None:
    assert [question.where for question in read(write(tmp_path / "x.json", ROWS))] == ["row 1", "row 2"]
    lines = "\n\n".join(json.dumps(row) for row in ROWS)
    assert [question.where for question in read(write(tmp_path / "x.jsonl", lines))] == ["line 1", "line 3"]


def test_nested_parquet(tmp_path: Path) -> None:
    rows = [{"q": "Who?", "answers": {"text": ["Ada", "Ada L."], "start": [1, 2]}, "deep": [[{"x": 1.5}]]}]
    path = write(tmp_path / "a=b.parquet", rows)
    assert pairs(path, query="{q}{deep.0.0.x}", ground_truth="{answers.text.1}") == [("Who?1.5", "Ada L.")]
    assert "expected a field 'a'" in refusal(path)


def test_records_under_a_key_and_the_official_squad_shape(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", {"version": 1, "data": ROWS})
    assert pairs(path, rows="data") == pairs(write(tmp_path / "y.json", ROWS))
    message = refusal(path)
    assert "one object with version, data; name the key that holds them with rows: <key>" in message
    assert "rows: 'dta' (did you mean 'data'?), got version, data" in refusal(path, rows="dta")
    asked = [{"question": "Who?", "answers": [{"text": "Ada"}]}, {"question": "When?", "answers": [{"text": "1843"}]}]
    squad = {"data": [{"title": "T", "paragraphs": [{"context": "C", "qas": asked}, {"context": "D", "qas": asked}]}]}
    found = pairs(
        write(tmp_path / "squad.json", squad),
        rows="data.paragraphs.qas",
        query="{title} {context} {question}",
        ground_truth="{answers.0.text}",
    )
    assert found == [("T C Who?", "Ada"), ("T C When?", "1843"), ("T D Who?", "Ada"), ("T D When?", "1843")]


def test_a_wrong_mapping_names_file_row_and_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", ROWS)
    message = refusal(path, query="{question}")
    for part in (f"{path}: row 1:", "field 'question'", "the fields q, a, n", "tasks.yaml: task 't'"):
        assert part in message
    path = write(tmp_path / "y.json", [*ROWS, {"q": "Who?", "aa": "x"}])
    assert f"{path}: row 3: expected a field 'a' (did you mean 'aa'?), got the fields q, aa" in refusal(path)


def test_a_field_that_may_be_missing_must_be_there_once(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", [{"q": "Add", "a": "3"}, {"q": "Sort: ", "a": "1 2", "input": "2 1"}])
    assert [query for query, _ in pairs(path, query="{q}{input?}")] == ["Add", "Sort: 2 1"]
    assert "field 'inptu' (did you mean 'input'?) in some row" in refusal(path, query="{q}{inptu?}")


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"q": " \n", "a": "x"}, "row 3: expected a query, got a blank one"),
        ({"q": "x", "a": ""}, "row 3: expected a ground_truth, got a blank one"),
        ({"q": "x", "a": None}, "row 3: expected a value in field 'a', got null"),
        (
            {"q": "x", "a": ["y"]},
            "row 3: expected text in field 'a', got a list of 1; name a place in it, such as {a.0}",
        ),
        ({"q": {"text": "x"}, "a": "y"}, "row 3: expected text in field 'q', got a mapping with text"),
    ],
)
def test_blank_and_unfit_values_name_the_row(tmp_path: Path, row: dict, part: str) -> None:
    assert part in refusal(write(tmp_path / "x.json", [*ROWS, row]))


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("x.json", "", "expected JSON"),
        ("x.json", "[]", "expected at least one row, got none"),
        ("x.json", json.dumps(ROWS)[:-9], "cut off or damaged"),
        ("x.json", '"text"', "expected a list of records, got str"),
        ("x.json", '[{"q": 1, "a": 2}, 5]', "row 2: expected an object, got int"),
        ("x.json", b"[\xff]", "UTF-8"),
        ("x.jsonl", "", "got none"),
        ("x.jsonl", '{"q": "x", "a": "y"}\n{"q": "x', "line 2"),
        ("x.csv", "", "got an empty file"),
        ("x.csv", "q,a\n", "got none"),
        ("x.csv", 'q,a\nx,"y', "row 1 is broken"),
        ("x.csv", "q,a\nx\n", "row 1 has 1"),
        ("x.csv", "q,q\nx,y\n", "each column once"),
        ("x.parquet", b"", "expected a Parquet file"),
        ("x.txt", "x", "expected a file of rows (.json, .jsonl, .csv, .parquet), got '.txt'"),
    ],
)
def test_damaged_and_empty_files(tmp_path: Path, name: str, content: Any, part: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert part in refusal(path)


def test_a_truncated_parquet_and_a_missing_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    assert "cut off or damaged" in refusal(path)
    assert f"{tmp_path}/none.json: expected a file of rows, got: No such file" in refusal(tmp_path / "none.json")
    assert "Is a directory" in refusal(tmp_path)


def test_text_of_a_parquet_that_is_not_utf_8(tmp_path: Path) -> None:
    bad = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"q": bad, "a": ["x"]}), tmp_path / "x.parquet")
    assert "expected a Parquet file" in refusal(tmp_path / "x.parquet")


def test_nul_and_very_long_cells_come_through(tmp_path: Path) -> None:
    long = "word " * 40_000
    assert pairs(write(tmp_path / "x.csv", f"q,a\n{long},x\0y\n")) == [(long, "x\0y")]


def test_multiple_choice(tmp_path: Path) -> None:
    rows = [
        {"q": "Two?", "choices": {"text": ["1", "2"], "label": ["A", "B"]}, "key": "B"},
        {"q": "{choices}?", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "key": "1"},
    ]
    for name in ("x.parquet", "x.jsonl"):
        content = rows if name == "x.parquet" else "\n".join(map(json.dumps, rows))
        found = read(write(tmp_path / name, content), query="{q}\n{choices}", ground_truth="{key}", choices="choices")
        assert [(each.query, each.ground_truth, each.choices) for each in found] == [
            ("Two?\nA. 1\nB. 2", "B", '["1", "2"]'),
            ("{choices}?\nA. x\nB. y", "A", '["x", "y"]'),
        ]


def test_multiple_choice_from_csv_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "q,one,two,right\n_ eats,the cat,the dog,2\n_ barks,the cat,the dog,1\n")
    found = read(path, query="{q}\n{choices}", ground_truth="{right}", choices=("one", "two"))
    assert [each.ground_truth for each in found] == ["B", "A"]
    message = refusal(path, ground_truth="{q}", choices=["one", "two"])
    assert f"{path}: row 1: expected ground_truth to name one of the choices" in message
    assert "row 1: expected a field 'three'" in refusal(path, ground_truth="{right}", choices=["one", "three"])
