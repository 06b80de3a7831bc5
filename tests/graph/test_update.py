"""The command line that teaches a router: five commands, one line on what is wrong, and a folder that stays whole."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import InputError
from graph.router import Router
from graph.update import main, replace
from tests.graph.routers import WORLDS, decided, interactions, router_of
from tests.graph.world import LLMS


class Run:
    """Calls `main` for the router in `folder` and reads what it wrote."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys

    def __call__(self, command: str, *arguments: str) -> tuple[int, str, str]:
        code = main([command, "--router", str(self.folder), *arguments])
        out, err = self.capsys.readouterr()
        return code, out, err

    def done(self, *arguments: str) -> str:
        code, out, err = self(*arguments)
        assert (code, err) == (0, "")
        return out

    def refused(self, *arguments: str) -> str:
        """Return the one line of a command that must fail and leave everything as it was."""
        before = content(self.folder.parent)
        code, out, err = self(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert content(self.folder.parent) == before
        return err

    @property
    def router(self) -> Router:
        return Router.load(self.folder, device="cpu")


def content(folder: Path) -> dict[str, str]:
    """Return path -> checksum of every file under `folder`, hidden ones too; folders have none."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


@pytest.fixture(params=WORLDS)
def run(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    router_of(request.param).save(tmp_path / "router")
    return Run(tmp_path / "router", capsys)


@pytest.fixture
def tiny(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    router_of().save(tmp_path / "router")
    return Run(tmp_path / "router", capsys)


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


# ------------------------------------------------------------------------------------------------ observe


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
def test_observe_learns_as_the_router_does(run: Run, tmp_path: Path, ending: str) -> None:
    wanted, path = run.router, tmp_path / f"liked.{ending}"
    table = interactions(wanted, wanted.llm_ids[0], 8)
    table.loc[len(table)] = [None, wanted.llm_ids[0]]
    table["query"] = [None] * 8 + ["Was kostet 東京?"]
    if ending == "csv":
        table.to_csv(path, index=False)
    elif ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_json(path, orient="records", lines=ending == "jsonl", force_ascii=False)
    out = run.done("observe", "--user", "me", "--interactions", str(path))
    assert out.startswith("me: 9 interactions; ")
    assert out.endswith(f"; kept in {run.folder}\n")
    wanted.observe("me", table)
    assert decided(run.router, ("me", "nobody")) == decided(wanted, ("me", "nobody"))
    wish = wanted.wish("me")
    assert (wish.words if wish.preference is None else f"performance now weighs {wish.preference:.2f}") in out


def test_observe_says_what_is_wrong_with_the_file(run: Run, tmp_path: Path) -> None:
    llm_id = run.router.llm_ids[0]
    bad = lines(tmp_path / "bad.jsonl", [{"query": "a", "llm_id": llm_id}, {"query": "a", "llm_id": llm_id + "x"}])
    err = run.refused("observe", "--user", "me", "--interactions", bad)
    assert "row 2: expected one of the LLMs" in err
    assert f"did you mean '{llm_id}'?" in err
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"query": "a", "llm_id"')
    assert "expected a readable jsonl table" in run.refused("observe", "--user", "me", "--interactions", str(broken))
    nowhere = str(tmp_path / "none.csv")
    assert "expected a file, found none" in run.refused("observe", "--user", "me", "--interactions", nowhere)
    (tmp_path / "liked.txt").write_text("x")
    err = run.refused("observe", "--user", "me", "--interactions", str(tmp_path / "liked.txt"))
    assert "expected .parquet, .csv, .json or .jsonl" in err
    good = lines(tmp_path / "good.jsonl", [{"query": "a", "llm_id": llm_id}])
    assert "user: expected an id, got an empty one" in run.refused("observe", "--user", "", "--interactions", good)


# ------------------------------------------------------------------------------------------------ prefer


def test_prefer_keeps_and_takes_back(run: Run) -> None:
    user = run.router.user_ids[0]
    before = run.router.wish(user)
    assert run.done("prefer", "--user", user, "cost first") == (
        f"{user}: performance now weighs 0.20 (stated); kept in {run.folder}\n"
    )
    assert (run.router.wish(user).preference, run.router.wish(user).source) == (0.2, "stated")
    assert "performance now weighs 0.75 (stated)" in run.done("prefer", "--user", user, "0.75")
    assert "(inferred)" in run.done("prefer", "--user", user, "none")
    assert run.router.wish(user) == before
    assert "(population)" in run.done("prefer", "--user", "stranger", "none")


@pytest.mark.parametrize(
    ("said", "says"),
    [("cost frist", "did you mean 'cost first'?"), ("1.5", "expected a number in [0, 1]"), ("", "expected a number")],
)
def test_prefer_refuses_other_words(tiny: Run, said: str, says: str) -> None:
    assert says in tiny.refused("prefer", "--user", "me", said)


# ------------------------------------------------------------------------------------------------ LLMs


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_printed_probes_filled_in_are_what_add_llm_takes(run: Run, tmp_path: Path, ending: str) -> None:
    rows = [json.loads(line) for line in run.done("probes", "--count", "12").splitlines()]
    assert [set(row) for row in rows] == [{"query_id", "task_id", "query", "performance", "cost_usd"}] * 12
    assert {row["performance"] for row in rows} | {row["cost_usd"] for row in rows} == {None}
    for number, row in enumerate(rows):
        row.update(performance=number / 12, cost_usd=1e-4 * number)
    path = tmp_path / f"probes.{ending}"
    if ending == "csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        lines(path, rows)
    wanted = run.router
    before = wanted.llm_ids
    described = {"description": "A small one", "family": "f"}
    prices = {"input_price_usd_per_mtok": 0.2, "output_price_usd_per_mtok": 0.6}
    wanted.add_llm({"llm_id": "new/one", **described, **prices}, pd.DataFrame(rows).drop(columns="task_id"))
    out = run.done(
        "add-llm", "--id", "new/one", "--description", "A small one", "--family", "f", "--input-price", "0.2",
        "--output-price", "0.6", "--probes", str(path),
    )  # fmt: skip
    assert out == f"new/one: added with 12 outcomes; now {len(before) + 1} LLMs; kept in {run.folder}\n"
    assert run.router.llm_ids == [*before, "new/one"]
    assert run.router.llms.iloc[-1].to_dict() == wanted.llms.iloc[-1].to_dict()
    assert decided(run.router) == decided(wanted)


def test_probes_not_filled_in_are_refused(tiny: Run, tmp_path: Path) -> None:
    path = tmp_path / "probes.jsonl"
    path.write_text(tiny.done("probes", "--count", "3"), encoding="utf-8")
    err = tiny.refused("add-llm", "--id", "new", "--probes", str(path))
    assert "row 1: expected a number in 'performance', got none; fill it" in err


def test_an_llm_without_outcomes_may_be_added_and_removed(run: Run) -> None:
    before = run.router
    assert "new: added with 0 outcomes" in run.done("add-llm", "--id", "new")
    assert "expected an id that is not taken, got 'new'" in run.refused("add-llm", "--id", "new")
    out = run.done("remove-llm", "--id", "new")
    assert out == f"new: removed; {len(before.llm_ids)} LLMs are left; kept in {run.folder}\n"
    assert run.router.llm_ids == before.llm_ids
    assert decided(run.router)[0].llm_id == decided(before)[0].llm_id


def test_wrong_llms_are_refused(tiny: Run) -> None:
    assert "(did you mean 'delta'?)" in tiny.refused("remove-llm", "--id", "dleta")
    assert "expected a non-empty id" in tiny.refused("add-llm", "--id", " ")
    assert "expected a number >= 0" in tiny.refused("add-llm", "--id", "new", "--input-price", "-1")
    assert "expected a finite number" in tiny.refused("add-llm", "--id", "new", "--output-price", "inf")
    for llm_id in LLMS[1:]:
        tiny.done("remove-llm", "--id", llm_id)
    assert "expected another LLM to remain, got the only one" in tiny.refused("remove-llm", "--id", LLMS[0])


def test_any_first_probes_hold_every_task_in_its_share(tiny: Run) -> None:
    queries = tiny.router.queries
    share = queries["task_id"].value_counts(normalize=True)
    rows = [json.loads(line) for line in tiny.done("probes", "--count", str(len(queries) + 5)).splitlines()]
    assert sorted(row["query_id"] for row in rows) == sorted(queries["query_id"]), "each once, and no more"
    for count in range(1, len(rows) + 1):
        found = pd.Series([row["task_id"] for row in rows[:count]]).value_counts().reindex(share.index, fill_value=0)
        assert (found - count * share).abs().max() <= len(share) - 1
        if count >= 2 * len(share):
            assert found.min() > 0
    assert tiny.done("probes", "--count", "7").splitlines() == [
        json.dumps(row, ensure_ascii=False) for row in rows[:7]
    ], "a smaller count is the start of a larger one"


def test_probes_come_in_no_order_of_the_table(tiny: Run) -> None:
    ids = [json.loads(line)["query_id"] for line in tiny.done("probes").splitlines()]
    assert len(ids) == min(50, len(tiny.router.queries))
    assert ids != sorted(ids)
    assert set(ids[:10]) != set(tiny.router.queries["query_id"].iloc[:10])


@pytest.mark.parametrize("count", ["0", "-3"])
def test_no_probes_are_not_printed(tiny: Run, count: str) -> None:
    assert f"--count: expected a whole number of 1 or more, got {count}" in tiny.refused("probes", "--count", count)


# ------------------------------------------------------------------------------------------------ the folder


def test_the_folder_is_replaced_whole_and_nothing_is_left_beside_it(tiny: Run) -> None:
    (tiny.folder / "stray.json").write_text("{}")
    beside = {"router.old", "router.draft"}
    for name in beside:
        (tiny.folder.parent / name).mkdir()
        (tiny.folder.parent / name / "mine").write_text("mine")
    tiny.done("add-llm", "--id", "new")
    assert {path.name for path in tiny.folder.parent.iterdir()} == {"router", *beside}
    assert all((tiny.folder.parent / name / "mine").read_text() == "mine" for name in beside), "a user's own folders"
    assert not (tiny.folder / "stray.json").exists()
    assert tiny.router.llm_ids == [*LLMS, "new"]


def test_a_save_that_fails_leaves_the_old_router(tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Router.save

    def half(self: Router, folder: Path) -> None:
        real(self, folder)
        (folder / "manifest.json").unlink()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Router, "save", half)
    assert "No space left on device" in tiny.refused("add-llm", "--id", "new")
    assert tiny.router.llm_ids == list(LLMS)


def test_ctrl_c_between_the_two_moves_leaves_the_old_router(tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = content(tiny.folder.parent), Path.rename

    def rename(self: Path, target: Path) -> Path:
        if target == tiny.folder and self.name == "new":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    assert tiny("add-llm", "--id", "new")[0] == 130
    assert content(tiny.folder.parent) == before


def test_output_keeps_it_elsewhere(tiny: Run, tmp_path: Path) -> None:
    before, other = content(tiny.folder), tmp_path / "new place" / "mine"
    out = tiny.done("prefer", "--user", "me", "0.3", "--output", str(other))
    assert out.endswith(f"; kept in {other}\n")
    assert content(tiny.folder) == before
    assert Router.load(other).wish("me").preference == 0.3
    tiny.done("prefer", "--user", "me", "0.4", "--output", str(other))
    assert Router.load(other).wish("me").preference == 0.4, "a router may be written over"
    (tmp_path / "empty").mkdir()
    tiny.done("prefer", "--user", "me", "0.5", "--output", str(tmp_path / "empty"))
    assert Router.load(tmp_path / "empty").wish("me").preference == 0.5


def test_output_never_takes_the_place_of_something_else(tiny: Run, tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter").write_text("dear")
    (tmp_path / "file").write_text("text")
    for name in ("documents", "file", "."):
        err = tiny.refused("prefer", "--user", "me", "0.3", "--output", str(tmp_path / name))
        assert "--output: expected a router or a new folder" in err
    err = tiny.refused("prefer", "--user", "me", "0.3", "--output", str(tmp_path / "file" / "router"))
    assert "--output: expected a folder that can be written" in err


def test_the_router_may_be_the_working_folder_or_a_link(tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tiny.folder.parent / "link"
    link.symlink_to(tiny.folder)
    Run(link, tiny.capsys).done("prefer", "--user", "me", "0.3")
    assert link.is_symlink()
    assert tiny.router.wish("me").preference == 0.3
    monkeypatch.chdir(tiny.folder)
    Run(Path("."), tiny.capsys).done("prefer", "--user", "me", "0.4")
    assert tiny.router.wish("me").preference == 0.4


def test_replace_refuses_what_is_no_router(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    with pytest.raises(InputError, match="expected a router or a new folder"):
        replace(router_of(), tmp_path)
    assert (tmp_path / "x").read_text() == "x"


# ------------------------------------------------------------------------------------------------ the command line


def test_a_missing_router_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = Run(tmp_path / "nowhere", capsys)
    for command in (("prefer", "--user", "me", "0.3"), ("probes",), ("remove-llm", "--id", "x")):
        assert "expected a router folder with manifest.json, found none" in missing.refused(*command)


def test_ctrl_c_is_130(tiny: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graph.update.Router.load", interrupted)
    assert tiny("probes") == (130, "", "")


@pytest.mark.parametrize(
    "arguments", [[], ["teach"], ["observe"], ["prefer", "--router", "x"], ["add-llm", "--router"]]
)
def test_a_wrong_command_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2
    assert "usage: python -m graph.update" in capsys.readouterr().err


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for command in ("observe", "prefer", "add-llm", "remove-llm", "probes", "examples:"):
        assert command in text
