import random
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.importers import load_source
from data_processing.importers.routerbench import unwrap
from data_processing.tables import Dataset, query_id
from tests.data_processing.importers.helpers import (
    NAMES,
    SENTENCES,
    UNITS,
    data,
    noted,
    real,
    responses,
    seen,
    write_csv,
)

A, B = NAMES[:2]


def load(path: Path, **fields: str) -> Dataset:
    return load_source(data("routerbench", path, **fields)).dataset


def header(llms: list[str], costs: list[str], answers: list[str]) -> list[str]:
    ends = [f"{x}|model_response" for x in answers] + [f"{x}|total_cost" for x in costs]
    return ["", "sample_id", "prompt", "eval_name", *llms, *ends, "oracle_model_to_route_to"]


def row(prompt: str, performance: dict, cost: dict, answer: dict, task: str = "arc-challenge") -> list:
    return [7, "id", prompt, task, *performance.values(), *answer.values(), *cost.values(), "x"]


def small(path: Path, *rows: list) -> Path:
    return write_csv(path, header([A, B], [B, A], [B, A]), list(rows))


def plain(prompt: str, a: object = 1.0, b: object = 0.0, task: str = "arc-challenge") -> list:
    return row(prompt, {A: a, B: b}, {B: 0.25, A: 0.5}, {B: "['from b']", A: "['from a']"}, task)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[str], dict]:
    llms = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    prompts = draw(st.lists(SENTENCES, min_size=1, max_size=5, unique=True))
    cells = st.tuples(st.none() | UNITS, UNITS, SENTENCES)
    table = {(draw(st.sampled_from(["t1", "t-2"])), p): {x: draw(cells) for x in llms} for p in prompts}
    return llms, table


@settings(max_examples=30, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_every_cell_lands_under_its_name(world: tuple[list[str], dict], order: random.Random) -> None:
    llms, table = world
    expected = {
        (task, text, x): (p, c)
        for (task, text), cells in table.items()
        for x, (p, c, _) in cells.items()
        if p is not None
    }
    names = [order.sample(llms, len(llms)) for _ in range(3)]
    head = header(*names)
    rows = [
        [0, "s", repr([text]), task]
        + ["" if cells[x][0] is None else cells[x][0] for x in names[0]]
        + [repr([cells[x][2]]) for x in names[2]]
        + [cells[x][1] for x in names[1]]
        + ["?"]
        for (task, text), cells in table.items()
    ]
    columns = order.sample(range(len(head)), len(head))
    with tempfile.TemporaryDirectory() as folder:
        path = write_csv(Path(folder) / "any.csv", [head[i] for i in columns], [[r[i] for i in columns] for r in rows])
        if not expected:
            with pytest.raises(InputError, match="at least one outcome"):
                load(path)
            return
        dataset = load(path)
    assert seen(dataset) == expected
    assert all(responses(dataset)[text, x] == table[task, text][x][2] for task, text, x in expected)
    assert dataset.cost_kind == "published"
    lost = sum(all(cell[0] is None for cell in cells.values()) for cells in table.values())
    assert noted(dataset, "without any outcome dropped") == (lost > 0 or len(dataset.llms) < len(llms))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("['D']", "D"), ("['a', 'b']", "a\nb"), ("plain", "plain"), ("[INST] hi", "[INST] hi"), ("[1, 2]", "[1, 2]"),
     ('["it\'s"]', "it's"), ("[oops]", "[oops]"), ("[]", "")],
)  # fmt: skip
def test_unwrap(text: str, expected: str) -> None:
    assert unwrap(text) == expected


def test_duplicates_after_unwrapping_are_averaged_and_counted(tmp_path: Path) -> None:
    again = row("['q']", {A: 0.0, B: ""}, {B: 9.0, A: 1.5}, {B: "['late b']", A: "['late a']"})
    dataset = load(small(tmp_path / "x.csv", plain("q"), again, plain("['other']")))
    assert seen(dataset)["arc-challenge", "q", A] == (0.5, 1.0)
    assert seen(dataset)["arc-challenge", "q", B] == (0.0, 0.25)
    assert responses(dataset)["q", A] == "from a"
    assert noted(dataset, "1 duplicate query")
    assert noted(dataset, "1 outcome without a performance dropped")


def test_the_same_prompt_under_two_tasks_stays_two_queries(tmp_path: Path) -> None:
    dataset = load(small(tmp_path / "x.csv", plain("q"), plain("q", task="mbpp")))
    assert set(dataset.queries["query_id"]) == {query_id("arc-challenge", "q"), query_id("mbpp", "q")}
    assert not noted(dataset, "duplicate")


def test_several_files_with_different_llms_join_by_name(tmp_path: Path) -> None:
    small(tmp_path / "one.csv", plain("q"))
    write_csv(tmp_path / "deep" / "two.csv", ["eval_name", "prompt", f"{B}|total_cost", B], [["mbpp", "r", 0.125, 1]])
    dataset = load(tmp_path)
    assert seen(dataset)["mbpp", "r", B] == (1.0, 0.125)
    assert len(dataset.outcomes) == 3
    assert noted(dataset, "1 of 4 (query, LLM) pairs have no outcome")


def test_known_llms_and_tasks_are_described(tmp_path: Path) -> None:
    dataset = load(small(tmp_path / "x.csv", plain("q")))
    llm = dataset.llms.set_index("llm_id").loc[A]
    assert (llm["family"], llm["output_price_usd_per_mtok"]) == ("gpt", 30.0)
    assert "science" in dataset.tasks["description"].iloc[0]
    assert dataset.outcomes["output_tokens"].isna().all()


def test_unknown_llms_are_noted(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", ["prompt", "eval_name", "acme/z-1", "acme/z-1|total_cost"], [["q", "t", 1, 1]])
    dataset = load(path)
    assert dataset.llms["family"].tolist() == ["acme"]
    assert noted(dataset, "1 LLM without a description: acme/z-1")


@pytest.mark.parametrize(
    ("cell", "shown"), [("1.5", "'1.5'"), ("-0.1", "'-0.1'"), ("inf", "'inf'"), ("yes", "'yes'"), ("1e999", "'1e999'")]
)
def test_a_bad_performance_names_file_row_and_column(tmp_path: Path, cell: str, shown: str) -> None:
    path = small(tmp_path / "bad.csv", plain("q"), plain("r", b=cell))
    with pytest.raises(InputError) as err:
        load(path)
    assert all(part in str(err.value) for part in ("bad.csv", "row 2", repr(B), shown, "[0, 1]"))


@pytest.mark.parametrize(("cost", "shown"), [("-1", "'-1'"), ("free", "'free'"), ("-inf", "'-inf'")])
def test_a_bad_cost_names_file_row_and_column(tmp_path: Path, cost: str, shown: str) -> None:
    path = small(tmp_path / "bad.csv", row("q", {A: 1, B: 1}, {B: cost, A: 0}, {B: "", A: ""}))
    with pytest.raises(InputError, match=rf"bad.csv.*total_cost.*row 1 has {shown}"):
        load(path)


def test_an_outcome_without_cost_is_dropped_and_counted(tmp_path: Path) -> None:
    dataset = load(small(tmp_path / "x.csv", row("q", {A: 1, B: 1}, {B: "", A: 2}, {B: "", A: ""})))
    assert seen(dataset) == {("arc-challenge", "q", A): (1.0, 2.0)}
    assert noted(dataset, "1 outcome without a cost_usd dropped")


def test_a_file_cut_off_anywhere_before_its_last_field_is_refused(tmp_path: Path) -> None:
    text = small(tmp_path / "whole.csv", plain("q"), plain('["a", "b,\nc"]')).read_bytes().decode()
    start, end = text.index("\r\n", text.index("from a")) + 3, text.rindex(",")
    for length in range(start, end + 1):
        path = tmp_path / "cut.csv"
        path.write_text(text[:length], newline="")
        with pytest.raises(InputError, match=r"cut\.csv.*row 2"):
            load(path)


@pytest.mark.parametrize(
    ("head", "match"),
    [
        (["prompt", "eval_name", "a"], "total_cost"),
        (["prompt", "a", "a|total_cost"], "'eval_name'"),
        (["prompt", "eval_name", "a|total_cost"], "'a'"),
        (["prompt", "eval_name", "a", "a|total_cost", "b", "b|model_response"], r"b\|total_cost"),
        (["prompt", "eval_name", "a", "a|total_cost", "a"], "each column once"),
    ],
)
def test_missing_or_double_columns_are_named(tmp_path: Path, head: list[str], match: str) -> None:
    with pytest.raises(InputError, match=match):
        load(write_csv(tmp_path / "x.csv", head, [["1"] * len(head)]))


@pytest.mark.parametrize("prompt", ["", "  ", "['']"])
def test_an_empty_prompt_is_refused(tmp_path: Path, prompt: str) -> None:
    with pytest.raises(InputError, match=r"'prompt', row 1 is empty"):
        load(small(tmp_path / "x.csv", plain(prompt)))


def test_published_set() -> None:
    path = real("routerbench")
    dataset = load(path)
    tables = [pd.read_csv(file) for file in sorted(path.glob("*.csv"))]
    wide = pd.concat(tables, ignore_index=True)
    # Seven prompts are in the files under two ids, once as a list of the same prompt twice.
    assert (len(wide), len(dataset.queries)) == (2225, 2218)
    assert set(dataset.tasks["task_id"]) == set(wide["eval_name"])
    assert len(dataset.llms) == 11
    assert (dataset.llms["description"] != "").all()
    scored = dataset.outcomes.groupby("llm_id")[["performance", "cost_usd"]].agg(["sum", "count"])
    for llm_id in dataset.llms["llm_id"]:
        assert scored.loc[llm_id, ("performance", "sum")] == wide[llm_id].sum()
        assert scored.loc[llm_id, ("performance", "count")] == wide[llm_id].count()
        paid = wide.loc[wide[llm_id].notna(), f"{llm_id}|total_cost"].sum()
        assert scored.loc[llm_id, ("cost_usd", "sum")] == pytest.approx(paid)
    prices = dataset.llms.set_index("llm_id")["input_price_usd_per_mtok"]
    arc = dataset.outcomes[
        dataset.outcomes["query_id"].isin(dataset.queries.query("task_id == 'arc-challenge'")["query_id"])
    ]
    tokens = arc.groupby("llm_id")["cost_usd"].mean() / prices * 1e6  # nearly all cost is input: prices line up by name
    assert tokens.max() < 1.05 * tokens.min()
    assert dataset.outcomes["response"].str.startswith("['").mean() < 0.001
