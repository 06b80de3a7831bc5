import json
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from data_processing.labelling.prompts import read_prompts
from tests.data_processing.made_questions import table_of

HTML = '<b onclick="x()">What is 2 &lt; 3?</b>'


def test_a_text_file_has_a_prompt_per_line(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"\xef\xbb\xbfFirst?\r\n\r\n  Second?  \nFirst?\n" + HTML.encode() + b"\n")
    prompts, notes = read_prompts(path)
    assert prompts == {"First?": "", "Second?": "", HTML: ""}
    assert notes == ["1 repeated prompt left out"]


@pytest.mark.parametrize("field", ["query", "prompt"])
@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".parquet"])
def test_rows_have_a_query_or_a_prompt(tmp_path: Path, field: str, ending: str) -> None:
    texts = ["One,\ntwo?", HTML, "NA"]
    path = tmp_path / f"prompts{ending}"
    rows = [{field: text, "query_id": f"q{number}", "more": 1} for number, text in enumerate(texts)]
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif ending == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    elif ending == ".csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        pd.DataFrame(rows).to_parquet(path)
    prompts, notes = read_prompts(path)
    assert prompts == dict(zip(texts, ("q0", "q1", "q2"), strict=True))
    assert notes == []


def test_the_table_of_queries_is_read(tmp_path: Path) -> None:
    table = table_of(["Why?", "How?"])
    table.to_parquet(tmp_path / "queries.parquet")
    prompts, _ = read_prompts(tmp_path / "queries.parquet")
    assert prompts == dict(zip(table["query"], table["query_id"], strict=True))


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("p.txt", "\n \n", ["at least one prompt", "got none"]),
        ("p.jsonl", '{"query": "a"}\n{"query": " "}\n', ["line 2", "a text in 'query'", "a blank one"]),
        ("p.jsonl", '{"query": null}\n', ["line 1", "a blank one"]),
        ("p.jsonl", '{"prompt": ["a"]}\n', ["line 1", "a text in 'prompt'", "got list"]),
        ("p.jsonl", '{"querry": "a"}\n', ["line 1", "'query' or 'prompt'", "did you mean 'querry'?"]),
        ("p.csv", "query\n\n", ["at least one", "got none"]),
        ("p.md", "a", [".txt or .json", "'.md'"]),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, text: str, parts: list[str]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_prompts(tmp_path / name)
    for part in [name, *parts]:
        assert part in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("none.txt", "none.jsonl"):
        with pytest.raises(InputError, match=f"{name}: expected a file of .*No such file"):
            read_prompts(tmp_path / name)


def test_half_a_character_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"query": "Half \\ud83d"}\n', encoding="utf-8")
    assert list(read_prompts(tmp_path / "p.jsonl")[0]) == ["Half �"]
