"""The store: round trips, what replaces what, two processes, kill -9, a full disk, foreign files."""

import itertools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from configs.errors import InputError
from data_processing.asking import claims
from data_processing.cache import Outcome, ResponseStore
from data_processing.llm_client import CallError, Completion
from tests.data_processing.scripted_api import call

ROOT = Path(__file__).resolve().parent.parent.parent
ANSWER = Completion("Forty-two.", 12, 4, 0.25, estimated=True, finish_reason="stop")
# What a process needs to use the store given as its first argument.
PRELUDE = """
import sys
from data_processing.cache import Outcome, ResponseStore
from data_processing.llm_client import CallError, Completion
from tests.data_processing.scripted_api import call
path = sys.argv[1]
"""


def start(script: str, path: Path) -> subprocess.Popen[str]:
    """Run a script in a process of its own, its standard input and output open."""
    command = [sys.executable, "-c", PRELUDE + script, str(path)]
    pipes = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipes, stdout=pipes, stderr=pipes, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "responses.sqlite"


def test_an_answer_comes_back_as_it_was(path: Path) -> None:
    with ResponseStore(path) as store:
        assert store.get(call("a").key) is None
        store.put(call("a"), ANSWER)
    with ResponseStore(path) as store:
        assert store.get(call("a").key) == ANSWER
        assert store.get(call("b").key) is None


@pytest.mark.parametrize(
    "text", ["NUL \0 in it\0", "😀 ünï", "lone \ud83d and \udc00", "x\ud800" * 100_000, "y" * 200_000]
)
def test_any_text_survives(path: Path, text: str) -> None:
    asked = call(text)
    with ResponseStore(path) as store:
        store.put(asked, Completion(text, 1, 1, 0.1, finish_reason=text[:5]))
        store.put_error(call("other"), CallError("server", text))
    with ResponseStore(path) as store:
        assert store.get(asked.key) == Completion(text, 1, 1, 0.1, finish_reason=text[:5])
        assert store.error(call("other").key) == ("server", text)


def test_the_file_says_in_plain_sql_what_was_asked_and_what_it_cost(path: Path) -> None:
    with ResponseStore(path) as store:
        store.put(call("a", price=2.0, seed=3), ANSWER)
    row = sqlite3.connect(path).execute(
        "SELECT llm_id, api_model, messages, parameters, text, cost_usd, error_kind, asked_at_s FROM calls"
    ).fetchone()  # fmt: skip
    expected = ("m", "m", '[["user", "a"]]', '{"max_tokens": 5, "seed": 3}', "Forty-two.", pytest.approx(32e-6), None)
    assert row[:7] == expected
    assert abs(row[7] - time.time()) < 60


def test_an_error_is_no_answer_and_is_replaced_by_one(path: Path) -> None:
    asked = call("a")
    with ResponseStore(path) as store:
        store.put_error(asked, CallError("server", "broken", 500, 3))
        assert store.get(asked.key) is None
        assert store.known([asked.key]) == set()
        assert store.error(asked.key) == ("server", "broken")
        store.put_error(asked, CallError("timeout", "slow", None, 2))
        assert store.error(asked.key) == ("timeout", "slow")
        assert store._open.execute("SELECT attempts FROM calls").fetchone() == (5,)
        store.put(asked, ANSWER)
        assert store.get(asked.key) == ANSWER
        assert store.error(asked.key) is None


def test_nothing_replaces_an_answer(path: Path) -> None:
    with ResponseStore(path) as store:
        store.put(call("a"), ANSWER)
        store.put_error(call("a"), CallError("server", "broken"))
        store.put(call("a"), Completion("another", 1, 1, 0.1))
        assert store.get(call("a").key) == ANSWER
        assert store.error(call("a").key) is None


def test_known_takes_more_keys_than_a_statement_takes(path: Path) -> None:
    with ResponseStore(path) as store:
        store.put_all([Outcome(call(str(number)), ANSWER) for number in range(0, 40_000, 1000)])
        assert len(store.known(call(str(number)).key for number in range(40_000))) == 40


def test_spent_counts_answers_and_what_failures_cost(path: Path) -> None:
    first, second, third = call("a"), call("b"), call("c")
    with ResponseStore(path) as store:
        assert store.spent_usd() == 0
        store.put(first, ANSWER)  # 16 tokens at $1 per million
        store.put_all([Outcome(second, CallError("empty", "nothing"), failed_usd=5e-6)])
        store.put_all([Outcome(second, ANSWER, failed_usd=1e-6)])
        store.put_error(third, CallError("server", "broken"))
        assert store.spent_usd() == pytest.approx(38e-6)
        assert store.spent_usd([second.key, second.key]) == pytest.approx(22e-6)
        assert store.spent_usd([third.key]) == 0
        assert store.spent_usd([]) == 0


def test_claims_go_to_one_and_end_with_the_outcome(path: Path) -> None:
    keys = [call(name).key for name in "abcd"]
    with ResponseStore(path) as mine, ResponseStore(path) as other:
        mine.put(call("a"), ANSWER)
        mine.put_error(call("b"), CallError("server", "broken"))
        now = time.time() + 1
        assert list(mine.claim(keys, now).values()) == ["answered", "own", "own", "own"]
        assert list(other.claim(keys, now).values()) == ["answered", "elsewhere", "elsewhere", "elsewhere"]
        assert list(mine.claim(keys, now).values()) == ["answered", "under_way", "under_way", "under_way"]
        mine.put(call("c"), ANSWER)
        mine.put_error(call("d"), CallError("server", "broken"))
        mine.release_claims()
        assert list(other.claim(keys, 0.0).values()) == ["answered", "failed", "answered", "failed"]
        assert list(other.claim(keys, now).values()) == ["answered", "own", "answered", "own"]


def test_claims_of_a_killed_process_lapse_at_once(path: Path) -> None:
    keys = [call("a").key, call("b").key]
    script = """
with ResponseStore(path) as store:
    store.put(call("a"), Completion("kept", 1, 1, 0.1))
    store.claim([call("b").key], 0.0)
    print("claimed", flush=True)
    sys.stdin.read()
"""
    process = start(script, path)
    assert line(process) == "claimed"
    with ResponseStore(path) as store:
        assert list(store.claim(keys, 0.0).values()) == ["answered", "elsewhere"]
        process.kill()
        process.communicate()
        assert list(store.claim(keys, 0.0).values()) == ["answered", "own"]
        kept = store.get(keys[0])
        assert kept is not None
        assert kept.text == "kept"


def test_a_claim_lapses_when_its_pid_is_another_process_now(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ResponseStore(path) as mine, ResponseStore(path) as other:
        mine.claim([call("a").key], 0.0)
        monkeypatch.setattr(claims, "started", lambda pid: "another start")
        assert list(other.claim([call("a").key], 0.0).values()) == ["own"]


def test_claims_of_another_host_lapse_in_silence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ResponseStore(path) as mine, ResponseStore(path) as other:
        with monkeypatch.context() as there:
            there.setattr(claims.socket, "gethostname", lambda: "far-away")
            mine.claim([call("a").key], 0.0)
        monkeypatch.setattr(claims, "started", lambda pid: "unknown here")
        assert list(other.claim([call("a").key], 0.0).values()) == ["elsewhere"]
        later = time.time() + claims.SILENCE_S + 1
        monkeypatch.setattr(claims.time, "time", lambda: later)
        assert list(other.claim([call("a").key], 0.0).values()) == ["own"]


def test_a_living_process_is_known_by_its_start_and_a_dead_one_is_not() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert claims.started(process.pid) != ""
    assert claims.started(process.pid) == claims.started(process.pid)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped
    assert claims.started(process.pid) == ""
    process.communicate()
    assert claims.started(process.pid) == ""


def test_several_processes_write_at_once(path: Path) -> None:
    script = """
sys.stdin.readline()
for number in range(60):
    with ResponseStore(path) as store:
        store.put(call(f"{sys.argv[2:]} {number}"), Completion(str(number), 1, 1, 0.1))
"""
    processes = [start(script.replace("sys.argv[2:]", repr(name)), path) for name in ("a", "b", "c")]
    for process in processes:  # all at once, on a file that is not there yet
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    with ResponseStore(path) as store:
        assert store._open.execute("SELECT COUNT(*) FROM calls").fetchone() == (180,)


def test_what_was_stored_outlives_kill_9(path: Path) -> None:
    script = """
with ResponseStore(path) as store:
    for number in range(10**9):
        store.put(call(str(number)), Completion("text", 1, 1, 0.1))
        print(number, flush=True)
"""
    process = start(script, path)
    assert process.stdout is not None
    last = -1
    while last < 50:
        last = int(line(process))
    process.kill()
    rest, _ = process.communicate()
    last = int(rest.rstrip("\n").split("\n")[-2]) if rest.count("\n") > 1 else last
    with ResponseStore(path) as store:
        assert len(store.known(call(str(number)).key for number in range(last + 1))) == last + 1
        assert store._open.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def fill(store: ResponseStore) -> int:
    """Store answers until it fails; return how many were stored. The failure must say path and remedy."""
    stored: list[int] = []

    def put_for_ever() -> None:
        for number in itertools.count():
            store.put(call(str(number)), Completion("x" * 5000, 1, 1, 0.1))
            stored.append(number)

    with pytest.raises(InputError, match=r"responses\.sqlite.*free some space"):
        put_for_ever()
    return len(stored)


def test_a_full_disk_stops_cleanly_and_leaves_what_was_stored(path: Path) -> None:
    with ResponseStore(path) as store:
        store._open.execute("PRAGMA max_page_count = 60")
        stored = fill(store)
        assert stored > 10
        with pytest.raises(InputError, match="full"):
            store.put(call("again"), Completion("x" * 5000, 1, 1, 0.1))
        assert store.get(call(str(stored - 1)).key) is not None
    with ResponseStore(path) as store:  # room again
        store.put(call("again"), ANSWER)
        assert len(store.known(call(str(number)).key for number in range(stored))) == stored


def test_a_file_system_that_takes_no_more_stops_cleanly(path: Path) -> None:
    script = """
import resource, signal
from configs.errors import InputError
from tests.data_processing.test_cache import fill
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
with ResponseStore(path) as store:
    print(fill(store))
"""
    out, err = start(script, path).communicate()
    assert int(out) > 5, err
    with ResponseStore(path) as store:
        assert len(store.known(call(str(number)).key for number in range(int(out)))) == int(out)


def test_foreign_files_are_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a,b\n1,2\n" * 200)
    with (
        pytest.raises(InputError, match=r"responses\.sqlite.*not a store.*put it aside.*asked again"),
        ResponseStore(path),
    ):
        pass
    assert path.read_text().startswith("a,b")
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE mine (a)")
    db.commit()
    db.close()
    with pytest.raises(InputError, match=r"another SQLite file.*put it aside"), ResponseStore(path):
        pass


def test_a_newer_store_is_refused(path: Path) -> None:
    with ResponseStore(path):
        pass
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(InputError, match=r"version 1, got version 2"), ResponseStore(path):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with (
        pytest.raises(InputError, match=r"responses\.sqlite.*allow writing"),
        ResponseStore(tmp_path / "responses.sqlite"),
    ):
        pass
    tmp_path.chmod(0o700)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    with (
        pytest.raises(InputError, match="expected a store of answers"),
        ResponseStore(tmp_path / "folder" / "s.sqlite"),
    ):
        pass
