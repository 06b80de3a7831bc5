"""Where training stands, on disk, so that a killed run goes on from its last look at validation.

A state is an artifact (sorted JSON, safetensors, checksums) in a folder `step-N`, written beside and renamed, so that a
kill at any time leaves a whole one. No random state is kept: each step draws from a seed of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs.errors import InputError
from graph.artifact import load_artifact, save_artifact

LOG = logging.getLogger(__name__)
KIND = "encoder-training"
RECIPE = 1  # raise it where a change of the code changes what comes out


@dataclasses.dataclass(frozen=True)
class StepStore:
    """The states of one training in `folder`. `fingerprint`: what it depends on; `about`: its base, for people."""

    folder: Path
    fingerprint: str
    about: str

    def save(self, step: int, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Write the state after `step`; those before go."""
        settings = {"fingerprint": self.fingerprint, "about": self.about, "step": step, "state": settings}
        older = self._steps()
        place(self.folder / f"step-{step}", lambda folder: save_artifact(folder, KIND, settings, arrays))
        for number in older:
            if number != step:
                shutil.rmtree(self.folder / f"step-{number}", ignore_errors=True)

    def load(self) -> tuple[int, dict[str, Any], dict[str, np.ndarray]] | None:
        """Return (step, settings, arrays) of the last state, None where there is none or it is damaged.

        Raises `InputError` where it is of another training, naming both.
        """
        steps = self._steps()
        if not steps:
            return None
        try:
            settings, arrays = load_artifact(self.folder / f"step-{max(steps)}", KIND)
        except InputError as err:
            LOG.warning("%s; training from the start", err)
            return None
        if settings["fingerprint"] != self.fingerprint:
            raise InputError(
                f"{self.folder}: expected a training of {self.about} ({self.fingerprint[:12]}), got one of "
                f"{settings['about']} ({settings['fingerprint'][:12]}) with other data or settings; train "
                "without --resume, or delete this folder"
            )
        LOG.info("resuming from step %d of %s", settings["step"], self.folder)
        return settings["step"], settings["state"], arrays

    def clear(self) -> None:
        """Delete the states, once training is done."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _steps(self) -> list[int]:
        names = [path.name.removeprefix("step-") for path in self.folder.glob("step-*")]
        return sorted(int(name) for name in names if name.isdigit())


def place(folder: Path, write: Any) -> None:
    """Let `write` fill a new folder, which then becomes `folder`, whole or not at all; an earlier one goes."""
    beside = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        write(beside)
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    except OSError as err:
        raise InputError(f"{folder}: expected a folder that can be written, got: {err}; free or unlock it") from err


def fingerprint(parts: Sequence[Any]) -> str:
    """Return the sha256 of texts, numbers, arrays and JSON-able settings, and of the recipe and torch's version."""
    digest = hashlib.sha256(f"{RECIPE}|{torch.__version__}".encode())
    for part in parts:
        if isinstance(part, np.ndarray):
            content = f"{part.shape}{part.dtype}".encode() + np.ascontiguousarray(part).tobytes()
        else:
            content = json.dumps(part, sort_keys=True).encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> dict[str, np.ndarray]:
    """Return the state of `optimizer` as flat arrays, `optimizer.<parameter>.<name>`."""
    return {
        f"optimizer.{number}.{name}": value.detach().cpu().numpy().copy()
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, arrays: dict[str, np.ndarray]) -> None:
    """Put back what `optimizer_arrays` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in arrays.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".", 2)
            state.setdefault(int(number), {})[key] = torch.from_numpy(value.copy())
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
