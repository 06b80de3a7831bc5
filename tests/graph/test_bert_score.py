"""BERTScore against a slow double loop, on a tiny model that is made here, and by hand on the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from configs.errors import InputError
from data_processing.scoring import find_metric, score, score_all
from graph.bert_score import BertScore, bert_score, greedy_match
from graph.encoder import TextEncoder
from graph.model_source import DEFAULT_MODEL, find_model
from tests.graph.tiny_bert import WORDS, make_bert

IDS = {word: i + 5 for i, word in enumerate(WORDS)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("tiny"), 1, 1.0)


def metric(folder: Path, batch_size: int = 4) -> BertScore:
    return BertScore(TextEncoder(str(folder), max_tokens=40, batch_size=batch_size, dtype="float32", device="cpu"))


def slow(folder: Path, prediction: str, truth: str) -> list[float]:
    """The second version: one text at a time, a double loop over tokens, cosines written out."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()

    def vectors(text: str) -> list[np.ndarray]:
        ids = [2, *(IDS[word] for word in text.split()), 3]
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        return list(hidden[1:-1].astype(np.float64))

    def best(of: np.ndarray, among: list[np.ndarray]) -> float:
        return max(float(of @ other / np.sqrt((of @ of) * (other @ other))) for other in among)

    said, wanted = vectors(prediction), vectors(truth)
    precision = sum(best(token, wanted) for token in said) / len(said)
    recall = sum(best(token, said) for token in wanted) / len(wanted)
    return [precision, recall, 2 / (1 / precision + 1 / recall)]


def test_it_equals_its_slow_twin_whatever_the_batch(tiny: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, size=size)) for size in (1, 2, 3, 5, 8, 13, 21, 2, 5, 1)]
    predictions, truths = texts, texts[::-1]
    wanted = np.array([slow(tiny, *pair) for pair in zip(predictions, truths, strict=True)])
    for batch_size in (1, 3, 32):
        got = metric(tiny, batch_size).precision_recall_f1(predictions, truths)
        np.testing.assert_allclose(got, wanted, atol=2e-6)
    np.testing.assert_array_equal(metric(tiny).many(predictions, truths), got[:, 2])


def test_more_pairs_than_are_held_at_once(tiny: Path) -> None:
    predictions = [WORDS[i % len(WORDS)] for i in range(150)]
    truths = [" ".join(WORDS[i % 7 : i % 7 + 3]) for i in range(150)]
    scores = metric(tiny).many(predictions, truths)
    assert scores.shape == (150,)
    assert scores[149] == metric(tiny)(predictions[149], truths[149])


def test_greedy_match_by_hand() -> None:
    east, north = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    between = (east + north) / np.sqrt(2)
    precision, recall, f1 = greedy_match(np.array([east]), np.array([east, north]))
    assert (precision, recall) == (1, 0.5)
    assert f1 == pytest.approx(2 / 3)
    assert greedy_match(np.array([between]), np.array([east, north]))[:2] == pytest.approx((0.5**0.5, 0.5**0.5))
    assert greedy_match(np.array([east, east]), np.array([east])) == (1, 1, 1)
    assert greedy_match(np.array([east]), np.array([-east])) == (0, 0, 0)
    assert greedy_match(np.zeros((0, 2)), np.array([east])) == (0, 0, 0)


def test_texts_without_tokens_score_nothing(tiny: Path) -> None:
    assert metric(tiny).many(["", "w1", " \n", "w1"], ["w1", "", "w2", "w1"]).tolist() == [0, 0, 0, 1]
    assert metric(tiny).many([], []).tolist() == []


def test_odd_texts_are_read(tiny: Path) -> None:
    values = metric(tiny).many(["\ud800 w1", "w1 \x00", " ".join(WORDS * 9)], ["w1"] * 3)
    assert ((values >= 0) & (values <= 1)).all()


def test_it_is_found_by_name() -> None:
    assert find_metric("bert_score") is bert_score
    with pytest.raises(InputError, match=r"got 'bertscore' \(did you mean 'bert_score'\?\)"):
        find_metric("bertscore")


def test_with_the_default_model_meaning_counts_and_words_do_not() -> None:
    try:
        find_model(DEFAULT_MODEL)
    except InputError as err:
        pytest.skip(str(err))
    truth = "The film was wonderful and everybody loved it."
    near, far = "A great movie that all people enjoyed.", "Interest rates rose by half a percent in March."
    same, close, other = score_all("bert_score", [truth, near, far], [truth] * 3)
    assert same == 1
    assert same > close > other + 0.15
    assert score("bert_score", "  ", truth) == 0
