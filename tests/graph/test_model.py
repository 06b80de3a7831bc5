"""Every level of the GNN against a slow twin written as loops, and what must hold of all of them together."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from configs.schema import Graph
from graph.build import attach, build_graph, observations
from graph.choices import Answers
from graph.model import (
    ROUNDS,
    GraphModel,
    GroupLevel,
    LinearLevel,
    LlmLevel,
    NeighbourLevel,
    Residual,
    per_channel,
)
from graph.records import RoutingData
from graph.taste import Tastes
from graph.train import Supervision, liked_of, loss_of, supervision
from tests.graph.world import BLOCKS, GRAPH, RELATIONS, all_but_k, hide, tiny, tiny_judged, with_relations

Q, N, L, C = 13, 5, 4, 3


def residual(seed: int = 0, observed: float = 0.7) -> Residual:
    """Random residuals, one query without any outcome."""
    generator = torch.Generator().manual_seed(seed)
    known = (torch.rand(Q, L, 1, generator=generator) < observed).float()
    known[4] = 0
    some = (known.sum(dim=1, keepdim=True) > 0).float()
    return Residual(
        torch.randn(Q, 1, C, generator=generator) * some,
        some,
        torch.randn(Q, L, C, generator=generator) * known,
        known,
    )


def randomised(level: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in level.parameters():
            value.copy_(torch.randn(value.shape, generator=generator))
    return level


def slow_group(level: GroupLevel, left: Residual, members: list[int], llm: int, channel: int) -> float:
    """Shrunk means of the specific part of one LLM and of the common part over the given queries."""
    kappa = level.shrink.log_kappa.exp().detach()
    total = sum(float(left.specific[q, llm, channel]) for q in members)
    count = sum(float(left.known[q, llm, 0]) for q in members)
    common = sum(float(left.common[q, 0, channel]) for q in members)
    number = sum(float(left.common_known[q, 0, 0]) for q in members)
    return total / (count + float(kappa[0, channel])) + common / (number + float(kappa[1, channel]))


@torch.no_grad()
@pytest.mark.parametrize("observed", [1.0, 0.5])
def test_group_level_leaves_each_query_out_of_its_own_group(observed: float) -> None:
    left, level = residual(observed=observed), randomised(GroupLevel())
    group = torch.tensor([0, 1, 2, 0, 1, -1, 0, 1, 0, 0, -1, 1, 3])  # 2 and 3 have one member, 4 has none
    targets = torch.tensor([0, 2, 4, -1, 1])
    own, found = level(left, group, targets, 5)
    assert own.shape == (Q, L, C)
    assert found.shape == (N, L, C)
    for llm in range(L):
        for channel in range(C):
            for row in range(Q):
                others = [q for q in range(Q) if q != row and group[q] == group[row]]
                expected = slow_group(level, left, others, llm, channel) if group[row] >= 0 else 0.0
                assert float(own[row, llm, channel]) == pytest.approx(expected, abs=1e-5)
            for row in range(N):
                members = [q for q in range(Q) if group[q] == targets[row]]
                expected = slow_group(level, left, members, llm, channel) if targets[row] >= 0 else 0.0
                assert float(found[row, llm, channel]) == pytest.approx(expected, abs=1e-5)


@torch.no_grad()
def test_linear_level_leaves_each_query_out_of_its_own_prediction() -> None:
    left, level = residual(), randomised(LinearLevel(2))
    generator = torch.Generator().manual_seed(1)
    x, target = torch.randn(Q, 7, generator=generator), torch.randn(N, 7, generator=generator)
    own, found = level(left, x, target, [5, 2])
    gain = level.log_gain.exp().detach()
    middle = x.mean(dim=0)

    def slow(features: torch.Tensor, others: list[int], llm: int, channel: int) -> float:
        total = 0.0
        for q in others:
            for block, columns in enumerate((slice(0, 5), slice(5, 7))):
                alike = float((x[q] - middle)[columns] @ (features - middle)[columns])
                value = float(left.specific[q, llm, channel] + left.common[q, 0, channel])
                total += float(gain[block, channel]) * alike * value
        return total

    for llm in range(L):
        for channel in range(C):
            for row in range(Q):
                expected = slow(x[row], [q for q in range(Q) if q != row], llm, channel)
                assert float(own[row, llm, channel]) == pytest.approx(expected, abs=1e-3)
            for row in range(N):
                expected = slow(target[row], list(range(Q)), llm, channel)
                assert float(found[row, llm, channel]) == pytest.approx(expected, abs=1e-3)


@torch.no_grad()
def test_neighbour_level_equals_its_slow_twin() -> None:
    left, level = residual(), randomised(NeighbourLevel(2))
    near = torch.tensor([[0, 3, 12, 4, 0, 7, 3], [0, 0, 1, 1, 2, 2, 4]])  # target 3 has no neighbour
    distance = torch.rand(7, 2, generator=torch.Generator().manual_seed(2))
    found = level(left, near, distance, (Q, N))
    scale = F.softplus(level.log_scale + 0.5)
    kappa = level.shrink.log_kappa.exp().detach()
    for row in range(N):
        for llm in range(L):
            for channel in range(C):
                total = count = common = number = 0.0
                for edge in range(7):
                    q = int(near[0, edge])
                    if int(near[1, edge]) != row:
                        continue
                    weight = math.exp(-float((distance[edge] * scale).sum()))
                    total += weight * float(left.specific[q, llm, channel])
                    count += weight * float(left.known[q, llm, 0])
                    common += weight * float(left.common[q, 0, channel])
                    number += weight * float(left.common_known[q, 0, 0])
                expected = total / (count + kappa[0, channel]) + common / (number + kappa[1, channel])
                assert float(found[row, llm, channel]) == pytest.approx(float(expected), abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("alike", [True, False])
def test_llm_level_equals_its_slow_twin(alike: bool) -> None:
    level = randomised(LlmLevel(alike))
    generator = torch.Generator().manual_seed(3)
    outcome = torch.rand(Q, L, C, generator=generator)
    known = (torch.rand(Q, L, 1, generator=generator) < 0.5).float()
    known[:, 2] = 0
    pairs = [(s, t) for s in range(L) for t in range(L) if s != t]
    likeness = torch.randn(len(pairs), 3, generator=generator)
    edges = torch.tensor(pairs).T
    found = level(outcome, known, edges, likeness)
    expected = slow_llm_means(level, outcome, known, pairs, likeness)
    for _ in range(ROUNDS):
        # How much better than expected the LLMs of a query did, shrunk by one outcome: its difficulty.
        difficulty = torch.zeros(Q, C)
        answered = [q for q in range(Q) if known[q].sum() > 0]
        for q in answered:
            left = sum(outcome[q, llm] - expected[llm] for llm in range(L) if known[q, llm])
            difficulty[q] = left / (float(known[q].sum()) + 1)
        level_of_all = sum(difficulty[q] for q in answered) / len(answered)
        expected = slow_llm_means(level, outcome - difficulty[:, None] + level_of_all, known, pairs, likeness)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def slow_llm_means(
    level: LlmLevel, outcome: torch.Tensor, known: torch.Tensor, pairs: list[tuple[int, int]], likeness: torch.Tensor
) -> torch.Tensor:
    """The mean of each LLM, shrunk towards the means of the LLMs it is like, LLM by LLM."""
    out = torch.zeros(L, C)
    mean = torch.zeros(L, C)
    for llm in range(L):
        rows = [q for q in range(Q) if known[q, llm]]
        if rows:
            mean[llm] = outcome[rows, llm].mean(dim=0)
    seen = [llm for llm in range(L) if known[:, llm].sum() > 0]
    assert seen == [0, 1, 3]
    for llm in range(L):
        prior = mean[seen].mean(dim=0)
        if level.likeness is not None:
            weight = {}
            for edge, (source, target) in enumerate(pairs):
                if target == llm and source in seen:
                    weight[source] = math.exp(float(likeness[edge] @ F.softplus(level.likeness)))
            prior = sum(w * mean[source] for source, w in weight.items()) / sum(weight.values())
        count, kappa = float(known[:, llm].sum()), level.log_kappa.exp()
        out[llm] = (count * mean[llm] + kappa * prior) / (count + kappa)
    return out


@torch.no_grad()
def test_where_all_answered_everything_the_llm_level_is_the_shrunk_mean() -> None:
    level = LlmLevel(alike=False)
    outcome = torch.rand(Q, L, C, generator=torch.Generator().manual_seed(0)) + torch.rand(Q, 1, 1)
    level.log_kappa.fill_(-30)
    found = level(outcome, torch.ones(Q, L, 1), None, None)
    torch.testing.assert_close(found, outcome.mean(dim=0), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_llm_that_was_asked_the_hard_questions_is_not_taken_for_a_worse_one() -> None:
    """Two equal LLMs, one seen on hard queries mostly: taking out difficulty halves the gap between them at least."""
    difficulty = torch.linspace(-1, 1, 40)[:, None, None].expand(40, 3, 1)
    known = torch.ones(40, 3, 1)
    known[:15, 0] = 0
    known[25:, 1] = 0
    level = LlmLevel(alike=False, channels=1)
    level.log_kappa.fill_(-30)
    found = level(difficulty * known, known, None, None)
    naive = [float((difficulty * known)[:, i].sum() / known[:, i].sum()) for i in range(2)]
    assert abs(float(found[0] - found[1])) < 0.5 * abs(naive[0] - naive[1])


def test_one_llm_and_no_outcome_at_all_are_no_nan() -> None:
    level = LlmLevel()
    single = level(torch.rand(Q, 1, C), torch.ones(Q, 1, 1), torch.empty(2, 0, dtype=torch.long), torch.empty(0, 3))
    assert torch.isfinite(single).all()
    nothing = level(torch.zeros(Q, 2, C), torch.zeros(Q, 2, 1), torch.tensor([[0, 1], [1, 0]]), torch.ones(2, 3))
    assert torch.equal(nothing, torch.zeros(2, C))


def world(config: Graph = GRAPH, hidden: float = 0.0, judged: bool = False):
    train, validation, _ = tiny_judged() if judged else tiny()
    if hidden:
        train = hide(train, all_but_k(train.performance.shape, round(4 * (1 - hidden))))
    graph = build_graph(train, config, seed=0)
    model = GraphModel(len(graph.blocks), len(graph.topic_sizes), config, 3 + judged)
    return train, validation, graph, model


def test_without_shrinkage_the_task_level_is_plain_task_means() -> None:
    """Law of shrinkage: with much data at a level, the level has its way."""
    train, validation, graph, model = world(with_relations("query_task"))
    with torch.no_grad():
        model.llm.log_kappa.fill_(-30)
        model.task.shrink.log_kappa.fill_(-30)
        model.log_common.fill_(30)  # no common part: each LLM on its own
        found = model(graph, attach(graph, validation.queries))
    outcome, _ = observations(graph)
    for row, task in enumerate(validation.queries.task_ids):
        members = [q for q, other in enumerate(train.queries.task_ids) if other == task]
        torch.testing.assert_close(found[row], outcome[members].mean(dim=0), rtol=1e-4, atol=1e-4)


def test_with_full_shrinkage_all_levels_fall_back_to_the_llm_means() -> None:
    train, validation, graph, model = world()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("shrink.log_kappa"):
                value.fill_(30)
        model.linear.log_gain.fill_(-30)
        model.llm.log_kappa.fill_(-30)
        found = model(graph, attach(graph, validation.queries))
    mean = torch.from_numpy(train.performance.mean(axis=0)).float()
    torch.testing.assert_close(found[..., 0], mean.expand(16, -1), rtol=1e-4, atol=1e-4)


def test_an_unknown_task_falls_back_to_the_other_levels() -> None:
    _, validation, graph, model = world(with_relations("query_task"))
    target = attach(graph, validation.queries)
    target.task[0] = -1
    found = model(graph, target)
    outcome, known = observations(graph)
    torch.testing.assert_close(found[0], model.llm(outcome, known, None, None))
    assert not torch.allclose(found[1], model.llm(outcome, known, None, None), atol=1e-3)


def test_what_is_unknown_or_hidden_is_no_residual_at_any_level() -> None:
    _, validation, graph, model = world(hidden=0.5)
    seen: list[Residual] = []
    for level in (model.task, *model.topics, model.linear, model.near):
        level.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    visible = torch.arange(60) % 3 != 0
    model(graph, attach(graph, validation.queries), visible)
    _, known = observations(graph)
    assert len(seen) == 5
    for left in seen:
        assert torch.equal(left.known, known * visible[:, None, None])
        assert torch.equal(left.common_known[:, 0, 0], visible.float())
        assert (left.specific[(left.known == 0)[..., 0]] == 0).all()
        assert (left.common[~visible] == 0).all()
        assert (left.common[visible] != 0).any()


def test_every_level_has_a_say() -> None:
    _, validation, graph, _ = world()
    predictions = []
    for off in RELATIONS[:5]:
        config = with_relations(*(name for name in RELATIONS if name != off))
        model = GraphModel(len(graph.blocks), len(graph.topic_sizes), config)
        predictions.append(model(graph, attach(graph, validation.queries)))
    whole = GraphModel(2, 2, GRAPH)(graph, attach(graph, validation.queries))
    for name, prediction in zip(RELATIONS, predictions, strict=False):
        assert not torch.allclose(prediction, whole, atol=1e-6), name


@pytest.mark.parametrize("judged", [False, True], ids=["preferences", "personas"])
@pytest.mark.parametrize("hidden", [0.0, 0.5], ids=["dense", "sparse"])
def test_every_parameter_gets_a_gradient(hidden: float, judged: bool) -> None:
    train, _, graph, model = world(hidden=hidden, judged=judged)
    check_gradients(model, graph, train)


@pytest.mark.parametrize("judged", [False, True], ids=["preferences", "personas"])
@pytest.mark.parametrize("off", RELATIONS)
def test_every_parameter_that_a_switched_off_relation_leaves_gets_a_gradient(off: str, judged: bool) -> None:
    train, _, graph, model = world(with_relations(*(name for name in RELATIONS if name != off)), judged=judged)
    check_gradients(model, graph, train)


def check_gradients(model: GraphModel, graph, train) -> None:
    itself = attach(graph, train.queries, leave_out=torch.arange(len(train.queries)))
    truth = says_of(train, graph)
    kinds = 3 + train.judged
    assert all(kinds in value.shape for name, value in model.named_parameters() if "log_kappa" in name)
    visible = torch.arange(len(train.queries)) % 3 != 0
    rows = (~visible).nonzero()[:, 0]
    loss = loss_of(model(graph, itself, visible, liked_of(truth))[rows], truth, rows, 0.05)
    loss.backward()
    for name, value in model.named_parameters():
        assert value.grad is not None, f"{name} gets no gradient"
        assert torch.isfinite(value.grad).all(), name
        assert (value.grad != 0).all(), f"{name} has a zero in its gradient: {value.grad}"


def says_of(train: RoutingData, graph) -> Supervision:
    """What training is supervised by: two preferences, or the likings of three personas."""
    if not train.judged:
        weights = np.array([[0.1, -0.9, 0.0], [0.7, -0.3, 0.0]])
        return supervision(train, graph.usd_scale, weights, torch.device("cpu"))
    liked = Tastes.fit(train).liking(Answers.of(train), ["user_1", "user_2", "user_3"])
    weights = np.hstack([np.zeros((3, 3)), np.eye(3)])
    return supervision(train, graph.usd_scale, weights, torch.device("cpu"), liked)


def test_channels_after_the_kinds_share_the_weight_of_the_last_kind() -> None:
    weight = torch.tensor([[1.0, 2, 3, 4], [5.0, 6, 7, 8]])
    assert per_channel(weight, 4).tolist() == weight.tolist()
    assert per_channel(weight, 6).tolist() == [[1, 2, 3, 4, 4, 4], [5, 6, 7, 8, 8, 8]]
    assert per_channel(weight, 3).tolist() == [[1, 2, 3], [5, 6, 7]]
    assert per_channel(weight[0], 5).tolist() == [1, 2, 3, 4, 4]


@torch.no_grad()
def test_what_others_like_changes_no_prediction() -> None:
    """Likings of many users in one pass are those of one user at a time, and outcomes are as without any."""
    train, validation, graph, model = world(hidden=0.5, judged=True)
    for value in model.parameters():
        value.add_(0.3 * torch.randn(value.shape, generator=torch.Generator().manual_seed(0)))
    target = attach(graph, validation.queries)
    liked = liked_of(says_of(train, graph))
    found = model(graph, target, liked=liked)
    assert found.shape == (16, 4, 6)
    torch.testing.assert_close(found[..., :3], model(graph, target), rtol=0, atol=1e-5)
    for user in range(3):
        alone = model(graph, target, liked=liked[..., user : user + 1])
        torch.testing.assert_close(alone[..., 3], found[..., 3 + user], rtol=0, atol=1e-5)
    assert not torch.allclose(found[..., 3], found[..., 4], atol=1e-3)


@torch.no_grad()
def test_what_is_liked_of_an_answer_nobody_saw_is_not_read() -> None:
    train, validation, graph, model = world(hidden=0.5, judged=True)
    target = attach(graph, validation.queries)
    says = says_of(train, graph)
    other = liked_of(says) + 9 * (1 - says.known)
    torch.testing.assert_close(model(graph, target, liked=other), model(graph, target, liked=liked_of(says)))


@torch.no_grad()
@pytest.mark.parametrize("judged", [False, True])
def test_outcomes_can_be_hidden_one_by_one(judged: bool) -> None:
    """`visible` (Q, L): a hidden outcome is as good as none, whatever it was; (Q,) hides whole queries."""
    train, validation, graph, model = world(judged=judged)
    target = attach(graph, validation.queries)
    visible = torch.rand(60, 4, generator=torch.Generator().manual_seed(1)) < 0.6
    liked = liked_of(says_of(train, graph)) if judged else None
    hidden = model(graph, target, visible, liked)
    edges = graph["llm", "answered", "query"]
    llm, query = edges.edge_index
    seen, original = visible[query, llm], edges.edge_attr.clone()
    edges.edge_attr = torch.where(seen[:, None], original, 1 - original)
    torch.testing.assert_close(model(graph, target, visible, liked), hidden, rtol=0, atol=0)
    edges.edge_index, edges.edge_attr = edges.edge_index[:, seen], original[seen]
    torch.testing.assert_close(model(graph, target, None, liked), hidden, rtol=0, atol=1e-5)
    assert not torch.allclose(model(graph, target, visible[:, 0], liked), hidden, atol=1e-4)
    rows = visible[:, 0]
    torch.testing.assert_close(
        model(graph, target, rows, liked), model(graph, target, rows[:, None].expand(60, 4), liked), rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("off", "prefix"),
    [
        ("query_task", "task."),
        ("query_topic", "topics."),
        ("llm_query", "linear."),
        ("query_query", "near."),
        ("llm_llm", "llm.likeness"),
    ],
)
def test_a_switched_off_relation_takes_its_parameters_along(off: str, prefix: str) -> None:
    on = {name for name, _ in GraphModel(2, 2, GRAPH).named_parameters()}
    off_names = {name for name, _ in GraphModel(2, 2, with_relations(*(set(RELATIONS) - {off}))).named_parameters()}
    gone = {name for name in on if name.startswith(prefix)}
    assert gone
    assert on - off_names == (gone | {"mix"} if off == "query_topic" else gone)


def test_hiding_all_queries_is_finite() -> None:
    _, validation, graph, model = world()
    found = model(graph, attach(graph, validation.queries), torch.zeros(60, dtype=torch.bool))
    assert torch.equal(found, torch.zeros_like(found))


def test_predictions_are_per_query_llm_and_channel() -> None:
    _, validation, graph, model = world()
    assert model(graph, attach(graph, validation.queries)).shape == (16, 4, 3)
    assert model(graph, attach(graph, validation.queries.take([]))).shape == (0, 4, 3)
    assert len(graph.blocks) == len(BLOCKS)
