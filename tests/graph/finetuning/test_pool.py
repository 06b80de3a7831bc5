"""A transformer in two halves, put together again."""

from pathlib import Path

import numpy as np
import pytest

from graph.encoder import TextEncoder
from graph.finetuning.pool import SplitTransformer, within_budget
from tests.graph.tiny_bert import WORDS, make_bert

TEXTS = ["w1 w2 w3", "w9", "", " ".join(WORDS), "w4 w5 w6 w7"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("tiny3"), 3, 0.1)


@pytest.mark.parametrize("layers", [1, 2, 3, "all"])
def test_cached_lower_layers_and_upper_layers_make_the_whole(tiny: Path, layers: int) -> None:
    base = TextEncoder(str(tiny), None, 16, 2, "float32", "cpu")
    split = SplitTransformer(base, layers)
    pool = split.cached(base._tokenize(TEXTS), "")
    split.drop_lower()
    assert (pool.hidden is None) == (layers == "all")
    got = split.vectors(pool, [4, 0, 1, 2, 3])
    np.testing.assert_allclose(got, base.encode([TEXTS[4], *TEXTS[:4]]), atol=2e-3)  # half precision in between


@pytest.mark.parametrize("layers", [1, 3, "all"])
def test_gradients_reach_what_is_trained_and_nothing_else(tiny: Path, layers: int) -> None:
    base = TextEncoder(str(tiny), None, 16, 2, "float32", "cpu")
    split = SplitTransformer(base, layers)
    whole = dict(split.model.named_parameters())
    pool = split.cached(base._tokenize(TEXTS), "")
    split.drop_lower()
    split.forward(pool, [0, 3])[:, 0].sum().backward()
    assert all(value.grad is not None for value in split.trained.values())
    assert all(value.grad is None for name, value in whole.items() if name not in split.trained)
    assert ("embeddings.word_embeddings.weight" in split.trained) == (layers == "all")


def test_texts_are_left_out_at_random_where_memory_ends() -> None:
    rows = within_budget([5, 6, 7, 8], 14, np.random.default_rng(0))
    assert 1 <= len(rows) <= 2
    assert sum([5, 6, 7, 8][row] for row in rows) <= 14
    assert len(within_budget([500], 3, np.random.default_rng(0))) == 1
