"""What the encoder is trained and judged on: texts, how well each LLM answered them, and what else is known of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from configs.errors import InputError


@dataclasses.dataclass(frozen=True)
class Scored:
    """N texts, as the encoder reads them, and `scores` (N, L): how well each LLM answered; NaN where unobserved.

    `side` (N, k): features of the texts that are trained on together with the encoder, `QueryFeatures.beside`.
    `beside` (N, b): all that the router sees of the texts besides their vectors (style, task): the encoder is not
    trained on it, but judged by what it adds to it. `groups` (N,): the task of each text: all weigh the same in
    training and on validation, and their means are what single scores are smoothed with. Each may be None: there is
    no such thing.
    """

    texts: Sequence[str]
    scores: np.ndarray
    beside: np.ndarray | None = None
    side: np.ndarray | None = None
    groups: Sequence[str] | None = None

    def take(self, rows: Sequence[int] | np.ndarray) -> Scored:
        """Return the given rows."""
        return Scored(
            [self.texts[row] for row in rows],
            np.asarray(self.scores, dtype=np.float64)[rows],
            None if self.beside is None else np.asarray(self.beside)[rows],
            None if self.side is None else np.asarray(self.side)[rows],
            None if self.groups is None else [self.groups[row] for row in rows],
        )

    def extra(self, what: str) -> np.ndarray:
        """Return `beside` or `side` as float32, (N, 0) where it is None."""
        value = getattr(self, what)
        return np.asarray(np.zeros((len(self.texts), 0)) if value is None else value, dtype=np.float32)


def in_order(data: Scored) -> Scored:
    """Return the rows that have a score, in an order that does not depend on the one they came in."""
    scores = np.asarray(data.scores, dtype=np.float64)
    usable = [row for row in range(len(data.texts)) if np.isfinite(scores[row]).any()]
    if not usable:
        raise InputError("encoder.training: expected queries with outcomes, got none; --set encoder.training=frozen")
    filled = np.where(np.isfinite(scores), scores, -np.inf)
    extra = np.hstack([data.extra("beside"), data.extra("side")])
    groups = data.groups or [""] * len(data.texts)
    order = sorted(usable, key=lambda row: (data.texts[row], groups[row], tuple(filled[row]), tuple(extra[row])))
    ordered = data.take(order)
    return dataclasses.replace(ordered, scores=np.where(np.isfinite(ordered.scores), ordered.scores, np.nan))
