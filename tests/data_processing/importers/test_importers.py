from pathlib import Path

import pytest

from configs.errors import InputError
from configs.schema import Data
from data_processing.importers import IMPORTERS, LoadedData, load_source
from data_processing.tables import query_id
from tests.data_processing.importers.helpers import data, noted, write_csv

SUFFIX = {"routerdc": "*.json", "llmrouter": "*.json", "tables": "outcomes"}
LONG = ["query", "llm_id", "performance", "cost_usd", "user_id", "chosen"]


def load(tmp_path: Path, train: list[list], test: list[list], **fields: object) -> LoadedData:
    train_file, test_file = write_csv(tmp_path / "a.csv", LONG, train), write_csv(tmp_path / "b.csv", LONG, test)
    return load_source(data("tables", train_file, test_path=str(test_file), **fields))


@pytest.mark.parametrize("source", sorted(IMPORTERS))
@pytest.mark.parametrize("key", ["path", "test_path"])
def test_a_missing_path_is_named(source: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_DATASETS", "somewhere")
    good = write_csv(tmp_path / "a.csv", LONG, [["q", "a", 1, 1, "u", 1]])
    fields = {"path": str(good)} | {key: str(tmp_path / "nowhere")}
    chosen = "tables" if key == "test_path" else source
    with pytest.raises(InputError, match=rf"data\.{key}: .*nowhere") as err:
        load_source(Data(source=chosen, **fields))
    assert "ROUTER_DATASETS" not in str(err.value)


@pytest.mark.parametrize("path", [None, "", "/routerbench-that-is-not-here"])
def test_an_unset_variable_is_named_with_how_to_set_it(path: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROUTER_DATASETS", raising=False)
    with pytest.raises(InputError, match=r"data\.path: expected .*export ROUTER_DATASETS="):
        load_source(Data(source="routerbench", path=path))


@pytest.mark.parametrize("source", sorted(IMPORTERS))
def test_a_folder_without_the_sets_files_says_what_was_looked_for(source: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.csv").write_text("x")
    with pytest.raises(InputError) as err:
        load_source(data(source, tmp_path))
    assert "notes.txt" in str(err.value)
    assert ".hidden" not in str(err.value)
    assert SUFFIX.get(source, "*.csv") in str(err.value)


@pytest.mark.parametrize("source", sorted(IMPORTERS))
def test_a_file_of_another_kind_is_refused_in_one_line(source: str, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"\x00\xff\xfe")
    with pytest.raises(InputError, match=r"x\.bin") as err:
        load_source(data(source, path))
    assert "\n" not in str(err.value)


@pytest.mark.parametrize("source", ["routerbench", "routellm", "personalizedrouter", "tables"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b'prompt,a\n"x'])
def test_an_empty_or_broken_csv_is_refused(source: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.csv"):
        load_source(data(source, path))


def test_the_simulated_world_is_made_elsewhere() -> None:
    with pytest.raises(InputError, match=r"got 'simulated'.*data_processing\.simulated"):
        load_source(Data())


def test_without_a_test_path_nothing_is_split(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "test.csv", LONG, [["q", "a", 1, 1, "u", 1]])
    assert load_source(data("tables", path)).test_query_ids is None


def test_train_queries_of_the_test_set_leave_train_with_their_interactions(tmp_path: Path) -> None:
    train = [["same", "a", 1, 1, "u", 1], ["only train", "a", 0, 1, "u", 1]]
    loaded = load(tmp_path, train, [["same", "a", 0, 0.5, "v", 1], ["only test", "a", 1, 1, "v", 1]])
    test_ids = {query_id("default", "same"), query_id("default", "only test")}
    assert loaded.test_query_ids == test_ids
    same = loaded.dataset.outcomes.set_index("query_id").loc[query_id("default", "same")]
    assert same["performance"] == 0.0
    mine = loaded.dataset.interactions
    assert mine[mine["user_id"] == "u"]["query_id"].tolist() == [query_id("default", "only train")]
    assert noted(loaded.dataset, "1 train query also in the test set removed from train")


def test_nothing_left_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected train queries that are not in the test set"):
        load(tmp_path, [["same", "a", 1, 1, "u", 1]], [["same", "a", 1, 1, "u", 1]])


def test_llms_that_only_train_has_are_dropped_and_noted(tmp_path: Path) -> None:
    train = [["q", "a", 1, 1, "u", 1], ["q", "b", 0, 1, "u", 0], ["r", "b", 0, 1, "u", 1]]
    loaded = load(tmp_path, train, [["s", "a", 1, 1, "u", 1]])
    assert loaded.dataset.llms["llm_id"].tolist() == ["a"]
    assert set(loaded.dataset.queries["query"]) == {"q", "s"}
    assert noted(loaded.dataset, "1 LLM of the training set not in the test set dropped: b")
    assert noted(loaded.dataset, "1 train query without any outcome left dropped")
    assert noted(loaded.dataset, "1 interaction with a dropped LLM dropped")


def test_llms_that_only_the_test_set_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got 'llm-aa' \(did you mean 'llm-a'\?\)"):
        load(tmp_path, [["q", "llm-a", 1, 1, "u", 1]], [["s", "llm-aa", 1, 1, "u", 1]])


def test_two_kinds_of_cost_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"published in data\.path and none in data\.test_path"):
        load(tmp_path, [["q", "a", 1, 1, "u", 1]], [["s", "a", 1, 0, "u", 1]])


def test_the_same_input_gives_the_same_tables(tmp_path: Path) -> None:
    rows = [[f"q{i % 3}", f"m{i % 4}", 0.25, i, "u", int(i < 3)] for i in range(12)]
    path = write_csv(tmp_path / "a.csv", LONG, rows)
    one, two = load_source(data("tables", path)).dataset, load_source(data("tables", path)).dataset
    for name, table in one.tables().items():
        assert table.equals(two.tables()[name])
    assert one.outcomes["llm_id"].tolist() == ["m0", "m1", "m2", "m3"] * 3
