"""The process behind `data_processing.scoring.code_execution`: runs an answer and its tests, and leaves none behind.

Started as a program of its own, with `python -I`. Reads JSON {code, tests, timeout_s, memory_bytes} from stdin, runs
it in a child and writes `passed` or `failed` to stdout. Only the standard library, so that it starts fast.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import secrets
import select
import signal
import sys
from pathlib import Path

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
_LARGEST_FILE = 16 << 20  # bytes


def main() -> None:
    """Run what stdin says, and tell whether every test passed."""
    job = json.load(sys.stdin)
    # Processes whose parent ended become children of this one, whatever session they moved to: none gets away.
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    reading, writing = os.pipe()
    secret = secrets.token_bytes(16)
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run(job, writing, secret)
    os.close(writing)
    ended, _, _ = select.select([os.pidfd_open(child)], [], [], job["timeout_s"])
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if ended else None
    _end_descendants()
    passed = status == 0 and os.read(reading, len(secret)) == secret
    sys.stdout.write("passed" if passed else "failed")


def _run(job: dict, writing: int, secret: bytes) -> None:
    """Run code and tests in this process, which ends here; the secret goes out only when the last test is through.

    A marker on stdout could be printed by the answer, and a clean exit made by it: neither says anything.
    """
    write, leave = os.write, os._exit
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # input() finds the end, and output of any length goes nowhere
        os.dup2(null, stream)
    _limit(job["timeout_s"], job["memory_bytes"])
    try:
        names: dict = {"__name__": "answer"}  # not __main__: what an answer does as a script is not asked for
        exec(compile(job["code"], "<answer>", "exec"), names)
        exec(compile(job["tests"], "<tests>", "exec"), names)
    except BaseException:  # noqa: BLE001 - whatever ends it, sys.exit and Ctrl-C included, is a failed test
        leave(1)
    write(writing, secret)
    leave(0)


def _limit(timeout_s: float, memory_bytes: int) -> None:
    seconds = int(timeout_s) + 1
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard),) * 2)


def _end_descendants() -> None:
    """Kill children until none is left; those of a killed child become children of this process, and are next."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while True:
        for pid in children.read_text(encoding="ascii").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
