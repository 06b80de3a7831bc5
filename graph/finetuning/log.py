"""Curves of the encoder's training for TensorBoard, where asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.errors import InputError
from configs.schema import project_root


class Curves:
    """What was measured, step by step, in `folder` (relative to the project); None: nothing is written."""

    def __init__(self, folder: str | None, run: str) -> None:
        self._writer = None if folder is None else _writer(project_root() / folder / run)

    def add(self, row: Mapping[str, float]) -> None:
        """Write the numbers of `row`, which has a `step`; what is not a number is left out."""
        if self._writer is not None:
            for name, value in row.items():
                if name != "step" and math.isfinite(value):
                    self._writer.add_scalar(f"encoder/{name}", value, int(row["step"]))

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()


def _writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as err:
        raise InputError(
            "encoder.contrastive.tensorboard: expected the package tensorboard, found none; `pip install tensorboard` "
            "or --set encoder.contrastive.tensorboard=null"
        ) from err
    return SummaryWriter(str(folder))
