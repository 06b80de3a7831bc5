"""What README.md tells people to run, edit and look at is there and works as it says."""

import ast
import importlib
import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import run_exp
from baselines.binary_router import BinaryRouter
from configs.load import load_config
from configs.schema import Config, Data, Source, project_root
from data_processing.importers import load_source
from evaluation.calibrate import Calibration
from graph.records import Decision
from graph.router import Router
from graph.threshold import Threshold

ROOT = project_root()
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[a-z-]+) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
BLOCKS = [(match["mark"], match["language"], match["text"]) for match in FENCE.finditer(README)]


def block(mark: str) -> str:
    found = [text for name, _, text in BLOCKS if name == mark]
    assert len(found) == 1, f"{mark}: {len(found)} blocks"
    return found[0]


def commands() -> list[list[str]]:
    """Every command of every bash block, as words, without a redirection of its output."""
    lines = itertools.chain.from_iterable(text.splitlines() for _, language, text in BLOCKS if language == "bash")
    found = []
    for part in itertools.chain.from_iterable(re.split(r"&&|\|\|", line) for line in lines):
        words = shlex.split(part.strip("() "))
        found.append(words[: words.index(">")] if ">" in words else words)
    return found


def python_calls() -> list[tuple[str, list[str]]]:
    """(module, arguments) of every `python run_exp.py …` and `python -m module …`."""
    words = [command for command in commands() if Path(command[0]).name in ("python", "python3", "python3.11")]
    return [(w[2], w[3:]) if w[1] == "-m" else (w[1].removesuffix(".py"), w[2:]) for w in words]


OURS = [call for call in python_calls() if call[0] not in ("venv", "pytest")]


def test_the_commands_are_found() -> None:
    assert {module for module, _ in python_calls()} >= {"venv", "pytest", "run_exp", "graph.route"}


@pytest.mark.parametrize(("module", "arguments"), OURS, ids=[f"{m} {' '.join(a)}" for m, a in OURS])
def test_each_command_parses_and_its_flags_are_in_the_help(module: str, arguments: list[str]) -> None:
    package = (ROOT / module.replace(".", "/")).is_dir()
    parser = importlib.import_module(f"{module}.__main__" if package else module)._parser()
    parser.parse_args(arguments)  # exits where an argument is unknown
    flags = [word for word in arguments if word.startswith("--")]
    known = set(re.findall(r"--[a-z][\w-]*", parser.format_help()))
    assert set(flags) <= known  # argparse takes abbreviations; a README should not teach them


@pytest.mark.parametrize("arguments", [a for m, a in OURS if m == "run_exp"], ids=" ".join)
def test_each_experiment_is_a_valid_configuration(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_DATASETS", "somewhere")
    monkeypatch.chdir(ROOT)
    options = run_exp._parser().parse_args(arguments)
    config = load_config(options.config, options.set or ())
    assert config.data.source == "simulated" or config.data.path


def test_the_set_up_commands_use_what_is_there() -> None:
    for mark, needed in (("run-command", "requirements.txt"), ("test-command", "requirements-dev.txt")):
        command = block(mark)
        assert command.count("\n") == 1, "one line, as it is pasted"
        assert f".venv/bin/pip install -r {needed} " in command
        assert (ROOT / needed).is_file()
    assert ".venv/" in (ROOT / ".gitignore").read_text().splitlines()
    development = (ROOT / "requirements-dev.txt").read_text()
    assert "-r requirements.txt\n" in development
    assert "pytest-xdist" in development, "for -n 2"


@pytest.mark.parametrize("python", ["python3.11", "python3"])
def test_the_set_up_makes_an_environment_whichever_name_python_has(python: str, tmp_path: Path) -> None:
    """Each name in turn is the only one there is; the fakes write down how they are called."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / python).write_text('#!/bin/sh\necho "$0 $*" >> "$CALLS"\n')
    (tools / python).chmod(0o755)
    set_up = block("test-command").partition("&&")[0]
    environment = {"PATH": str(tools), "CALLS": str(tmp_path / "calls")}
    subprocess.run(["/bin/sh", "-c", set_up], env=environment, check=True, cwd=tmp_path)
    assert (tmp_path / "calls").read_text() == f"{tools / python} -m venv .venv\n"


def test_continuous_integration_runs_the_test_command_of_this_page() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    run = subprocess.run([script, "--print"], capture_output=True, text=True, check=True, cwd="/")
    assert run.stdout == block("test-command")


def pins(name: str) -> dict[str, str]:
    lines = [line.strip() for line in (ROOT / name).read_text().splitlines()]
    wanted = [line for line in lines if line and not line.startswith(("#", "-"))]
    loose = [line for line in wanted if not re.fullmatch(r"[\w.-]+==\d[\w.]*", line)]
    assert not loose, f"{name}: not pinned: {loose}"
    return dict(line.split("==") for line in wanted)


def test_requirements_are_pinned_once() -> None:
    runtime = pins("requirements.txt") | pins("requirements-serving.txt")
    development = pins("requirements-dev.txt")
    assert runtime["torch"] == "2.13.0"
    assert not set(runtime) & set(development)


def imported(files: list[Path]) -> set[str]:
    names = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names


def test_what_is_imported_is_required() -> None:
    distribution = {
        "sklearn": "scikit-learn", "yaml": "PyYAML", "torch_geometric": "torch-geometric", "PIL": "pillow",
        "annotated_types": "annotated-types", "markdown_it": "markdown-it-py",
    }  # fmt: skip
    tests = list((ROOT / "tests").rglob("*.py"))
    here = {path.name for path in ROOT.iterdir() if path.is_dir()} | {path.stem for path in ROOT.glob("*.py")}
    runtime = pins("requirements.txt") | pins("requirements-serving.txt")
    development = pins("requirements-dev.txt")
    for files, allowed in ((sources(), set(runtime)), (tests, {*runtime, *development})):
        foreign = imported(files) - here - set(sys.stdlib_module_names) - {"__future__"}
        assert {distribution.get(name, name) for name in foreign} <= allowed


def sources() -> list[Path]:
    """Every Python file of the product that says something; an empty `__init__.py` does not."""
    folders = [p for p in ROOT.iterdir() if p.is_dir() and p.name not in ("tests", "runs", "data") and p.name[0] != "."]
    files = [*ROOT.glob("*.py"), *itertools.chain.from_iterable(folder.rglob("*.py") for folder in folders)]
    return [file for file in files if file.stat().st_size]


def tree() -> dict[str, str]:
    """path -> comment, from the tree's indentation of two spaces per folder."""
    found: dict[str, str] = {}
    folders: list[str] = []
    for line in block("tree").splitlines():
        name, _, comment = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        path = "/".join([*folders[:depth], name.rstrip("/")])
        assert path not in found, f"{path} twice"
        found[path] = comment.strip()
        if name.endswith("/"):
            folders = [*folders[:depth], name.rstrip("/")]
    return found


def test_everything_in_the_tree_exists_and_has_one_comment() -> None:
    for path, comment in tree().items():
        assert (ROOT / path).exists(), path
        assert comment or (ROOT / path).is_dir(), f"{path} has no comment"


def test_every_source_file_and_configuration_is_in_the_tree() -> None:
    files = [*sources(), *(ROOT / "configs").glob("*.yaml"), *ROOT.glob("requirements*.txt")]
    assert {file.relative_to(ROOT).as_posix() for file in files} - set(tree()) == set()


def test_files_named_in_the_text_exist() -> None:
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|yaml|md|txt|html))`", README))
    assert "configs/default.yaml" in named
    assert [name for name in named if not name.startswith("runs/") and not (ROOT / name).exists()] == []


def flat(values: dict[str, Any], prefix: str = "") -> set[str]:
    keys: set[str] = set()
    for name, value in values.items():
        keys |= {prefix + name} | (flat(value, f"{prefix}{name}.") if isinstance(value, dict) else set())
    return keys


def test_keys_named_in_the_text_are_keys_of_the_configuration() -> None:
    sections = "|".join(Config.model_fields)
    named = set(re.findall(rf"`((?:{sections})\.[a-z_.]+)(?:=[^`]*)?`", README))
    assert "data.llms_file" in named
    assert named <= flat(Config().model_dump())


def test_every_result_file_is_described() -> None:
    table = README.split("## What a run leaves behind")[1].split("\n## ")[0]
    for name in (*run_exp.RESULT_FILES, "config.yaml", "log.txt", "router/", "plots/*.png"):
        assert f"`{name}`" in table, name


def test_the_example_of_an_own_table_can_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "my.csv"
    path.write_text(block("own-table"), encoding="utf-8")
    dataset = load_source(Data(source="tables", path=str(path))).dataset
    assert (len(dataset.queries), len(dataset.llms), len(dataset.tasks), len(dataset.outcomes)) == (2, 2, 2, 4)
    assert dataset.cost_kind == "published"


def test_python_examples_use_what_exists() -> None:
    examples = [ast.parse(text) for _, language, text in BLOCKS if language == "python"]
    assert examples
    known = {*Decision.__dataclass_fields__, *dir(Router), *BinaryRouter.__dataclass_fields__, *dir(BinaryRouter)}
    known |= {*dir(Threshold), *Calibration.__dataclass_fields__}
    for example in examples:
        for node in ast.walk(example):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert [name.name for name in node.names if not hasattr(module, name.name)] == []
            elif isinstance(node, ast.Attribute):
                assert node.attr in known, node.attr
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "route":
                assert {keyword.arg for keyword in node.keywords} <= set(Router.route.__annotations__)


def test_counts_and_names_in_the_text_are_those_of_the_code() -> None:
    routers = [name for name in Config().evaluate.policies if name not in ("graph", "oracle")]
    assert len(routers) == 10, "README's first paragraph counts the other routers in words"
    assert "ten other routers" in README
    assert "personalizedrouter" in Source.__args__
    for name in ("results", "output"):
        assert f"<!-- {name} -->" in README
