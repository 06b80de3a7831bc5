"""BERTScore: how near two texts are, token by token, in the space of the project's encoder.

Zhang et al., arXiv 1904.09675. Each token of one text is matched to the most similar token of the other, by the cosine
of the last layer's vectors. No idf weights and no rescaling against a baseline, and the tokens that the tokenizer puts
around a text take no part: values are not those of the `bert-score` package. With all-MiniLM-L6-v2 unrelated sentences
come out near 0.1. Of long texts the first and the last half of the token budget are read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graph.encoder import TextEncoder
from graph.model_source import DEFAULT_MODEL

MAX_TOKENS = 512  # all that the model takes: an answer's second page counts too
_PAIRS = 64  # texts under way at once; 64 pairs of the longest are 100 MB
_DECIMALS = 6  # the same text differs beyond them with the batch it is computed in


class BertScore:
    """A metric: called with (prediction, ground_truth), or with many of both through `many`; gives F1 in [0, 1]."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder

    def __call__(self, prediction: str, ground_truth: str) -> float:
        """Return F1 of one pair."""
        return float(self.many([prediction], [ground_truth])[0])

    def many(self, predictions: Sequence[str], ground_truths: Sequence[str]) -> np.ndarray:
        """Return F1 of each pair, shape (N,), float64 in [0, 1]."""
        return self.precision_recall_f1(predictions, ground_truths)[:, 2]

    def precision_recall_f1(self, predictions: Sequence[str], ground_truths: Sequence[str]) -> np.ndarray:
        """Return precision, recall and F1 of each pair, shape (N, 3), float64 in [0, 1]; a text without tokens: 0."""
        pairs = list(zip(predictions, ground_truths, strict=True))
        out = np.zeros((len(pairs), 3))
        for start in range(0, len(pairs), _PAIRS):
            part = pairs[start : start + _PAIRS]
            texts = list(dict.fromkeys(text for pair in part for text in pair))  # a truth is shared by all LLMs
            vectors = dict(zip(texts, self.encoder.token_vectors(texts), strict=True))
            for row, (prediction, truth) in enumerate(part, start):
                out[row] = greedy_match(vectors[prediction], vectors[truth])
        return np.round(out, _DECIMALS)


def greedy_match(said: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Return precision, recall and F1 of two texts' token vectors, (S, dim) and (T, dim), each of length 1.

    Precision is the mean over `said` of the best cosine with a token of `truth`, recall the other way round; a mean
    below 0 counts as 0.
    """
    if not len(said) or not len(truth):
        return 0.0, 0.0, 0.0
    cosine = said @ truth.T
    precision, recall = (float(np.clip(cosine.max(axis=axis).mean(), 0, 1)) for axis in (1, 0))
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


bert_score = BertScore(TextEncoder(DEFAULT_MODEL, max_tokens=MAX_TOKENS, dtype="float32"))
