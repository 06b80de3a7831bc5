"""Metric `code`: whether the function in an answer passes the tests that are its ground truth (HumanEval, MBPP).

This runs what an LLM wrote. It runs in a process of its own, in a temporary folder, without this process's environment
variables (keys), under limits on time, memory and the size of files, and no process of it is left when it ends. It is
no sandbox: the code can read what you can read, write where you can write, and reach the network. Hence it is off
until `build.run_code` is true. Linux only.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from configs.errors import InputError

TIMEOUT_S = 10.0
MEMORY_BYTES = 1 << 30
_START_S = 20.0  # for the interpreter to start and to end, on a busy machine
_RUNNER = Path(__file__).with_name("code_runner.py")
_FENCED = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_TAGGED = re.compile(r"\[PYTHON\](.*?)(?:\[/PYTHON\]|\Z)", re.DOTALL)
_PYTHON = ("", "python", "python3", "py")
_FIRST_LINE = re.compile(r"(?m)^(?:def|class|async def|import|from|@)\b|^@")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
_NO_TESTS = (*_DEFINITIONS, ast.Assign, ast.AnnAssign, ast.Pass)
_MOST_CUTS = 200  # lines of prose behind bare code


def passes_tests(prediction: str, ground_truth: str) -> float:
    """Return 1 where the code of an answer runs and every statement of the ground truth after it, else 0.

    The ground truth is a Python program that raises where the code is wrong: `assert f(1) == 2`, or `def check(f): …`
    with `check(f)` below. Raises `InputError` where it is no program, or one that tests nothing. See `run_tests`.
    """
    _check_tests(ground_truth)
    _check_machine()
    code = python_code(prediction)
    return float(code is not None and run_tests(code, ground_truth))


def run_tests(code: str, tests: str, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES) -> bool:
    """Run the code, then the tests, and return whether both came to their end.

    `timeout_s` is wall-clock time. The process sees the name `answer` as `__name__`, an empty stdin, and no variables
    but PATH, HOME and TMPDIR; what it prints is dropped.
    """
    job = json.dumps({"code": code, "tests": tests, "timeout_s": timeout_s, "memory_bytes": memory_bytes})
    with tempfile.TemporaryDirectory(prefix="answer-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [sys.executable, "-I", str(_RUNNER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            # Numeric libraries reserve memory for each thread, and would meet the limit on a machine of many cores.
            env={"PATH": os.defpath, "HOME": folder, "TMPDIR": folder, "OMP_NUM_THREADS": "1",
                 "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            start_new_session=True,
        )  # fmt: skip
        try:
            out, _ = process.communicate(job.encode(), timeout=timeout_s + _START_S)
        except subprocess.TimeoutExpired:
            out = b""
        finally:  # the runner ends its own; this is for the case that the answer ended or stopped the runner
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return out == b"passed"


def python_code(text: str) -> str | None:
    """Return the Python program of a reply, or None where it has none.

    Fenced blocks that define or import something are taken together, in order, so that a corrected version replaces
    the first one; blocks that only show a use are left out. Without a fence the reply itself is the program, from its
    first line of code on.
    """
    blocks = [block for language, block in _FENCED.findall(text) if language.lower() in _PYTHON]
    for found in (blocks, _TAGGED.findall(text)):
        defining = [block for block in found if _defines(_parsed(block))]
        if defining:
            return "\n".join(defining)
    return _bare(text)


def _bare(text: str) -> str | None:
    start = _FIRST_LINE.search(text)
    if start is None:
        return None
    lines = text[start.start() :].splitlines()
    for end in range(len(lines), max(len(lines) - _MOST_CUTS, 0), -1):
        tree = _parsed("\n".join(lines[:end]))
        if tree is not None:
            return "\n".join(lines[:end]) if _defines(tree) else None
    return None


def _parsed(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deeply to be read
        return None


def _defines(tree: ast.Module | None) -> bool:
    return tree is not None and any(isinstance(node, _DEFINITIONS) for node in tree.body)


@functools.cache
def _check_machine() -> None:
    """Raise `InputError` where nothing can be run: every answer would look wrong."""
    if not sys.platform.startswith("linux") or not run_tests("", "assert True", _START_S):
        raise InputError(
            f"metric 'code': expected Linux, with /proc and room to start a process, got {sys.platform} where a "
            "program that is right does not run; score this task elsewhere"
        )


def _check_tests(tests: str) -> None:
    tree = _parsed(tests)
    if tree is None:
        raise InputError(f"metric 'code': expected a Python program in ground_truth, got {tests[:60]!r}; mend the row")
    if all(isinstance(node, _NO_TESTS) or _is_text(node) for node in tree.body):
        raise InputError(
            f"metric 'code': expected tests that are run in ground_truth, got only definitions, {tests[:60]!r}; add "
            "asserts, or a call such as check(name) as its last line"
        )


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
