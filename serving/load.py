"""From a router to who chooses on the page: a person's router, or a classifier between two LLMs."""

from __future__ import annotations

from pathlib import Path

from baselines.binary_router import BinaryRouter
from configs.errors import InputError
from evaluation.calibrate import read_calibration
from graph.router import Router
from serving.chooser import Chooser
from serving.pair import Pair
from serving.personal import Personal


def chooser_of(router: Router | BinaryRouter, threshold: Path | None = None) -> Chooser:
    """Return who chooses; `threshold` is a file of evaluation.calibrate for a classifier.

    Raises `InputError` for a file of other LLMs, or that is none, and for one with a router that knows users.
    """
    if isinstance(router, BinaryRouter):
        limit = router.encoder.max_tokens
        return Pair(router, limit) if threshold is None else Pair(router, limit, read_calibration(threshold, router))
    if threshold is not None:
        raise InputError(
            f"--threshold: expected it for a classifier between two LLMs, got {threshold} for a router that follows "
            "preferences; drop it, or give --router a folder of baselines.binary"
        )
    return Personal(router)
