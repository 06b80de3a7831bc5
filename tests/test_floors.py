"""The shape of the project: which folder may import which, and that importing does nothing else."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {
    "configs": 0,
    "data_processing": 1,
    "graph": 2,
    "baselines": 3,
    "evaluation": 4,
    "serving": 5,
    "run_exp": 5,
    "benchmarks": 5,
}
NO_TORCH = ("configs", "data_processing")
TORCH = {"torch", "torch_geometric", "sentence_transformers", "transformers"}


def sources() -> list[Path]:
    found = [ROOT / "run_exp.py"]
    for folder in FLOORS:
        found += sorted((ROOT / folder).rglob("*.py")) if (ROOT / folder).is_dir() else []
    return found


def folder_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[str, int, int]]:
    """Yield (module, relative level, line) of every import, also those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level, node.lineno


def misdirected(text: str, folder: str) -> list[str]:
    """Return what is wrong with the imports of a file of `folder`."""
    wrong = []
    for module, level, line in imports(ast.parse(text)):
        top = module.split(".")[0]
        if level:
            wrong.append(f"line {line}: relative import")
        elif top == "tests":
            wrong.append(f"line {line}: imports tests")
        elif top in FLOORS and top != folder and FLOORS[top] >= FLOORS[folder]:
            wrong.append(f"line {line}: {folder} (floor {FLOORS[folder]}) imports {module} (floor {FLOORS[top]})")
        elif folder in NO_TORCH and top in TORCH:
            wrong.append(f"line {line}: {folder} imports {module}")
    return wrong


def test_every_folder_of_code_has_a_floor() -> None:
    folders = {p.parent.name for p in ROOT.glob("*/__init__.py")} | {p.stem for p in ROOT.glob("*.py")}
    assert folders - {"tests"} <= set(FLOORS)
    assert len(sources()) > 50


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    assert misdirected(path.read_text(encoding="utf-8"), folder_of(path)) == []


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("from graph.policy import Policy", "data_processing"),
        ("def f():\n    import evaluation.report", "baselines"),
        ("import run_exp", "serving"),
        ("from . import x", "graph"),
        ("from .policy import x", "graph"),
        ("import torch.nn", "data_processing"),
        ("from tests.contract import x", "evaluation"),
    ],
)
def test_a_wrong_import_is_found(text: str, folder: str) -> None:
    assert len(misdirected(text, folder)) == 1


def test_a_right_import_is_not() -> None:
    assert misdirected("import numpy\nfrom configs.schema import Config\nfrom graph.build import x", "graph") == []


PROBE = """
import importlib, socket, sys
import numpy, pandas, sklearn, torch, torch_geometric, tokenizers, safetensors, pyarrow, matplotlib.pyplot

def refuse(*arguments, **_):
    raise SystemExit(f"connected at import: {arguments}")

socket.socket.connect = refuse
before = {name for name in sys.modules}
opened = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        writes = isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        loads = arguments[0].endswith((".yaml", ".json", ".safetensors", ".csv", ".parquet", ".sqlite"))
        if (writes or loads) and arguments[0].startswith(tuple(sys.argv[1].split("|"))):
            opened.append(arguments[:2])
    if event == "subprocess.Popen":
        opened.append(arguments)
sys.addaudithook(watch)
for name in sys.argv[2].split(","):
    importlib.import_module(name)
print("opened", opened)
"""


def test_importing_everything_reads_no_data_and_writes_nothing(tmp_path: Path) -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in sources()]
    names = [name for name in names if not name.endswith("__main__")]
    places = [tmp_path, ROOT / "configs", ROOT / "data", ROOT / "runs"]
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROBE, "|".join(map(str, places)), ",".join(names)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "opened []\n"
    assert list(tmp_path.iterdir()) == []
