import os
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import InputError
from configs.schema import Build, Config
from data_processing.workspace import Workspace

TASKS = pd.DataFrame({"task_id": ["a"], "description": ["one"], "metric": ["f1_score"]})


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    space = Workspace.of(Config(name="mine", build=Build(folder=str(tmp_path))))
    assert not space.folder.exists()  # nothing is made by asking where things are
    path = space.write("tasks", TASKS)
    assert path == tmp_path / "mine" / "tables" / "tasks.parquet"
    pd.testing.assert_frame_equal(space.read("tasks", "unify"), TASKS, check_dtype=False)
    assert [file.name for file in path.parent.iterdir()] == ["tasks.parquet"]


def test_a_table_that_is_not_there_names_the_stage(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"queries\.parquet.*python -m data_processing\.unify"):
        Workspace(tmp_path).read("queries", "unify")


def test_a_damaged_table_names_the_stage_that_makes_it(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    path = space.write("tasks", TASKS)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"tasks\.parquet: .*run again: python -m data_processing\.unify"):
        space.read("tasks", "unify")


def test_a_failed_write_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = Workspace(tmp_path)
    space.write("tasks", TASKS)

    def full(self: pd.DataFrame, path: Path, **_: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(InputError, match=r"tasks\.parquet.*No space left.*free the disk"):
        space.write("tasks", TASKS.assign(description="two"))
    monkeypatch.undo()
    assert space.read("tasks", "unify")["description"].tolist() == ["one"]
    assert [file.name for file in space.tables.iterdir()] == ["tasks.parquet"]


def test_a_table_of_the_wrong_shape_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="metrik"):
        Workspace(tmp_path).write("tasks", TASKS.rename(columns={"metric": "metrik"}))
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tables").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"tasks\.parquet.*mend the folder"):
        Workspace(tmp_path).write("tasks", TASKS)
