"""A transformer in two halves, put together again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from configs.errors import InputError
from graph.encoder import TextEncoder
from graph.finetuning import pool as pool_module
from graph.finetuning.pool import SplitTransformer, within_budget
from tests.graph.tiny_bert import WORDS, make_bert

IDS = [[2, 6, 7, 8, 3], [2, 3], [2, *range(5, 30), 3]]
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


def make_by_place(folder: Path, kind: str) -> Path:
    """Write a transformer of which each layer is treated by its place, over the words of the tiny BERT."""
    from transformers import DebertaV2Config, DebertaV2Model, Qwen2Config, Qwen2Model

    make_bert(folder, 1, 0.1)  # for its tokenizer
    size = {
        "vocab_size": 45, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32,
        "max_position_embeddings": 64, "pad_token_id": 0, "initializer_range": 1.0,
    }  # fmt: skip
    torch.manual_seed(0)
    model = (
        DebertaV2Model(DebertaV2Config(**size, conv_kernel_size=3, conv_act="gelu", relative_attention=True))
        if kind == "convolution"
        else Qwen2Model(
            Qwen2Config(**size, num_key_value_heads=2, use_sliding_window=True, sliding_window=4, max_window_layers=2)
        )
    )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["convolution", "window"])
def by_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    folder = make_by_place(tmp_path_factory.mktemp(request.param), request.param)
    return TextEncoder(str(folder), None, 16, 2, "float32", "cpu")


def split_of(base: TextEncoder, layers: int) -> tuple[SplitTransformer, pool_module.Pool]:
    split = SplitTransformer(base, layers)
    return split, split.cached(IDS, "")


@pytest.mark.parametrize("layers", [1, 2])
def test_layers_that_are_treated_by_their_place_keep_it(by_place: TextEncoder, layers: int) -> None:
    split, pool = split_of(by_place, layers)
    whole = sum(value.numel() for value in split.model.parameters())
    split.drop_lower()
    assert sum(value.numel() for value in split.model.parameters()) < whole, "the weights below are gone"
    expected = np.concatenate([by_place._forward([ids]) for ids in IDS])
    assert (split.vectors(pool, range(3)) * expected).sum(axis=1).min() > 0.99999


def test_a_split_that_gives_other_vectors_is_refused(by_place: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    split, _ = split_of(by_place, 2)
    replace = pool_module.replace_layers
    monkeypatch.setattr(pool_module, "replace_layers", lambda model, name, layers: replace(model, name, layers[2:]))
    with pytest.raises(InputError, match=r"trainable_layers: expected the upper 2 .* cosine of 0\.\d+") as caught:
        split.drop_lower()
    assert by_place.model in str(caught.value)
    assert "--set encoder.trainable_layers=all" in str(caught.value)


def test_what_half_precision_cannot_hold_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split, _ = split_of(TextEncoder(str(tiny), None, 16, 2, "float32", "cpu"), 1)
    entering = SplitTransformer._entering
    monkeypatch.setattr(SplitTransformer, "_entering", lambda *arguments: 1e9 * entering(*arguments))
    with pytest.raises(InputError, match="cosine of nan"):
        split.drop_lower()


def test_a_split_that_fails_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(pool_module.PassThrough):
        def forward(self, *arguments: object, **named: object) -> None:
            raise KeyError("bias")

    split, _ = split_of(TextEncoder(str(tiny), None, 16, 2, "float32", "cpu"), 1)
    monkeypatch.setattr(pool_module, "PassThrough", Failing)
    with pytest.raises(InputError, match=r"fails there \(KeyError: 'bias'\).*trainable_layers=all"):
        split.drop_lower()


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
