"""The table of judgements on disk."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import InputError
from data_processing.judging.judgements import COLUMNS, chosen, judgement_table, read_judgements, write_judgements
from data_processing.workspace import Workspace


def row(**values: Any) -> tuple:
    empty = {
        name: 0 if kind in ("int64", "float64") else None if kind == "Int64" else "" for name, kind in COLUMNS.items()
    }
    return tuple({**empty, "llm_id": None, "again_llm_id": None, **values}[name] for name in COLUMNS)


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [row(user_id="u", query_id="q", llm_id="a", position=2, answers=3, state="read", reply="2", cost_usd=0.5)]
    table = judgement_table([*rows, row(user_id="u", query_id="r", answers=3, state="failed")])
    workspace = Workspace(tmp_path / "test")
    write_judgements(workspace, table)
    pd.testing.assert_frame_equal(read_judgements(workspace), table)
    assert [path.name for path in workspace.folder.iterdir()] == ["judgements.parquet"]
    assert chosen(table)[["user_id", "query_id", "llm_id", "judge_reply"]].to_numpy().tolist() == [["u", "q", "a", "2"]]


def test_a_reply_with_half_a_character_can_be_written(tmp_path: Path) -> None:
    table = judgement_table([row(reply="a\ud800b\x00", again_reply="🙂")])
    workspace = Workspace(tmp_path)
    write_judgements(workspace, table)
    read = read_judgements(workspace)
    assert read["reply"][0] == "a\ufffdb\x00"
    assert read["again_reply"][0] == "🙂"


def test_a_missing_or_foreign_file_names_the_stage(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(InputError, match=r"found none; run: python -m data_processing\.judge"):
        read_judgements(workspace)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "judgements.parquet")
    with pytest.raises(InputError, match="expected the table of judgements"):
        read_judgements(workspace)
    (tmp_path / "judgements.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="expected the table of judgements"):
        read_judgements(workspace)


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected to write it"):
        write_judgements(Workspace(tmp_path / "file"), judgement_table([]))
