"""The losses of the encoder against slow double loops, and their gradients."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.losses import listwise_loss, sample_llm_loss, sample_sample_loss

NAN = float("nan")
GRADES = st.sampled_from([NAN, -0.3, 0.0, 0.2, 0.5, 0.6, 1.0])


def tensors(seed: int, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1 for shape in shapes]


def slow_sample_llm(
    similarity: list[float], score: list[float], temperature: float, positives: int, negatives: int
) -> float:
    known = [i for i in range(len(score)) if not math.isnan(score[i])]
    high = sorted(known, key=lambda i: -score[i])[:positives]
    low = sorted(known, key=lambda i: score[i])[:negatives]
    total = 0.0
    for i in high:
        if score[i] <= 0:
            continue
        top = math.exp(similarity[i] / temperature)
        bottom = top
        for j in low:
            if score[j] <= 0.5 and score[j] < score[i]:
                bottom += math.exp(similarity[j] / temperature)
        total -= math.log(top / bottom)
    return total


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 8).flatmap(
        lambda width: st.lists(st.lists(GRADES, min_size=width, max_size=width), min_size=1, max_size=4)
    ),
    st.integers(0, 99),
    st.sampled_from([0.2, 1.0]),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_sample_llm_loss_is_the_double_loop(
    scores: list[list[float]], seed: int, temperature: float, positives: int, negatives: int
) -> None:
    (similarity,) = tensors(seed, (len(scores), len(scores[0])))
    got = sample_llm_loss(similarity, torch.tensor(scores, dtype=torch.float64), temperature, positives, negatives)
    slow = [
        slow_sample_llm(s, t, temperature, positives, negatives)
        for s, t in zip(similarity.tolist(), scores, strict=True)
    ]
    assert got.tolist() == pytest.approx(slow, abs=1e-9)


def test_sample_llm_loss_by_hand() -> None:
    similarity = torch.tensor([[0.5, 0.1, -0.2, 0.9]])
    score = torch.tensor([[1.0, 0.7, 0.0, 0.6]])
    # Two best: columns 0 and 1. Two worst: columns 2 and 3, of which 3 scores too well to be a negative.
    expected = math.log(1 + math.exp(-0.2 - 0.5)) + math.log(1 + math.exp(-0.2 - 0.1))
    assert sample_llm_loss(similarity, score, 1.0, 2, 2).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "score",
    [
        [0.0, 0.0, 0.0, 0.0],
        [0.4, 0.4, 0.4, 0.4],
        [1.0, 1.0, 1.0, 1.0],
        [NAN] * 4,
        [NAN, NAN, 0.7, NAN],
        [-0.2, -0.5, -0.1, 0.0],
        [0.9, 0.8, 0.7, 0.6],
    ],
    ids=["all zero", "all equal", "all right", "unobserved", "one observed", "none above zero", "none bad"],
)
def test_a_query_without_a_pair_costs_nothing_and_moves_no_other(score: list[float]) -> None:
    other = [1.0, 0.8, 0.2, 0.0]
    (similarity,) = tensors(1, (2, 4))
    similarity.requires_grad_()
    loss = sample_llm_loss(similarity, torch.tensor([score, other]), 0.5, 3, 3)
    (gradient,) = torch.autograd.grad(loss.sum(), similarity)
    (alone,) = torch.autograd.grad(
        sample_llm_loss(similarity[1:], torch.tensor([other]), 0.5, 3, 3).sum(), similarity, allow_unused=True
    )
    assert loss[0] == 0
    assert loss[1] > 0
    assert not gradient[0].any()
    assert torch.equal(gradient[1], alone[1])


def slow_listwise(similarity: list[float], score: list[float], temperature: float, target_temperature: float) -> float:
    known = [i for i in range(len(score)) if not math.isnan(score[i])]
    if len(known) < 2:
        return 0.0
    wanted = [math.exp(score[i] / target_temperature) for i in known]
    given_ = [math.exp(similarity[i] / temperature) for i in known]
    return sum(
        w / sum(wanted) * math.log((w / sum(wanted)) / (g / sum(given_))) for w, g in zip(wanted, given_, strict=True)
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(GRADES, min_size=5, max_size=5), min_size=1, max_size=4), st.integers(0, 99))
def test_listwise_loss_is_the_double_loop(scores: list[list[float]], seed: int) -> None:
    (similarity,) = tensors(seed, (len(scores), 5))
    got = listwise_loss(similarity, torch.tensor(scores, dtype=torch.float64), 0.5, 0.2)
    slow = [slow_listwise(s, t, 0.5, 0.2) for s, t in zip(similarity.tolist(), scores, strict=True)]
    assert got.tolist() == pytest.approx(slow, abs=1e-9)


def test_listwise_loss_is_zero_where_similarities_follow_the_scores() -> None:
    score = torch.tensor([[0.1, 0.9, NAN, 0.3]])
    assert listwise_loss(5 * score.nan_to_num(7.0), score, 0.5, 0.1).item() == pytest.approx(0, abs=1e-6)


def slow_pull(unit: list[list[float]], i: int, friend: int, others: list[int], temperature: float) -> float:
    def near(j: int) -> float:
        return math.exp(sum(a * b for a, b in zip(unit[i], unit[j], strict=True)) / temperature)

    return -math.log(near(friend) / (near(friend) + sum(near(j) for j in others)))


def test_sample_sample_loss_is_the_double_loop_where_nothing_is_left_to_chance() -> None:
    (embedding,) = tensors(2, (6, 4))
    cluster = torch.tensor([0, 1, 0, 1, 2, 2])  # one friend each; four others
    unit = (embedding / embedding.norm(dim=1, keepdim=True)).tolist()
    got = sample_sample_loss(3 * embedding, cluster, 0.3, 4, torch.Generator().manual_seed(0))
    friends = {0: 2, 2: 0, 1: 3, 3: 1, 4: 5, 5: 4}
    slow = [
        slow_pull(unit, i, friend, [j for j in range(6) if cluster[j] != cluster[i]], 0.3)
        for i, friend in sorted(friends.items())
    ]
    assert got.tolist() == pytest.approx(slow, abs=1e-9)
    many = sample_sample_loss(embedding, cluster, 0.3, 40, torch.Generator().manual_seed(1))
    assert torch.allclose(many, got)


def test_friends_and_others_are_drawn_evenly_and_as_many_as_asked() -> None:
    # With these vectors each (friend, set of two others) gives the first query a loss of its own.
    embedding = torch.nn.functional.normalize(tensors(3, (6, 5))[0], dim=1)
    cluster = torch.tensor([0, 0, 0, 1, 1, 1])
    unit = embedding.tolist()
    cases = {
        round(slow_pull(unit, 0, friend, [3 + k for k in range(3) if k != left], 1.0), 9): (friend, left)
        for friend in (1, 2)
        for left in range(3)
    }
    assert len(cases) == 6
    generator = torch.Generator().manual_seed(0)
    seen = Counter(
        cases[round(float(sample_sample_loss(embedding, cluster, 1.0, 2, generator)[0]), 9)] for _ in range(1200)
    )
    assert len(seen) == 6
    assert all(130 < count < 280 for count in seen.values())


def test_draws_follow_the_generator() -> None:
    (embedding,) = tensors(4, (8, 3))
    cluster = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    first, again = (sample_sample_loss(embedding, cluster, 1, 1, torch.Generator().manual_seed(5)) for _ in range(2))
    other = sample_sample_loss(embedding, cluster, 1, 1, torch.Generator().manual_seed(6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_lonely_queries_and_one_cluster_cost_nothing() -> None:
    (embedding,) = tensors(5, (4, 3))
    embedding.requires_grad_()
    lonely = sample_sample_loss(embedding, torch.tensor([0, 1, 1, 1]), 1.0, 3)
    assert lonely[0] == 0
    assert bool((lonely[1:] > 0).all())
    for cluster in ([7, 7, 7, 7], [0, 1, 2, 3]):
        loss = sample_sample_loss(embedding, torch.tensor(cluster), 1.0, 3)
        assert loss.tolist() == [0, 0, 0, 0]
        (gradient,) = torch.autograd.grad(loss.sum(), embedding)
        assert not gradient.any()
    assert sample_sample_loss(embedding[:1], torch.tensor([0]), 1.0, 3).tolist() == [0]


def test_gradients() -> None:
    similarity, embedding = tensors(6, (3, 5), (6, 4))
    similarity.requires_grad_()
    embedding.requires_grad_()
    score = torch.tensor([[1.0, 0.2, NAN, 0.0, 0.7], [0.3, 0.4, 0.1, 0.5, 0.2], [NAN] * 5], dtype=torch.float64)
    cluster = torch.tensor([0, 0, 1, 1, 2, 0])
    assert torch.autograd.gradcheck(lambda s: sample_llm_loss(s, score, 0.3, 2, 2), similarity)
    assert torch.autograd.gradcheck(lambda s: listwise_loss(s, score, 0.3), similarity)
    assert torch.autograd.gradcheck(
        lambda e: sample_sample_loss(e, cluster, 0.3, 2, torch.Generator().manual_seed(0)), embedding
    )


def test_no_temperature_overflows() -> None:
    similarity = torch.tensor([[1.0, -1.0, 0.5]], requires_grad=True)
    score = torch.tensor([[0.0, 1.0, 0.2]])
    for loss in (sample_llm_loss(similarity, score, 1e-4, 1, 2), listwise_loss(similarity, score, 1e-4, 1e-4)):
        (gradient,) = torch.autograd.grad(loss.sum(), similarity)
        assert loss.item() == pytest.approx(20_000, rel=1e-3)
        assert bool(gradient.isfinite().all())
    embedding = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.1]])
    assert bool(sample_sample_loss(embedding, torch.tensor([0, 0, 1]), 1e-4, 1).isfinite().all())
