"""Running the code of answers: right ones, wrong ones, and ones that try to look right or to stay."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from configs.errors import InputError
from data_processing.scoring import code_execution, score, score_all
from data_processing.scoring.code_execution import passes_tests, python_code, run_tests

TESTS = "assert double(2) == 4\nassert double(-1) == -2"
RIGHT = "def double(x):\n    return 2 * x\n"
CHECK = "def check(f):\n    assert f(2) == 4\n\ncheck(double)"


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT,
        f"```python\n{RIGHT}```",
        f"```\n{RIGHT}```\n",
        f"Sure! Here it is:\n\n```Python\n{RIGHT}\n```\nExample:\n```python\nprint(double(int(input())))\n```\nEnjoy.",
        f"First install it:\n```bash\npip install double\n```\n```py\n{RIGHT}```",
        f"```python\n{RIGHT}",  # the fence was never closed
        f"[PYTHON]\n{RIGHT}[/PYTHON]\n[TESTS]\nassert False\n[/TESTS]",
        f"Here is the function:\n\n{RIGHT}\nThis doubles a number, as you asked.",
        "```python\nimport math\n```\nand then\n```python\ndef double(x):\n    return math.prod([2, x])\n```",
        f"```python\ndef double(x):\n    return x\n```\nNo, that was wrong:\n```python\n{RIGHT}```",
        f"{RIGHT}\nif __name__ == '__main__':\n    raise SystemExit(double(1))",
        "class Twice:\n    def __call__(self, x): return 2 * x\ndouble = Twice()",
        f"```python\n{RIGHT}print('é' * 10)\n```",
    ],
)
def test_right_code_passes_however_it_is_wrapped(answer: str) -> None:
    assert passes_tests(answer, TESTS) == 1
    assert passes_tests(answer, CHECK) == 1


@pytest.mark.parametrize(
    "answer",
    [
        "def double(x):\n    return x * x\n",
        "def triple(x):\n    return 3 * x\n",
        "def double(x):\n    return 2 *\n",
        "```python\ndef double(x)\n    return 2 * x\n```",
        "def double(x):\n    return double(x)\n",
        "def double(x):\n    return 2 * x if x > 0 else 1 / 0\n",
        # to look right
        "import sys\nsys.exit(0)\n",
        "import os\nos._exit(0)\n",
        "import os, sys\nprint('passed')\nsys.stdout.flush()\nos._exit(0)\n",
        "import os\nfor fd in range(3, 20):\n    try: os.write(fd, b'passed')\n    except OSError: pass\nos._exit(0)\n",
        "import builtins\nbuiltins.AssertionError = ZeroDivisionError\ndef double(x):\n    return 1\n",
        "def double(x):\n    raise SystemExit(0)\n",
        "def double(x):\n    raise KeyboardInterrupt\n",
        "import atexit, os\natexit.register(os._exit, 0)\ndef double(x): raise ValueError\n",
        # to harm
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
        "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n",
        "def double(x):\n    return len(bytearray(8 << 30)) and 2 * x\n",
        "def double(x):\n    return int(input()) and 2 * x\n",
        f"```\nwith open('large', 'wb') as file:\n    file.write(bytes(100 << 20))\n{RIGHT}```",
        f"def double(x):\n    return {'(' * 500}2 * x{')' * 500}",
        f"def double(x):\n    return {'-' * 100_000}2 * x",
        "def double(x):\n    return 2 * x\x00",
        # no code at all
        "",
        "I'm sorry, but I can't help with that.",
        "import of goods is what I would double. def",
        "```\nno code, only text\n```",
        "from here on I do not know",
    ],
)  # fmt: skip
def test_other_code_fails(answer: str) -> None:
    assert passes_tests(answer, TESTS) == 0


def test_an_endless_loop_is_ended() -> None:
    deep = "import sys\nsys.setrecursionlimit(10**9)\ndef double(x):\n    return double(double(x))"
    start = time.perf_counter()
    assert not run_tests(deep, TESTS, timeout_s=0.5)
    assert not run_tests("while True:\n    pass\n", TESTS, timeout_s=0.3)
    assert not run_tests(f"{RIGHT}\nimport time\ntime.sleep(60)", TESTS, timeout_s=0.3)
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    ("leaves", "processes", "passed"),
    [
        ("os.fork() == 0 and time.sleep(60)", 2, True),
        ("os.fork() == 0 and (os.setsid(), time.sleep(60))", 2, True),
        ("os.fork() == 0 and (os.setsid(), os.fork(), time.sleep(60))", 3, True),
        ("note(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)", 2, True),
        ("threading.Thread(target=time.sleep, args=(60,)).start()", 1, True),
        ("os.fork() and time.sleep(60)", 2, False),
    ],
)
def test_no_process_is_left(leaves: str, processes: int, passed: bool, tmp_path: Path) -> None:
    log = tmp_path / "pids"
    code = f"""
import os, subprocess, threading, time
def note(pid):
    with open({str(log)!r}, "a") as file:
        file.write(f"{{pid}}\\n")
note(os.getpid())
os.register_at_fork(after_in_child=lambda: note(os.getpid()))
{leaves}
while len(open({str(log)!r}).readlines()) < {processes}:
    pass
"""
    start = time.perf_counter()
    assert run_tests(code + RIGHT, TESTS, timeout_s=5 if passed else 0.5) == passed
    assert time.perf_counter() - start < 10
    pids = [int(line) for line in log.read_text().split()]
    assert len(pids) == processes
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_output_of_any_size_is_dropped() -> None:
    assert run_tests(
        "import sys\nfor _ in range(200):\n    print('x' * 10**6)\n    sys.stderr.write('y' * 10**6)\n" + RIGHT, TESTS
    )


def test_keys_in_the_environment_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    assert run_tests("import os", "assert 'SOME_API_KEY' not in os.environ")


def test_the_working_folder_is_empty_and_goes(tmp_path: Path) -> None:
    log = tmp_path / "folder"
    code = (
        f"import os\nassert os.listdir() == []\nopen('made', 'w').close()\nopen({str(log)!r}, 'w').write(os.getcwd())"
    )
    assert run_tests(code, "assert os.path.exists('made')")
    assert not Path(log.read_text()).exists()


@pytest.mark.parametrize("tests", ["def check(f):\n    assert f(2) == 4\n", "", "'text'", "import math\nx: int = 3"])
def test_tests_that_test_nothing_are_refused(tests: str) -> None:
    with pytest.raises(InputError, match="expected tests that are run in ground_truth, got only definitions"):
        passes_tests(RIGHT, tests)


def test_a_truth_that_is_no_program_is_refused() -> None:
    with pytest.raises(InputError, match="expected a Python program in ground_truth, got 'the answer is'"):
        passes_tests(RIGHT, "the answer is")


def test_a_machine_that_runs_nothing_is_no_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    code_execution._check_machine.cache_clear()
    monkeypatch.setattr(code_execution, "_RUNNER", Path("/nowhere.py"))
    with pytest.raises(InputError, match="expected Linux, with /proc and room to start a process"):
        passes_tests(RIGHT, TESTS)


def test_it_is_off_unless_asked_for() -> None:
    for name in ("code", "data_processing.scoring.code_execution:passes_tests"):
        with pytest.raises(InputError, match=r"expected build\.run_code to be true"):
            score(name, RIGHT, TESTS)
    assert score_all("code", [RIGHT, " "], [TESTS, TESTS], run_code=True).tolist() == [1, 0]


def test_only_code_is_taken_from_a_reply() -> None:
    assert python_code("```python\nprint(1)\n```") is None
    assert python_code(f"```js\nfunction f() {{}}\n```\n```python\n{RIGHT}```") == RIGHT
