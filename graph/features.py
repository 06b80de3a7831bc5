"""What the router sees of a query: the encoder's vector, the style of the text, and a few counts.

Benchmarks and real traffic differ in *format* (options, LaTeX, code, instructions at the end) at least as much as in
topic, and sentence encoders are trained to ignore format. Character n-grams and counts bring it back: with tasks
withheld on the LLMRouter set they raise the headroom of plain kNN from 0.14 to 0.19 (benchmarks/LOG.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from graph.boilerplate import Boilerplate
from graph.embedding_cache import QueryEncoder
from graph.records import Queries

STYLE_DIM = 64
STYLE_NGRAMS = 8_000
STYLE_CHARACTERS = 1_000  # from each end of the text: the format of a prompt shows at its start and its end
COUNT_SCALE = 0.1
COUNT_CLIP = 3.0


class QueryFeatures:
    """Texts to (N, dim) float32 features: [unit encoder vector | unit style vector | standardised counts × 0.1].

    `fit` looks at train texts only. The encoder is given from outside and is not part of the state.
    """

    def __init__(self, encoder: QueryEncoder, drop_boilerplate: bool = True, style: bool = True) -> None:
        self.encoder = encoder
        self.drop_boilerplate = drop_boilerplate
        self.style = style
        self.boilerplate = Boilerplate()
        self._ngrams: list[str] = []
        self._idf = np.zeros(0, dtype=np.float32)
        self._components = np.zeros((0, 0), dtype=np.float32)
        self._count_mean = np.zeros(0, dtype=np.float32)
        self._count_std = np.zeros(0, dtype=np.float32)

    def fit(self, task_ids: Sequence[str], texts: Sequence[str]) -> Self:
        """Learn boilerplate, n-gram weights and the scale of the counts from N train texts."""
        if self.drop_boilerplate:
            self.boilerplate = Boilerplate().fit(task_ids, texts)
        if self.style:
            texts = self.strip(task_ids, texts)
            # Rare n-grams are noise, but of a handful of texts they may be all there is.
            vectorizer = _vectorizer(None, min_df=3 if len(texts) >= 30 else 1).fit(_ends(texts))
            self._ngrams = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
            self._idf = vectorizer.idf_.astype(np.float32)
            weights = vectorizer.transform(_ends(texts))
            width = max(1, min(STYLE_DIM, min(weights.shape) - 1))
            self._components = TruncatedSVD(width, random_state=0, n_iter=3).fit(weights).components_.astype(np.float32)
            counts = count_features(texts)
            self._count_mean, self._count_std = counts.mean(axis=0), counts.std(axis=0) + 1e-6
        return self

    def strip(self, task_ids: Sequence[str], texts: Sequence[str]) -> list[str]:
        """Return the texts as the encoder reads them: without the boilerplate of their task."""
        return self.boilerplate.strip(texts, list(task_ids)) if self.drop_boilerplate else list(texts)

    def transform(
        self, query_ids: Sequence[str], task_ids: Sequence[str], texts: Sequence[str], progress: bool = False
    ) -> Queries:
        """Return the batch, featurised."""
        stripped = self.strip(task_ids, texts)
        parts = [self.encoder.encode(stripped, progress=progress), *self._beside(stripped)]
        features = np.hstack(parts).astype(np.float32)
        return Queries(
            tuple(query_ids), tuple(task_ids), tuple(texts), features, tuple(part.shape[1] for part in parts)
        )

    def beside(self, stripped: Sequence[str]) -> np.ndarray:
        """Return (N, k) what is seen of stripped texts beside the encoder's vector; k is 0 without `style`."""
        return np.hstack([np.zeros((len(stripped), 0), dtype=np.float32), *self._beside(stripped)])

    def _beside(self, stripped: Sequence[str]) -> list[np.ndarray]:
        return [self._style(stripped), self._counts(stripped)] if self.style else []

    def _style(self, texts: Sequence[str]) -> np.ndarray:
        vectorizer = _vectorizer(self._ngrams)
        vectorizer.idf_ = self._idf.astype(np.float64)
        style = vectorizer.transform(_ends(texts)) @ self._components.T
        return style / np.maximum(np.linalg.norm(style, axis=1, keepdims=True), 1e-6)

    def _counts(self, texts: Sequence[str]) -> np.ndarray:
        scaled = (count_features(texts) - self._count_mean) / self._count_std
        return COUNT_SCALE * np.clip(scaled, -COUNT_CLIP, COUNT_CLIP)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return (JSON-able settings, arrays)."""
        settings = {
            "boilerplate": self.boilerplate.to_json(),
            "drop_boilerplate": self.drop_boilerplate,
            "style": self.style,
            "ngrams": self._ngrams,
        }
        arrays = {
            "idf": self._idf,
            "components": self._components,
            "count_mean": self._count_mean,
            "count_std": self._count_std,
        }
        return settings, arrays

    @classmethod
    def from_state(cls, encoder: QueryEncoder, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """Build the fitted object back from `state`."""
        features = cls(encoder, settings["drop_boilerplate"], settings["style"])
        features.boilerplate = Boilerplate.from_json(settings["boilerplate"])
        features._ngrams = settings["ngrams"]
        features._idf, features._components = arrays["idf"], arrays["components"]
        features._count_mean, features._count_std = arrays["count_mean"], arrays["count_std"]
        return features


def count_features(texts: Sequence[str]) -> np.ndarray:
    """Return (N, 14) float32 counts that tell formats apart: lengths, shares of character kinds, marks of LaTeX, code,
    options and questions."""
    rows = []
    for text in texts:
        length = len(text) + 1
        words = text.split()
        rows.append(
            [
                np.log(length),
                np.log(len(words) + 1),
                np.log(sum(map(len, words)) / max(len(words), 1) + 1),
                sum(map(str.isdigit, text)) / length,
                sum(map(str.isupper, text)) / length,
                sum(not c.isalnum() and not c.isspace() for c in text) / length,
                sum(not c.isascii() for c in text) / length,
                np.log(text.count("\n") + 1),
                float("?" in text),
                float(text.rstrip().endswith("?")),
                float("\\" in text or "$" in text),
                float("def " in text or "```" in text or "assert" in text),
                float("A)" in text or "A." in text),
                float(text[:1].isupper()),
            ]
        )
    return np.asarray(rows, dtype=np.float32).reshape(len(texts), 14)


def _vectorizer(vocabulary: list[str] | None, min_df: int = 1) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer="char",
        ngram_range=(1, 3),
        min_df=min_df,
        max_features=STYLE_NGRAMS,
        sublinear_tf=True,
        vocabulary=vocabulary,
    )


def _ends(texts: Sequence[str]) -> list[str]:
    cut = STYLE_CHARACTERS
    return [text if len(text) <= 2 * cut else text[:cut] + text[-cut:] for text in texts]
