"""Query features: blocks, scales, counts by hand, texts of every kind, and the way through JSON and back."""

import json
import math

import numpy as np
import pytest

from graph.features import COUNT_CLIP, COUNT_SCALE, STYLE_CHARACTERS, QueryFeatures, count_features
from graph.hashing_encoder import HashingEncoder
from tests.graph.world import tiny_dataset

TABLE = tiny_dataset().queries
TASKS, TEXTS = list(TABLE["task_id"]), list(TABLE["query"])
STRANGE = ["", " ", "\n\n", "🦊🦊🦊", "Wie heißt die Hauptstadt? 東京 Ελλάδα", "x" * 100_000, "\ud800 half", "\x00"]


def features(drop_boilerplate: bool = True, style: bool = True) -> QueryFeatures:
    return QueryFeatures(HashingEncoder(24), drop_boilerplate, style).fit(TASKS, TEXTS)


def vectors(fitted: QueryFeatures, texts: list[str], tasks: list[str] | None = None) -> np.ndarray:
    ids = [f"q{i}" for i in range(len(texts))]
    return fitted.transform(ids, tasks or [""] * len(texts), texts).embeddings


def test_blocks_are_text_style_and_counts() -> None:
    batch = features().transform(list(TABLE["query_id"]), TASKS, TEXTS)
    assert batch.embeddings.dtype == np.float32
    assert batch.embeddings.shape == (90, sum(batch.blocks))
    assert batch.blocks[0] == 24
    assert batch.blocks[2] == 14
    assert batch.query_ids == tuple(TABLE["query_id"])
    assert batch.task_ids == tuple(TASKS)
    assert batch.texts == tuple(TEXTS)
    text, style, counts = np.split(batch.embeddings, np.cumsum(batch.blocks)[:2], axis=1)
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(style, axis=1), 1, rtol=1e-5)
    extreme = np.abs(vectors(features(), STRANGE)[:, -14:])
    assert extreme.max() == pytest.approx(COUNT_SCALE * COUNT_CLIP), "outliers are clipped"
    np.testing.assert_allclose(counts[:, :2].std(axis=0), COUNT_SCALE, rtol=0.3)


def test_without_style_there_is_the_encoder_alone() -> None:
    batch = features(style=False).transform(["a"], [""], [TEXTS[0]])
    assert batch.blocks == (24,)
    np.testing.assert_array_equal(batch.embeddings, HashingEncoder(24).encode([TEXTS[0]]))


def test_counts_tell_formats_apart_that_share_words() -> None:
    fitted = features()
    asks, tells = "sum root factor matrix prove 7?", "Write of sum root factor matrix.\nUse 7 words."
    more_asks, more_tells = "king war siege trade crown 8?", "Write of king war siege trade.\nUse 8 words."
    counts = vectors(fitted, [asks, tells, more_asks, more_tells])[:, -14:]
    distance = np.linalg.norm(counts[:, None] - counts[None], axis=2)
    assert max(distance[0, 2], distance[1, 3]) < 0.2 * min(distance[0, 1], distance[2, 3])


def test_a_text_is_the_same_alone_and_in_any_batch() -> None:
    fitted = features()
    whole = vectors(fitted, TEXTS, TASKS)
    np.testing.assert_allclose(vectors(fitted, TEXTS[::-1], TASKS[::-1]), whole[::-1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(vectors(fitted, TEXTS[5:6], TASKS[5:6]), whole[5:6], rtol=0, atol=1e-6)


def test_fitting_reads_train_texts_only_and_transforming_teaches_nothing() -> None:
    fitted = features()
    before = vectors(fitted, TEXTS)
    vectors(fitted, STRANGE)
    np.testing.assert_array_equal(vectors(fitted, TEXTS), before)
    other = QueryFeatures(HashingEncoder(24)).fit(TASKS[:45], TEXTS[:45])
    assert other.state()[1]["count_mean"].tolist() != fitted.state()[1]["count_mean"].tolist()


def test_the_order_of_train_texts_changes_no_scale() -> None:
    first = features().state()[1]
    turned = QueryFeatures(HashingEncoder(24)).fit(TASKS[::-1], TEXTS[::-1]).state()[1]
    for name in ("idf", "count_mean", "count_std"):
        np.testing.assert_allclose(turned[name], first[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("style", [True, False])
def test_every_text_has_finite_features(style: bool) -> None:
    found = vectors(features(style=style), STRANGE)
    assert np.isfinite(found).all()
    assert (np.linalg.norm(found, axis=1) > 0).all()


def test_counts_of_no_texts() -> None:
    assert count_features([]).shape == (0, 14)


@pytest.mark.parametrize("texts", [["ab", "cd"], ["", "two words", "why?"], ["one", "two", "three", "东京"]])
def test_very_few_train_texts_are_enough(texts: list[str]) -> None:
    fitted = QueryFeatures(HashingEncoder(24)).fit([""] * len(texts), texts)
    assert np.isfinite(vectors(fitted, [*texts, "another text"])).all()


def test_the_style_of_a_long_text_is_that_of_its_ends() -> None:
    fitted = features()
    head, tail = "Solve the sum. " * 100, " Answer with 7 words?" * 100
    short, long = vectors(fitted, [f"{head}{'x' * 50}{tail}", f"{head}{'zq ' * 9000}{tail}"])
    assert min(len(head), len(tail)) > STYLE_CHARACTERS
    style = slice(24, fitted.transform(["a"], [""], [head]).blocks[1] + 24)
    np.testing.assert_allclose(short[style], long[style], rtol=0, atol=1e-6)
    for changed in vectors(fitted, [f"Write of it.\n{head}{tail}", f"{head}{tail}\nWrite of it."]):
        assert not np.allclose(changed[style], long[style], atol=1e-4)


def test_counts_by_hand() -> None:
    (found,) = count_features(["What is $3$?\nA) one 東"])
    length = 21 + 1
    expected = [
        math.log(length),
        math.log(6 + 1),
        math.log(16 / 6 + 1),
        1 / length,  # 3
        2 / length,  # W A
        4 / length,  # $ $ ? )
        1 / length,  # 東
        math.log(2),
        1,  # a question mark
        0,  # not at the end
        1,  # LaTeX
        0,  # no code
        1,  # options
        1,  # starts with a capital
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    (code,) = count_features(["```\ndef f():\n``` really?  "])
    assert code[8:].tolist() == [1, 1, 0, 1, 0, 0]


@pytest.mark.parametrize("drop_boilerplate", [True, False])
@pytest.mark.parametrize("style", [True, False])
def test_state_round_trip(drop_boilerplate: bool, style: bool) -> None:
    fitted = features(drop_boilerplate, style)
    settings, arrays = fitted.state()
    back = QueryFeatures.from_state(HashingEncoder(24), json.loads(json.dumps(settings)), arrays)
    texts = [*TEXTS, *STRANGE]
    np.testing.assert_array_equal(
        vectors(back, texts, [*TASKS, *TASKS[:8]]), vectors(fitted, texts, [*TASKS, *TASKS[:8]])
    )


def test_boilerplate_of_a_task_is_not_part_of_its_queries() -> None:
    preamble = "You are given an exercise. Think step by step and be brief.\nHere it comes:\n"
    wordy = [preamble + text for text in TEXTS]
    for drop in (True, False):
        fitted = QueryFeatures(HashingEncoder(24), drop).fit(TASKS, wordy)
        found = vectors(fitted, wordy[:3], TASKS[:3])[:, :24]
        bare = HashingEncoder(24).encode(TEXTS[:3])
        assert np.allclose(found, bare, atol=1e-6) == drop
