"""The encoder without weights: unit length, same everywhere, like texts near each other."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from configs.schema import project_root
from graph.hashing_encoder import HashingEncoder, is_hashing


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(), max_size=4), st.sampled_from([1, 2, 64, 300]), st.integers(1, 20))
def test_vectors_are_finite_and_of_length_one(texts: list[str], dim: int, words: int) -> None:
    vectors = HashingEncoder(dim, words).encode(texts)
    assert vectors.shape == (len(texts), dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_another_process_gives_the_same_vectors() -> None:
    code = (
        "from graph.hashing_encoder import HashingEncoder;"
        "print(HashingEncoder(6).encode(['Sort a list, 好'])[0].tolist())"
    )
    lines = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=project_root(),
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert lines == {str(HashingEncoder(6).encode(["Sort a list, 好"])[0].tolist())}


def test_like_texts_are_nearer_than_unlike_ones() -> None:
    python, sort, faust = HashingEncoder(512).encode(
        ["How do I sort a list in Python?", "sorting lists in python", "Who wrote the tragedy of Faust?"]
    )
    assert python @ sort > 0.3
    assert abs(python @ faust) < 0.2


def test_case_does_not_matter_but_word_order_does() -> None:
    encoder = HashingEncoder(512)
    same = encoder.encode(["Dog bites man", "dog BITES man"])
    np.testing.assert_array_equal(same[0], same[1])
    assert not np.allclose(*encoder.encode(["dog bites man", "man bites dog"]))


def test_scripts_without_blanks_are_told_apart() -> None:
    first, near, far = HashingEncoder(512).encode(["运行中变压器温度最高", "变压器温度最高的部分", "今天天气很好啊"])
    assert first @ near > 0.3 > first @ far


def test_the_middle_of_a_long_text_is_not_read() -> None:
    head, tail = " ".join("abc"), " ".join("xyz")
    encoder = HashingEncoder(64, max_tokens=6)
    vectors = encoder.encode([f"{head} m n o {tail}", f"{head} q {tail}", f"{head} {tail}", f"{head} m n o x y w"])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[3])


def test_counts_weigh_by_their_root() -> None:
    # One-letter words give w, c and p features; in many dimensions they do not collide.
    once, four = HashingEncoder(1 << 16).encode(["a b", "a . a . a . a . b"])
    assert 0 < once @ four < 1
    nonzero = HashingEncoder(1 << 16).encode(["a a a a"])[0]
    weights = np.sort(np.abs(nonzero[nonzero != 0]))
    # 'a' and its letters stand 4 times (root 2), the pair 'a a' 3 times.
    np.testing.assert_allclose(weights / weights.min(), [1, *[2 / 3**0.5] * (len(weights) - 1)], rtol=1e-5)


@pytest.mark.parametrize(("name", "dim"), [("hashing", 64), ("hashing:128", 128), ("hashing:1", 1)])
def test_names(name: str, dim: int) -> None:
    assert is_hashing(name)
    assert HashingEncoder.from_name(name).dim == dim


@pytest.mark.parametrize("name", ["hashing:", "hashing:0", "hashing:x", "hashing:99999", "hashing:-1", "hashings"])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"encoder\.model: expected hashing or hashing:<1 to 65536>"):
        HashingEncoder.from_name(name)


def test_keys_differ_where_vectors_do() -> None:
    keys = {HashingEncoder(dim, words).key for dim in (32, 64) for words in (8, 16)}
    assert len(keys) == 4


def test_one_text_instead_of_a_list_is_refused() -> None:
    with pytest.raises(TypeError, match="sequence of texts"):
        HashingEncoder().encode("abc")
