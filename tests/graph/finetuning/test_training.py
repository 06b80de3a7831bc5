"""Fine-tuning of the encoder, on a tiny transformer that is made here, in a world with something to learn."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from configs.errors import InputError
from configs.schema import Encoder, project_root
from graph.embedding_cache import CachedEncoder
from graph.encoder import make_encoder, stack_of_layers
from graph.finetuning import run as encoder_run
from graph.finetuning.judge import earned, probe
from graph.finetuning.pool import SplitTransformer
from graph.finetuning.training import train_encoder
from graph.hashing_encoder import HashingEncoder
from graph.scored import Scored
from graph.tuned_encoder import TunedEncoder, clusters_of, load_encoder, save_encoder, similarities, tuned_part
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
    keys = {
        "loss": "pairs", "smoothing": 0.0, "steps": 100, "head_steps": 0, "evaluate_every": 20, "learning_rate": 1e-2,
        "head_learning_rate": 0.2, "temperature": 0.2, "sample_weight": 0.1, "caution": 0.0,
    }  # fmt: skip
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
    best = max(earned(guess, VALIDATION.scores).mean() for guess in probe(x, TRAIN.scores[order], other))
    history = {row["step"]: row["probe_score"] for row in tuned.tuning.history}
    alone = earned(similarities(tuned.learned, other, np.zeros((60, 0))), VALIDATION.scores).mean()
    row = next(row for row in tuned.tuning.history if row["step"] == tuned.tuning.chosen_step)
    assert alone == pytest.approx(row["alone_score"], abs=1.5 / len(VALIDATION.texts))
    assert row["validation_score"] == pytest.approx((row["alone_score"] + row["probe_score"]) / 2)
    assert best == pytest.approx(history[tuned.tuning.chosen_step], abs=1.5 / len(VALIDATION.texts))
    frozen = base_of(config)
    best = max(
        earned(guess, VALIDATION.scores).mean()
        for guess in probe(frozen.encode(TRAIN.texts), TRAIN.scores, frozen.encode(VALIDATION.texts))
    )
    assert best == pytest.approx(history[0], abs=1.5 / len(VALIDATION.texts))


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
    assert TunedEncoder(tuned_part(tuned), tuned_part(tuned).learned, tuned_part(tuned).tuning).key != (tuned.key)


def test_frozen_wins_where_training_only_harms(tiny: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(tiny, learning_rate=10.0, patience=2, head_steps=50)
    constant = Scored(VALIDATION.texts, np.tile([0.2, 0.9, 0.1], (len(VALIDATION.texts), 1)))
    train = Scored(TRAIN.texts, np.tile([0.2, 0.9, 0.1], (len(TRAIN.texts), 1)))
    with caplog.at_level(logging.INFO):
        tuned = trained(config, train, validation=constant)
    assert tuned.tuning.chosen_step == 0
    assert [row["step"] for row in tuned.tuning.history] == [0, 20, 40, 60]  # two looks without a better one
    assert tuned.key == base_of(config).key
    assert not tuned.learned.weights
    np.testing.assert_array_equal(tuned.encode(VALIDATION.texts), base_of(config).encode(VALIDATION.texts))
    assert "0.9000 frozen, 0.9000 at step 0" in caplog.text


def test_what_is_known_beside_the_vectors_counts(tiny: Path) -> None:
    told = [Scored(data.texts, data.scores, data.scores.argmax(axis=1)[:, None] == np.arange(3)) for data in
            (TRAIN, VALIDATION)]  # fmt: skip
    tuned = trained(config_of(tiny), told[0], validation=told[1])
    assert [row["probe_score"] for row in tuned.tuning.history] == pytest.approx([1.0] * len(tuned.tuning.history))


@pytest.mark.parametrize("at", [1, 45])
def test_ctrl_c_keeps_the_best(tiny: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    step, calls = encoder_run.Training._step, []
    after: dict[int, dict[str, np.ndarray]] = {}

    def interrupting(self: Any, *arguments: Any) -> float:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        loss = step(self, *arguments)
        after[len(calls)] = {name: value.detach().numpy().copy() for name, value in self.split.trained.items()}
        return loss

    monkeypatch.setattr(encoder_run.Training, "_step", interrupting)
    tuned = trained(config_of(tiny))
    assert tuned.tuning.interrupted
    assert [row["step"] for row in tuned.tuning.history] == ([0] if at == 1 else [0, 20, 40])
    best = max(tuned.tuning.history, key=lambda row: row["validation_score"])
    assert tuned.tuning.chosen_step == best["step"]
    assert (best["step"] > 0) == (at > 1)
    for name, value in after.get(best["step"], {}).items():  # not those of the last step
        np.testing.assert_array_equal(tuned.learned.weights[name], value)
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
    monkeypatch.setattr(encoder_run, "CACHE_BYTES", 2 * 16 * 200)
    with caplog.at_level(logging.INFO):
        trained(config_of(tiny, steps=2))
    assert "of 120 train texts" in caplog.text


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


def test_a_killed_training_goes_on_and_ends_in_the_same_weights(tiny: Path, tuned: Any, tmp_path: Path) -> None:
    """`kill -9` of a process that has seen two looks; the next one takes over at the last of them."""
    folder = tmp_path / "steps"
    script = (
        "import sys; from pathlib import Path; import tests.graph.finetuning.test_training as t\n"
        "from graph.finetuning.checkpoint import StepStore\n"
        "save = StepStore.save\n"
        "def loud(self, step, *rest):\n"
        "    save(self, step, *rest)\n"
        "    if step == 40:\n"
        "        print('saved', flush=True); sys.stdin.read()\n"
        "StepStore.save = loud\n"
        "c = t.config_of(Path(sys.argv[1]))\n"
        "t.train_encoder(t.base_of(c), t.TRAIN, t.VALIDATION, t.LLM_TEXTS, c, 0, checkpoint=Path(sys.argv[2]))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tiny), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=project_root(),
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"saved\n"
        child.kill()
    assert [path.name for path in folder.iterdir()] == ["step-40"]
    config = config_of(tiny)
    steps: list[int] = []
    step = encoder_run.Training._step

    def counted(self: Any, number: int) -> float:
        steps.append(number)
        return step(self, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_run.Training, "_step", counted)
        again = train_encoder(base_of(config), TRAIN, VALIDATION, LLM_TEXTS, config, 0, checkpoint=folder)
    assert steps == list(range(40, 100))
    assert again.key == tuned.key  # of the weights
    np.testing.assert_array_equal(again.learned.llm_vectors, tuned.learned.llm_vectors)
    for row, same in zip(again.tuning.history, tuned.tuning.history, strict=True):
        assert row == pytest.approx(same, nan_ok=True)
        assert list(row) == list(same), "in the same order, too"
    # Until the caller has kept the result and deletes it: a training that is done costs no step more.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_run.Training, "_step", None)
        assert train_encoder(base_of(config), TRAIN, VALIDATION, LLM_TEXTS, config, checkpoint=folder).key == tuned.key


def interrupted_at(model: Path, folder: Path, at: int) -> None:
    """Leave in `folder` the state of a training that Ctrl-C ended at step `at`."""
    config, step = config_of(model), encoder_run.Training._step

    def interrupting(self: Any, number: int) -> float:
        if number == at:
            raise KeyboardInterrupt
        return step(self, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_run.Training, "_step", interrupting)
        train_encoder(base_of(config), TRAIN, VALIDATION, LLM_TEXTS, config, 0, checkpoint=folder)


def test_a_state_of_another_training_is_refused_and_a_damaged_one_passed_over(
    tiny: Path, tuned: Any, tmp_path: Path
) -> None:
    interrupted_at(tiny, tmp_path / "steps", 21)
    other = config_of(make_model(tmp_path / "other", 1))
    with pytest.raises(InputError, match="with other data or settings") as error:
        train_encoder(base_of(other), TRAIN, VALIDATION, LLM_TEXTS, other, 0, checkpoint=tmp_path / "steps")
    assert str(tiny) in str(error.value)
    assert other.model in str(error.value)
    config = config_of(tiny)
    with pytest.raises(InputError, match="with other data or settings"):
        train_encoder(base_of(config), TRAIN, VALIDATION, LLM_TEXTS, config, 1, checkpoint=tmp_path / "steps")
    path = tmp_path / "steps" / "step-20" / "arrays.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    again = train_encoder(base_of(config), TRAIN, VALIDATION, LLM_TEXTS, config, 0, checkpoint=tmp_path / "steps")
    assert again.key == tuned.key


def test_a_second_identical_training_is_a_read(tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(tiny, tmp_path / "cache", steps=10, evaluate_every=5)
    first = trained(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoder_run.Training, "run", None)  # whoever trained again would fail
        assert trained(config).key == first.key
        board = config.model_copy(
            update={"contrastive": config.contrastive.model_copy(update={"tensorboard": "elsewhere"})}
        )
        assert trained(board).key == first.key
        with pytest.raises(TypeError):
            trained(config, seed=1)
        scores = TRAIN.scores.copy()
        scores[0, 0] = 0.5
        with pytest.raises(TypeError):
            trained(config, Scored(TRAIN.texts, scores))
    (folder,) = (tmp_path / "cache" / "trained").iterdir()  # no states are left
    (folder / "settings.json").write_text("{}")
    assert trained(config).key == first.key
    assert "it is trained again" in caplog.text
    assert tuned_part(trained(config)).tuning.chosen_step == tuned_part(first).tuning.chosen_step


def test_what_the_encoder_cannot_read_is_learnt_from_the_side(tiny: Path) -> None:
    """All texts read the same to the transformer; which LLM suits shows in the side features alone."""
    rng = np.random.default_rng(0)

    def unreadable(count: int) -> Scored:
        kind = rng.integers(3, size=count)
        return Scored(["漢字"] * count, np.eye(3)[kind], side=np.eye(3)[kind] + rng.normal(0, 0.1, (count, 3)))

    train, validation = unreadable(90), unreadable(60)
    keys: dict[str, Any] = {"steps": 5, "evaluate_every": 5, "head_steps": 100}
    seeing = trained(config_of(tiny, side_dim=4, **keys), train, validation=validation)
    blind = trained(config_of(tiny, side_dim=0, **keys), train, validation=validation)
    assert seeing.tuning.history[-1]["alone_score"] > 0.95
    assert blind.tuning.history[-1]["alone_score"] < 0.5
    assert seeing.learned.side.shape == (3, 4)
    assert seeing.learned.llm_vectors.shape == (3, 20)
    assert blind.learned.side.size == 0
    alone = similarities(seeing.learned, seeing.encode(validation.texts), validation.side)
    assert earned(alone, validation.scores).mean() > 0.95
    query = np.hstack([seeing.encode(validation.texts), validation.side @ seeing.learned.side])
    slow = [[q @ v / np.linalg.norm(q) / np.linalg.norm(v) for v in seeing.learned.llm_vectors] for q in query]
    np.testing.assert_allclose(alone, slow, atol=1e-5)


def test_the_same_batch_twice_is_that_batch(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accumulated gradients are averaged: without dropout a batch and its copy move what the batch alone moves."""
    monkeypatch.setattr(encoder_run.Training, "_rows", lambda *_, **__: np.arange(16))
    monkeypatch.setattr(SplitTransformer, "training", lambda *_: None)
    calls: list[int] = []
    forward = SplitTransformer.forward

    def counted(self: Any, pool: Any, rows: Any) -> Any:
        calls.extend([1] * torch.is_grad_enabled())
        return forward(self, pool, rows)

    monkeypatch.setattr(SplitTransformer, "forward", counted)
    keys: dict[str, Any] = {"steps": 3, "evaluate_every": 3, "sample_weight": 0.0, "loss": "listwise"}
    one, two = (trained(config_of(tiny, accumulate=number, **keys)).tuning.history[-1] for number in (1, 2))
    assert len(calls) == 3 + 6
    assert one == pytest.approx(two, rel=1e-4)


def test_everything_can_be_trained(tiny: Path) -> None:
    config = config_of(tiny, steps=60).model_copy(update={"trainable_layers": "all"})
    tuned = trained(config)
    names = set(tuned.learned.weights)
    assert {"embeddings.word_embeddings.weight", "encoder.layer.0.output.dense.weight"} <= names
    assert not any(name.startswith("pooler") for name in names)
    row = next(row for row in tuned.tuning.history if row["step"] == tuned.tuning.chosen_step)
    alone = similarities(tuned.learned, tuned.encode(VALIDATION.texts), np.zeros((60, 0)))
    assert earned(alone, VALIDATION.scores).mean() == pytest.approx(row["alone_score"], abs=1.5 / 60)


def test_bfloat16_trains(tiny: Path) -> None:
    config = config_of(tiny, steps=4).model_copy(update={"dtype": "bfloat16"})
    tuned = trained(config)
    assert np.isfinite(tuned.tuning.history[-1]["train_loss"])
    assert all(value.dtype == np.float32 for value in tuned.learned.weights.values())


def test_the_encoder_must_beat_the_frozen_one_by_more_than_chance(tiny: Path) -> None:
    assert trained(config_of(tiny, caution=0.0)).tuning.chosen_step > 0
    cautious = trained(config_of(tiny, caution=1e6))
    assert cautious.tuning.chosen_step == 0
    assert not cautious.learned.weights


def test_small_tasks_weigh_as_much_as_large_ones(tiny: Path) -> None:
    """All choose the second LLM, which is right but for the one text of the smallest of three tasks."""
    groups = ["small"] + ["b"] * 30 + ["c"] * 29
    scores = np.tile([0.0, 1.0, 0.0], (60, 1))
    scores[0] = [1.0, 0.0, 0.0]
    held_out = Scored(VALIDATION.texts, scores, groups=groups)
    train = Scored(TRAIN.texts, np.tile([0.0, 1.0, 0.0], (120, 1)))
    for balanced, expected in ((True, 2 / 3), (False, 59 / 60)):
        tuned = trained(config_of(tiny, steps=1, head_steps=50, balanced=balanced), train, validation=held_out)
        assert tuned.tuning.history[0]["alone_score"] == pytest.approx(expected)


def test_llms_start_from_descriptions_or_at_random(tiny: Path) -> None:
    keys: dict[str, Any] = {"steps": 1, "learning_rate": 1e-9, "head_learning_rate": 1e-9, "caution": 1e6}
    told = trained(config_of(tiny, **keys)).learned.llm_vectors
    drawn = trained(config_of(tiny, llm_start="random", **keys)).learned.llm_vectors
    texts = base_of(config_of(tiny)).encode(LLM_TEXTS)
    np.testing.assert_allclose(told, texts, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
    assert np.abs(drawn - texts).max() > 0.1


def test_clusters_are_those_of_train(tiny: Path, tuned: Any) -> None:
    vectors = base_of(config_of(tiny)).encode(TRAIN.texts)
    ids = clusters_of(tuned.learned, vectors)
    slow = [min(range(8), key=lambda k: np.linalg.norm(v - tuned.learned.centres[k])) for v in vectors]
    assert ids.tolist() == slow
    assert len(set(slow)) == 8


def test_a_missing_package_is_named_before_anything_is_computed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setattr(encoder_run.Training, "_prepare", None)
    with pytest.raises(InputError, match="pip install tensorboard"):
        trained(config_of(tiny, tensorboard="curves"))
