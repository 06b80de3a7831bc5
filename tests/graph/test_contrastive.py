"""Fine-tuning of the encoder, on a tiny transformer that is made here, in a world with something to learn."""

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from configs.errors import InputError
from configs.schema import Encoder
from graph import contrastive
from graph.contrastive import (
    Scored,
    earned,
    probe,
    train_encoder,
)
from graph.embedding_cache import CachedEncoder
from graph.encoder import TextEncoder, make_encoder, stack_of_layers
from graph.hashing_encoder import HashingEncoder
from graph.tuned_encoder import load_encoder, save_encoder, tuned_part
from tests.graph.tiny_bert import WORDS, make_bert

LLM_TEXTS = ("w0 w1 w2", "w3 w4 w5", "w6 w7 w8")
LAYERS = 3


def make_model(folder: Path, seed: int) -> Path:
    """A folder with a BERT of three layers."""
    return make_bert(folder, LAYERS, 0.1, seed)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny3"), 0)


def config_of(model: Path, cache: Path | None = None, **contrastive_keys: Any) -> Encoder:
    keys = {"steps": 100, "evaluate_every": 20, "learning_rate": 1e-2, "temperature": 0.2, "sample_weight": 0.1}
    return Encoder.model_validate(
        {
            "model": str(model), "max_tokens": 16, "dtype": "float32", "batch_size": 8, "cache": cache and str(cache),
            "training": "contrastive", "contrastive": {**keys, **contrastive_keys},
        }
    )  # fmt: skip


def scored(seed: int, count: int) -> Scored:
    """The first LLM answers texts with one of w0 … w2, the second those with w3 … w5, the third all else. Other
    words do not matter, which the untrained network cannot know."""
    rng = np.random.default_rng(seed)
    texts, scores = [], []
    for _ in range(count):
        kind = int(rng.integers(3))
        picked = [
            *rng.choice(range(6, 40), size=int(rng.integers(3, 9))),
            *rng.integers(3, size=int(kind < 2)) + 3 * kind,
        ]
        picked = rng.permutation(picked)
        texts.append(" ".join(WORDS[i] for i in picked))
        scores.append(np.eye(3)[kind])
    return Scored(texts, np.array(scores))


TRAIN, VALIDATION = scored(0, 120), scored(1, 60)


def base_of(config: Encoder) -> Any:
    return make_encoder(config, "cpu")


def trained(config: Encoder, train: Scored = TRAIN, seed: int = 0, validation: Scored = VALIDATION) -> Any:
    return train_encoder(base_of(config), train, validation, LLM_TEXTS, config, seed)


@pytest.fixture(scope="module")
def tuned(tiny: Path) -> Any:
    return trained(config_of(tiny))


def test_training_changes_the_top_layers_only_and_wins_on_validation(tiny: Path, tuned: Any) -> None:
    history = tuned.tuning.history
    chosen = next(row for row in history if row["step"] == tuned.tuning.chosen_step)
    assert history[0]["step"] == 0
    assert tuned.tuning.chosen_step > 0
    assert chosen["validation_score"] == max(row["validation_score"] for row in history)
    assert chosen["validation_score"] > history[0]["validation_score"]
    assert history[-1]["train_loss"] < history[1]["train_loss"]
    frozen, fine = (dict(encoder._loaded[0].named_parameters()) for encoder in (base_of(config_of(tiny)), tuned))
    changed = {name for name in frozen if not torch.equal(frozen[name], fine[name])}
    assert changed
    assert changed <= {name for name in frozen if name.startswith(("encoder.layer.1.", "encoder.layer.2."))}
    assert any(name.startswith("encoder.layer.1.") for name in changed)


def test_vectors_are_those_the_choice_was_made_on(tuned: Any) -> None:
    """A frozen and a fine-tuned half put together wrongly, or padding read as text, would show here."""
    config = config_of(Path(tuned.model))
    order = sorted(range(len(TRAIN.texts)), key=lambda row: TRAIN.texts[row])
    x, other = tuned.encode([TRAIN.texts[row] for row in order]), tuned.encode(VALIDATION.texts)
    best = max(earned(guess, VALIDATION.scores) for guess in probe(x, TRAIN.scores[order], other))
    history = {row["step"]: row["validation_score"] for row in tuned.tuning.history}
    assert best == pytest.approx(history[tuned.tuning.chosen_step], abs=1.5 / len(VALIDATION.texts))
    frozen = base_of(config)
    best = max(
        earned(guess, VALIDATION.scores)
        for guess in probe(frozen.encode(TRAIN.texts), TRAIN.scores, frozen.encode(VALIDATION.texts))
    )
    assert best == pytest.approx(history[0], abs=1.5 / len(VALIDATION.texts))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_cached_lower_layers_and_upper_layers_make_the_whole(tiny: Path, layers: int) -> None:
    config = config_of(tiny).model_copy(update={"trainable_layers": layers})
    base = TextEncoder(str(tiny), None, 16, 4, "float32", "cpu")
    trainer = contrastive._Trainer(base, config, 0, False)
    caught: dict[str, np.ndarray] = {}

    def look(self: Any, pool: Any, *_: Any) -> Any:
        caught["vectors"] = self._vectors(pool, range(len(pool)))
        raise KeyboardInterrupt

    texts = [*TRAIN.texts[:9], "", " ".join(WORDS)]
    trainer._fit = look.__get__(trainer)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.run(Scored(texts, np.ones((11, 3))), VALIDATION, LLM_TEXTS, base.encode(LLM_TEXTS))
    np.testing.assert_allclose(caught["vectors"], base.encode(texts), atol=2e-3)  # half precision in between


def test_same_seed_same_weights_whatever_the_order(tiny: Path, tuned: Any) -> None:
    order = np.random.default_rng(3).permutation(len(TRAIN.texts))
    config = config_of(tiny)
    torch.manual_seed(99)
    shuffled = Scored([TRAIN.texts[row] for row in order], TRAIN.scores[order])
    before = torch.get_rng_state()
    again = trained(config, shuffled)
    assert torch.equal(torch.get_rng_state(), before)
    assert again.key == tuned.key
    assert trained(config, seed=1).key != tuned.key


def test_key_names_the_weights_and_caches_never_mix(tiny: Path, tmp_path: Path) -> None:
    config = config_of(tiny, tmp_path / "cache")
    base = base_of(config)
    tuned = trained(config)
    assert isinstance(tuned, CachedEncoder)
    assert tuned.folder == base.folder
    assert tuned.key.split("|")[0].startswith(base.key.split("|")[0] + "+contrastive:")
    assert tuned.key.split("|")[1:] == base.key.split("|")[1:]
    assert tuned.path != base.path
    texts = VALIDATION.texts[:5]
    np.testing.assert_array_equal(tuned.encode(texts), tuned.encode(texts))
    assert np.abs(tuned.encode(texts) - base.encode(texts)).max() > 1e-2
    weights = tuned_part(tuned).learned.weights
    name = sorted(weights)[0]
    weights[name] = weights[name] + 1e-3
    assert contrastive.TunedEncoder(tuned_part(tuned), tuned_part(tuned).learned, tuned_part(tuned).tuning).key != (
        tuned.key
    )


def test_frozen_wins_where_training_only_harms(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(tiny, learning_rate=10.0, patience=2)
    constant = Scored(VALIDATION.texts, np.tile([0.2, 0.9, 0.1], (len(VALIDATION.texts), 1)))
    train = Scored(TRAIN.texts, np.tile([0.2, 0.9, 0.1], (len(TRAIN.texts), 1)))
    with caplog.at_level(logging.INFO):
        tuned = trained(config, train, validation=constant)
    assert tuned.tuning.chosen_step == 0
    assert [row["step"] for row in tuned.tuning.history] == [0, 20, 40]  # two looks without a better one
    assert tuned.key == base_of(config).key
    assert not tuned.learned.weights
    np.testing.assert_array_equal(tuned.encode(VALIDATION.texts), base_of(config).encode(VALIDATION.texts))
    assert "0.9000 frozen, 0.9000 at step 0" in caplog.text


def test_what_is_known_beside_the_vectors_counts(tiny: Path) -> None:
    told = [Scored(data.texts, data.scores, data.scores.argmax(axis=1)[:, None] == np.arange(3)) for data in
            (TRAIN, VALIDATION)]  # fmt: skip
    tuned = trained(config_of(tiny), told[0], validation=told[1])
    assert tuned.tuning.chosen_step == 0  # nothing can be added to the answer
    assert tuned.tuning.history[0]["validation_score"] == 1.0


@pytest.mark.parametrize("at", [1, 45])
def test_ctrl_c_keeps_the_best(tiny: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    step, calls = contrastive._Trainer._step, []
    after: dict[int, dict[str, np.ndarray]] = {}

    def interrupting(self: Any, *arguments: Any) -> float:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        loss = step(self, *arguments)
        after[len(calls)] = {name: value.numpy().copy() for name, value in self.top.state_dict().items()}
        return loss

    monkeypatch.setattr(contrastive._Trainer, "_step", interrupting)
    tuned = trained(config_of(tiny))
    assert tuned.tuning.interrupted
    assert [row["step"] for row in tuned.tuning.history] == ([0] if at == 1 else [0, 20, 40])
    best = max(tuned.tuning.history, key=lambda row: row["validation_score"])
    assert tuned.tuning.chosen_step == best["step"]
    assert (best["step"] > 0) == (at > 1)
    for name, value in after.get(best["step"], {}).items():  # not those of the last step
        np.testing.assert_array_equal(tuned.learned.weights[f"encoder.layer.{int(name[0]) + 1}{name[1:]}"], value)
    assert bool(tuned.learned.weights) == (at > 1)


def test_saved_and_loaded_is_the_same(tiny: Path, tuned: Any, tmp_path: Path) -> None:
    save_encoder(tuned, tmp_path / "encoder")
    config = config_of(tiny, tmp_path / "cache")
    loaded = load_encoder(tmp_path / "encoder", config, "cpu")
    assert isinstance(loaded, CachedEncoder)
    assert loaded.key == tuned.key
    np.testing.assert_array_equal(loaded.encode(VALIDATION.texts), tuned.encode(VALIDATION.texts))
    inner = tuned_part(loaded)
    assert inner.learned.llm_texts == LLM_TEXTS
    np.testing.assert_array_equal(inner.learned.llm_vectors, tuned.learned.llm_vectors)
    np.testing.assert_array_equal(inner.learned.centres, tuned.learned.centres)
    assert inner.tuning.chosen_step == tuned.tuning.chosen_step
    for row, same in zip(inner.tuning.history, tuned.tuning.history, strict=True):
        assert row == pytest.approx(same, nan_ok=True)


def test_a_damaged_artifact_is_refused(tiny: Path, tuned: Any, tmp_path: Path) -> None:
    save_encoder(tuned, tmp_path)
    path = tmp_path / "arrays.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="sha256"):
        load_encoder(tmp_path, config_of(tiny), "cpu")


def test_an_encoder_of_another_base_is_refused_naming_both(tiny: Path, tuned: Any, tmp_path: Path) -> None:
    save_encoder(tuned, tmp_path / "encoder")
    other = make_model(tmp_path / "other", 1)
    with pytest.raises(InputError) as error:
        load_encoder(tmp_path / "encoder", config_of(other), "cpu")
    assert str(tiny) in str(error.value)
    assert str(other) in str(error.value)
    manifest = json.loads((tmp_path / "encoder" / "manifest.json").read_text())
    (tmp_path / "encoder" / "manifest.json").write_text(json.dumps({**manifest, "kind": "router"}))
    with pytest.raises(InputError, match="expected a 'encoder' artifact, got 'router'"):
        load_encoder(tmp_path / "encoder", config_of(tiny), "cpu")


def test_odd_logs_do_no_harm(tiny: Path) -> None:
    scores = TRAIN.scores.copy()
    scores[:100, 0] = np.nan
    scores[5:10] = np.nan
    scores[:, 2] = np.nan
    scores[20:40] = np.where(np.isfinite(scores[20:40]), 0.0, np.nan)
    held_out = VALIDATION.scores.copy()
    held_out[3] = np.nan
    for keys in (
        {},
        {"loss": "listwise"},
        {"clusters": 1},
        {"clusters": 500},
        {"sample_weight": 0.0},
        {"sample_weight": 3.0},
    ):
        tuned = trained(config_of(tiny, steps=4, **keys), Scored(TRAIN.texts, scores), 0,
                        Scored(VALIDATION.texts, held_out))  # fmt: skip
        assert np.isfinite([row["validation_score"] for row in tuned.tuning.history]).all()
        assert np.isfinite(tuned.tuning.history[-1]["train_loss"])
        assert np.isfinite(tuned.encode(VALIDATION.texts)).all()


def test_fewer_texts_than_a_batch(tiny: Path) -> None:
    few = Scored(["w1 w2", "w1 w2", "w30"], np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0.0]]))
    tuned = trained(config_of(tiny, steps=3), few, validation=few)
    assert [row["step"] for row in tuned.tuning.history] == [0, 3]


def test_memory_for_the_frozen_layers_is_bounded(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(contrastive, "CACHE_BYTES", 2 * 16 * 200)
    with caplog.at_level(logging.INFO):
        trained(config_of(tiny, steps=2))
    assert "of 120 train texts" in caplog.text
    rows = contrastive._within_budget([5, 6, 7, 8], 14, np.random.default_rng(0))
    assert 1 <= len(rows) <= 2
    assert sum([5, 6, 7, 8][row] for row in rows) <= 14
    assert len(contrastive._within_budget([500], 3, np.random.default_rng(0))) == 1


def test_what_cannot_be_trained_is_refused(tiny: Path) -> None:
    config = config_of(tiny)
    with pytest.raises(InputError, match=r"expected a transformer to fine-tune, got 'hashing:64'"):
        train_encoder(HashingEncoder(), TRAIN, VALIDATION, LLM_TEXTS, config)
    with pytest.raises(InputError, match=f"trainable_layers: expected at most {LAYERS}"):
        trained(config.model_copy(update={"trainable_layers": LAYERS + 1}))
    with pytest.raises(InputError, match="expected queries with outcomes, got none"):
        trained(config, Scored(TRAIN.texts, np.full((120, 3), np.nan)))


def test_a_model_without_a_list_of_layers_is_refused() -> None:
    class Flat(torch.nn.Module):
        config = type("Config", (), {"num_hidden_layers": 2})

    with pytest.raises(InputError, match="expected a model with a list of its 2 layers, Flat has none"):
        stack_of_layers(Flat())


def test_probe_is_a_ridge_on_the_observed() -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    x, other, scores = rng.normal(size=(30, 4)), rng.normal(size=(7, 4)), rng.random((30, 3))
    scores[:12, 1] = np.nan
    scores[:, 2] = np.nan
    for guess, ridge in zip(probe(x, scores, other), contrastive.PROBE_RIDGES, strict=True):
        np.testing.assert_allclose(guess[:, 0], Ridge(alpha=ridge).fit(x, scores[:, 0]).predict(other))
        np.testing.assert_allclose(guess[:, 1], Ridge(alpha=ridge).fit(x[12:], scores[12:, 1]).predict(other))
        np.testing.assert_allclose(guess[:, 2], np.nanmean(scores))


def test_earned_counts_the_observed_only() -> None:
    scores = np.array([[0.1, np.nan, 0.4], [0.5, 0.3, np.nan]])
    assert earned(np.array([[0.0, 9.0, 1.0], [0.2, 0.1, 9.0]]), scores) == pytest.approx((0.4 + 0.5) / 2)


def test_batches_are_full_and_never_repeat_a_row() -> None:
    draw = contrastive._endless_batches(10, 4, np.random.default_rng(0))
    batches = [next(draw) for _ in range(50)]
    assert all(len(set(batch.tolist())) == 4 for batch in batches)
    assert set(np.concatenate(batches).tolist()) == set(range(10))


def test_the_step_size_rises_and_falls() -> None:
    pace = [contrastive._pace(step, 100) for step in range(101)]
    assert pace[0] == pytest.approx(0.1)
    assert max(pace) == pace[9] == 1.0
    assert pace[100] == 0
    assert all(a >= b for a, b in itertools.pairwise(pace[10:]))
