"""States of a training on disk: the last whole one counts, whatever a kill left beside it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from configs.errors import InputError
from graph.finetuning.checkpoint import StepStore, fingerprint, optimizer_arrays, place, restore_optimizer


def state(number: float) -> dict[str, np.ndarray]:
    return {"weight": np.full(3, number)}


def test_the_last_state_is_read_and_those_before_go(tmp_path: Path) -> None:
    store = StepStore(tmp_path / "steps", "abc", "a model")
    assert store.load() is None
    store.save(50, {"since": 0}, state(1.0))
    store.save(100, {"since": 2}, state(2.0))
    assert [path.name for path in store.folder.iterdir()] == ["step-100"]
    step, settings, arrays = store.load() or (0, {}, {})
    assert (step, settings) == (100, {"since": 2})
    np.testing.assert_array_equal(arrays["weight"], [2.0] * 3)
    store.clear()
    assert store.load() is None


def test_what_a_kill_leaves_half_written_is_passed_over(tmp_path: Path) -> None:
    store = StepStore(tmp_path, "abc", "a model")
    store.save(50, {}, state(1.0))
    (tmp_path / "step-100.77.part").mkdir()
    (tmp_path / "step-100.77.part" / "settings.json").write_text("{")
    assert (store.load() or (0,))[0] == 50


@pytest.mark.parametrize("name", ["arrays.safetensors", "settings.json", "manifest.json"])
def test_a_damaged_state_is_passed_over_aloud(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = StepStore(tmp_path, "abc", "a model")
    store.save(50, {}, state(1.0))
    (tmp_path / "step-50" / name).write_bytes(b"{")
    assert store.load() is None
    assert "training from the start" in caplog.text
    assert name in caplog.text
    store.save(10, {}, state(1.0))
    assert (store.load() or (0,))[0] == 10, "the damaged one is gone"


def test_another_training_is_refused_naming_both(tmp_path: Path) -> None:
    StepStore(tmp_path, "abc", "model one").save(1, {}, state(1.0))
    with pytest.raises(InputError) as error:
        StepStore(tmp_path, "xyz", "model two").load()
    assert "model one (abc)" in str(error.value)
    assert "model two (xyz)" in str(error.value)
    assert "without --resume" in str(error.value)


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        folder.mkdir()
        (folder / "new").write_text("")

    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "old").write_text("")
    place(tmp_path / "it", write)
    assert [path.name for path in (tmp_path / "it").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder that can be written"):
        place(tmp_path / "file" / "under", write)


def test_every_part_counts_in_the_fingerprint() -> None:
    parts = ["a", ["b", "c"], np.arange(3.0), {"d": 1}]
    others = [
        ["a", ["b"], np.arange(3.0), {"d": 1}],
        ["a", ["b", "c"], np.arange(3), {"d": 1}],
        ["a", ["b", "c"], np.arange(3.0), {"d": 2}],
        ["a", ["b", "c"], np.arange(3.0)[::-1], {"d": 1}],
    ]
    assert fingerprint(parts) == fingerprint(parts)
    assert len({fingerprint(each) for each in [parts, *others]}) == 5


def test_an_optimiser_goes_on_where_it_stood() -> None:
    def made(value: torch.Tensor) -> tuple[torch.nn.Parameter, torch.optim.AdamW]:
        weight = torch.nn.Parameter(value.clone())
        return weight, torch.optim.AdamW([weight], lr=0.1)

    def step(weight: torch.nn.Parameter, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        (weight**3).sum().backward()
        optimizer.step()

    weight, optimizer = made(torch.tensor([1.0, -2.0]))
    step(weight, optimizer)
    again, other = made(weight.detach())
    restore_optimizer(other, optimizer_arrays(optimizer))
    for _ in range(3):
        step(weight, optimizer)
        step(again, other)
    assert torch.equal(weight, again)
