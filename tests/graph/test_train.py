"""Training: the loss against a slow twin, folds, seeds, the best epoch, and Ctrl-C."""

from typing import Any

import numpy as np
import pytest
import torch

from configs.schema import Train
from graph import train as training
from graph.build import attach, build_graph
from graph.graph_policy import GraphPolicy
from graph.model import GraphModel
from graph.train import Supervision, folds, loss_of, mean_reward, supervision
from tests.graph.world import GRAPH, TRAIN, hide, tiny, with_relations

CPU = torch.device("cpu")


def truth(seed: int = 0, observed: float = 0.7) -> tuple[torch.Tensor, Supervision]:
    """Return random predictions and truths; one row has no outcome, one has a single one."""
    generator = torch.Generator().manual_seed(seed)
    known = (torch.rand(9, 4, 1, generator=generator) < observed).float()
    known[3], known[5] = 0, 0
    known[5, 2] = 1
    outcome = torch.rand(9, 4, 3, generator=generator) * known
    return torch.rand(9, 4, 3, generator=generator), Supervision(outcome, known, torch.tensor([0.1, 0.5, 1.0]))


@pytest.mark.parametrize("observed", [0.4, 1.1])
@pytest.mark.parametrize("weight", [0.05, 2.0])
def test_the_loss_equals_its_slow_twin(weight: float, observed: float) -> None:
    prediction, says = truth(observed=observed)
    squares, cells = 0.0, 0
    contrast, terms = 0.0, 0
    for row in range(9):
        seen = [llm for llm in range(4) if says.known[row, llm, 0]]
        for llm in seen:
            for channel in range(3):
                squares += float(prediction[row, llm, channel] - says.outcome[row, llm, channel]) ** 2
                cells += 1
        for alpha in says.preference.tolist():
            errors = []
            for llm in seen:
                gap = (prediction[row, llm] - says.outcome[row, llm]).tolist()
                errors.append(alpha * gap[0] - (1 - alpha) * gap[1])
            for error in errors:
                contrast += (error - sum(errors) / len(errors)) ** 2
                terms += 1
    expected = contrast / terms + weight * squares / cells
    assert float(loss_of(prediction, says, slice(None), weight)) == pytest.approx(expected, rel=1e-5)


def test_the_loss_reads_the_given_rows_only() -> None:
    prediction, says = truth()
    rows = torch.tensor([7, 0, 2])
    some = Supervision(says.outcome[rows], says.known[rows], says.preference)
    assert float(loss_of(prediction[rows], says, rows, 0.1)) == float(loss_of(prediction[rows], some, slice(None), 0.1))


def test_what_all_llms_of_a_query_share_is_no_contrast() -> None:
    prediction, says = truth()
    shift = torch.randn(9, 1, 3, generator=torch.Generator().manual_seed(1))
    before, after = (float(loss_of(p, says, slice(None), 0.0)) for p in (prediction, prediction + shift))
    assert after == pytest.approx(before, rel=1e-4)
    assert float(loss_of(prediction + shift, says, slice(None), 1.0)) > before + 0.1
    # What one LLM alone has does count.
    one = prediction.clone()
    one[:, 0] += 1.0
    assert abs(float(loss_of(one, says, slice(None), 0.0)) - before) > 0.05


def test_unknown_outcomes_do_not_count() -> None:
    prediction, says = truth()
    elsewhere = prediction + 5 * (1 - says.known)
    assert float(loss_of(elsewhere, says, slice(None), 0.3)) == float(loss_of(prediction, says, slice(None), 0.3))
    nothing = Supervision(torch.zeros(2, 4, 3), torch.zeros(2, 4, 1), says.preference)
    assert float(loss_of(prediction[:2], nothing, slice(None), 0.3)) == 0.0


def test_supervision_marks_what_is_known_and_lists_each_preference_once() -> None:
    train, _, _ = tiny()
    train = hide(train, np.random.default_rng(0).random(train.performance.shape) < 0.3)
    says = supervision(train, 0.5, np.array([0.301, 0.299, 0.9]), CPU)
    np.testing.assert_array_equal(says.known[..., 0].numpy() == 1, np.isfinite(train.performance))
    assert torch.isfinite(says.outcome).all()
    row, llm = map(int, np.argwhere(np.isfinite(train.performance))[11])
    expected = [train.performance[row, llm], train.cost[row, llm], train.cost_usd[row, llm] / 0.5]
    np.testing.assert_allclose(says.outcome[row, llm].numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(says.preference.numpy(), [0.3, 0.9], rtol=1e-6)


def test_mean_reward_equals_its_slow_twin() -> None:
    prediction, says = truth()
    keep = says.known[..., 0].sum(dim=1) > 0
    says = Supervision(says.outcome[keep], says.known[keep], says.preference)
    prediction = prediction[keep]
    earned = []
    for alpha in says.preference.tolist():
        for row in range(len(prediction)):
            seen = [llm for llm in range(4) if says.known[row, llm, 0]]
            best = max(seen, key=lambda i: alpha * float(prediction[row, i, 0]) - (1 - alpha) * prediction[row, i, 1])
            earned.append(alpha * float(says.outcome[row, best, 0]) - (1 - alpha) * float(says.outcome[row, best, 1]))
    assert mean_reward(prediction, says) == pytest.approx(np.mean(earned), rel=1e-5)


@pytest.mark.parametrize("number", [2, 3, 7, 500])
def test_folds_are_a_partition_with_the_right_edges(number: int) -> None:
    train, _, _ = tiny()
    graph = build_graph(train, GRAPH, seed=0)
    itself = attach(graph, train.queries, leave_out=torch.arange(60))
    near, distance = itself.near[0].view(60, 8), itself.distance.view(60, 8, 2)
    seen = []
    for rows, target in folds(itself, 60, number, torch.Generator().manual_seed(0)):
        seen += rows.tolist()
        assert torch.equal(target.x, itself.x[rows])
        assert torch.equal(target.task, itself.task[rows])
        assert torch.equal(target.topic, itself.topic[rows])
        for place, row in enumerate(rows.tolist()):
            edges = target.near[1] == place
            assert torch.equal(target.near[0, edges], near[row])
            assert torch.equal(target.distance[edges], distance[row])
    assert sorted(seen) == list(range(60))
    assert seen != list(range(60))


def test_training_hides_what_it_supervises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch the model during an epoch: the rows it is asked for are exactly those it may not see."""
    calls: list[tuple[torch.Tensor, torch.Tensor]] = []
    forward = GraphModel.forward

    def watched(self: GraphModel, graph: Any, target: Any, visible: torch.Tensor | None = None) -> torch.Tensor:
        if self.training:
            assert visible is not None
            calls.append((target.x, visible))
        return forward(self, graph, target, visible)

    monkeypatch.setattr(GraphModel, "forward", watched)
    train, validation, _ = tiny()
    GraphPolicy(GRAPH, Train(epochs=1, folds=4, device="cpu")).fit(train, validation)
    assert len(calls) == 4
    x = torch.from_numpy(train.queries.embeddings)
    for asked, visible in calls:
        assert (~visible).sum() == len(asked) == 15
        hidden = {tuple(row) for row in x[~visible].tolist()}
        assert {tuple(row) for row in asked.tolist()} == hidden


def fit(seed: int = 0, **settings: Any) -> GraphPolicy:
    train, validation, _ = tiny()
    config = Train(**{**TRAIN.model_dump(), **settings})
    return GraphPolicy(GRAPH, config, seed).fit(train, validation)


def weights(policy: GraphPolicy) -> dict[str, torch.Tensor]:
    return policy.model.state_dict()


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, other = fit(0), fit(0), fit(1)
    assert all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())
    assert any(not torch.equal(value, weights(other)[name]) for name, value in weights(first).items())


def test_training_leaves_global_randomness_out_of_it() -> None:
    first = fit(0)
    torch.rand(17)
    np.random.rand(17)  # noqa: NPY002
    second = fit(0)
    assert all(torch.equal(value, weights(second)[name]) for name, value in weights(first).items())


def test_training_learns() -> None:
    policy = fit(epochs=15)
    history = policy.training.history
    assert history[-1]["train_loss"] < history[1]["train_loss"]
    assert min(row["validation_loss"] for row in history) < history[0]["validation_loss"]


def test_the_epoch_kept_is_the_best_on_validation_and_its_weights_are_in_use() -> None:
    train, validation, _ = tiny()
    # So fast that it overshoots: the best epoch is not the last.
    policy = fit(epochs=12, learning_rate=1.5)
    losses = [row["validation_loss"] for row in policy.training.history]
    assert policy.training.chosen_epoch == int(np.argmin(losses)) < len(losses) - 1
    says = supervision(validation, policy.graph.usd_scale, policy.preferences.mean(train.user_ids), CPU)
    with torch.no_grad():
        prediction = policy.model(policy.graph, attach(policy.graph, validation.queries))
    assert float(loss_of(prediction, says, slice(None), TRAIN.outcome_weight)) == pytest.approx(min(losses), rel=1e-5)


def test_patience_ends_training() -> None:
    policy = fit(epochs=60, learning_rate=3.0, patience=2)
    assert len(policy.training.history) - 1 == policy.training.chosen_epoch + 2 < 60


def test_no_epoch_keeps_the_untrained_model() -> None:
    policy = fit(epochs=0)
    assert [row["epoch"] for row in policy.training.history] == [0]
    fresh = GraphModel(2, 2, GRAPH).state_dict()
    assert all(torch.equal(value, weights(policy)[name]) for name, value in fresh.items())
    assert not policy.interrupted


@pytest.mark.parametrize("stop_at", [1, 3])
def test_interruption_keeps_the_best_checkpoint(monkeypatch: pytest.MonkeyPatch, stop_at: int) -> None:
    whole = fit(epochs=stop_at - 1)
    original = training.train_epoch
    calls = []

    def stopped(*arguments: Any) -> float:
        calls.append(1)
        if len(calls) == stop_at:
            arguments[0].log_common.data.fill_(float("nan"))  # a half-made step
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(training, "train_epoch", stopped)
    policy = fit(epochs=9)
    assert policy.interrupted
    assert len(policy.training.history) == stop_at
    assert policy.training.chosen_epoch == whole.training.chosen_epoch
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(policy)[name]), name
    test = tiny()[2]
    np.testing.assert_array_equal(
        policy.scores(test.queries, ["user_1"] * 14), whole.scores(test.queries, ["user_1"] * 14)
    )


def test_a_model_of_means_alone_trains() -> None:
    train, validation, test = tiny()
    policy = GraphPolicy(with_relations(), TRAIN).fit(train, validation)
    values = policy.outcomes(test.queries)
    np.testing.assert_allclose(values, np.broadcast_to(values[:1], values.shape))
    np.testing.assert_allclose(values[0, :, 0], train.performance.mean(axis=0), rtol=0, atol=0.05)
