"""Curves for TensorBoard: written where asked for, and a clear word where the package is not there."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import InputError
from graph.finetuning.log import Curves


def test_numbers_are_written_under_their_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class SummaryWriter:
        def __init__(self, folder: str) -> None:
            calls.append(folder)

        def add_scalar(self, *what: Any) -> None:
            calls.append(what)

        def close(self) -> None:
            calls.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    curves = Curves(str(tmp_path), "run")
    curves.add({"step": 50, "train_loss": 0.5, "alone_score": np.nan})
    curves.close()
    assert calls == [str(tmp_path / "run"), ("encoder/train_loss", 0.5, 50), "closed"]


def test_the_package_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="pip install tensorboard"):
        Curves(str(tmp_path), "run")


def test_nothing_is_written_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    curves = Curves(None, "run")
    curves.add({"step": 1, "train_loss": 1.0})
    curves.close()
    assert not list(tmp_path.iterdir())
