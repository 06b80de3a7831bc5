"""Cached vectors are the computed ones, are computed once, and survive interruption, damage and a second process."""

import logging
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from configs.errors import InputError
from configs.schema import project_root
from graph import embedding_cache
from graph.embedding_cache import CachedEncoder
from graph.hashing_encoder import HashingEncoder


class Counting:
    """Hashed vectors in batches of two, last text first; keeps what it was asked, may be stopped."""

    def __init__(self, key: str = "fake", dim: int = 8, stop_after: int | None = None) -> None:
        self.key = key
        self.dim = dim
        self.stop_after = stop_after
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        return HashingEncoder(self.dim).encode(texts)

    def batches(self, texts: Sequence[str], progress: bool = False) -> Iterator[tuple[list[int], np.ndarray]]:
        order = list(range(len(texts)))[::-1]
        for number, start in enumerate(range(0, len(order), 2)):
            if number == self.stop_after:
                raise KeyboardInterrupt
            rows = order[start : start + 2]
            self.asked += [texts[row] for row in rows]
            yield rows, self.encode([texts[row] for row in rows])


TEXTS = ["one", "two", "three", "", "two", "\ud800 half a character", "nul \x00"]


def test_vectors_are_the_inner_encoders_in_order_and_computed_once(tmp_path: Path) -> None:
    inner = Counting()
    expected = inner.encode(TEXTS)
    got = CachedEncoder(inner, tmp_path).encode(TEXTS)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == np.float32
    assert sorted(inner.asked) == sorted(set(TEXTS))
    again = Counting()
    np.testing.assert_array_equal(CachedEncoder(again, tmp_path).encode([*TEXTS[::-1], "new"])[:-1], expected[::-1])
    assert again.asked == ["new"]


def test_no_texts_make_an_empty_table(tmp_path: Path) -> None:
    inner = Counting()
    assert CachedEncoder(inner, tmp_path).encode([]).shape == (0, 8)
    assert inner.asked == []


def test_one_text_instead_of_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="sequence of texts"):
        CachedEncoder(Counting(), tmp_path).encode("abc")


def test_keys_do_not_share_vectors(tmp_path: Path) -> None:
    CachedEncoder(Counting("a"), tmp_path).encode(["x"])
    other = Counting("b", dim=4)
    assert CachedEncoder(other, tmp_path).encode(["x"]).shape == (1, 4)
    assert other.asked == ["x"]
    assert CachedEncoder(other, tmp_path).key == "b"


def test_an_interrupted_run_keeps_its_finished_batches(tmp_path: Path) -> None:
    texts = [f"text {i}" for i in range(9)]
    with pytest.raises(KeyboardInterrupt):
        CachedEncoder(Counting(stop_after=3), tmp_path).encode(texts)
    rest = Counting()
    np.testing.assert_array_equal(CachedEncoder(rest, tmp_path).encode(texts), rest.encode(texts))
    assert sorted(rest.asked) == texts[:3]


@pytest.mark.parametrize("damage", ["garbage", "cut", "zeros in the middle", "other table"])
def test_a_damaged_file_is_rebuilt_with_a_warning(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    texts = [f"text {i}" for i in range(200)]
    cached = CachedEncoder(Counting(dim=64), tmp_path)
    expected = cached.encode(texts)
    content = cached.path.read_bytes()
    middle = len(content) // 2
    if damage == "other table":
        cached.path.unlink()
        with sqlite3.connect(cached.path) as db:
            db.execute("CREATE TABLE vectors (x)")
    else:
        broken = {"garbage": b"garbage" * 999, "cut": content[:middle]}
        zeros = content[:middle] + bytes(8192) + content[middle + 8192 :]
        cached.path.write_bytes(broken.get(damage, zeros))
    inner = Counting(dim=64)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(CachedEncoder(inner, tmp_path).encode(texts), expected)
    assert inner.asked
    assert str(cached.path) in caplog.text
    quiet = Counting(dim=64)
    np.testing.assert_array_equal(CachedEncoder(quiet, tmp_path).encode(texts), expected)
    assert quiet.asked == []


@pytest.mark.parametrize("vector", [bytes(32), bytes(31), b"", "text"])
def test_a_damaged_row_is_computed_again_with_a_warning(
    tmp_path: Path, vector: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    cached = CachedEncoder(Counting(), tmp_path)
    expected = cached.encode(["a", "b"])
    with sqlite3.connect(cached.path) as db:
        (first,) = db.execute("SELECT text FROM vectors LIMIT 1").fetchone()
        db.execute("UPDATE vectors SET vector = ? WHERE text = ?", (vector, first))
    db.close()
    inner = Counting()
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(CachedEncoder(inner, tmp_path).encode(["a", "b"]), expected)
    assert len(inner.asked) == 1
    assert "1 damaged" in caplog.text


def test_a_file_is_checked_as_a_whole_once_per_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[bool] = []
    connect = embedding_cache._connect

    def recorded(path: Path, check: bool) -> sqlite3.Connection:
        checks.append(check)
        return connect(path, check)

    monkeypatch.setattr(embedding_cache, "_connect", recorded)
    for folder in ("a", "b"):
        for _ in range(2):
            CachedEncoder(Counting(), tmp_path / folder).encode(["x", "y"])
    # Of each folder: read, write, read.
    assert checks == [True, False, False] * 2


def test_many_new_texts_are_announced_without_a_path_and_few_are_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        CachedEncoder(Counting(), tmp_path).encode([f"text {i}" for i in range(49)])
        assert caplog.messages == []
        CachedEncoder(Counting(), tmp_path).encode([f"text {i}" for i in range(99)])
    assert caplog.messages == ["encoding 50 new texts of 99"]


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"encoder\.cache: .*encoder\.cache=null"):
        CachedEncoder(Counting(), tmp_path / "file" / "below").encode(["x"])


def test_a_file_that_is_a_folder_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    cached = CachedEncoder(Counting(), tmp_path)
    cached.path.mkdir()
    with pytest.raises(InputError, match=r"encoder\.cache"):
        cached.encode(["x"])
    assert cached.path.is_dir()


def test_an_encoder_error_is_not_blamed_on_the_cache(tmp_path: Path) -> None:
    class Failing(Counting):
        def batches(self, texts: Sequence[str], progress: bool = False) -> Iterator[tuple[list[int], np.ndarray]]:
            raise OSError("the model")
            yield [], np.zeros(0)

    with pytest.raises(OSError, match="the model"):
        CachedEncoder(Failing(), tmp_path).encode(["x"])


WRITER = """
import sys
from tests.graph.test_embedding_cache import CachedEncoder, Counting
texts = [f"text {i}" for i in range(int(sys.argv[2]), int(sys.argv[2]) + 300)]
CachedEncoder(Counting(), sys.argv[1]).encode(texts)
"""


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    starts = ["0", "150"]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), start], cwd=project_root(), stderr=subprocess.PIPE, text=True
        )
        for start in starts
    ]
    for run in runs:
        _, stderr = run.communicate(timeout=120)
        assert run.returncode == 0, stderr
    texts = [f"text {i}" for i in range(450)]
    inner = Counting()
    np.testing.assert_array_equal(CachedEncoder(inner, tmp_path).encode(texts), inner.encode(texts))
    assert inner.asked == []


def test_five_thousand_vectors_are_read_in_less_than_a_second(tmp_path: Path) -> None:
    class Large(Counting):
        def batches(self, texts: Sequence[str], progress: bool = False) -> Iterator[tuple[list[int], np.ndarray]]:
            yield list(range(len(texts))), np.random.default_rng(0).normal(size=(len(texts), 384)).astype(np.float32)

    texts = [f"text {i}" for i in range(5000)]
    cached = CachedEncoder(Large(dim=384), tmp_path)
    expected = cached.encode(texts)
    start = time.perf_counter()
    got = cached.encode(texts)
    seconds = time.perf_counter() - start
    np.testing.assert_array_equal(got, expected)
    assert seconds < 1
