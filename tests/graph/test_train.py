"""Training: the loss against a slow twin, folds, seeds, the best epoch, and Ctrl-C."""

from typing import Any

import numpy as np
import pytest
import torch

from configs.schema import Train
from graph import train as training
from graph.build import attach, build_graph
from graph.graph_policy import MAX_TASTES, GraphPolicy
from graph.model import GraphModel
from graph.train import Supervision, folds, liked_of, loss_of, make_new, mean_reward, supervision
from tests.graph.world import GRAPH, TRAIN, all_but_k, hide, tiny, tiny_judged, with_relations

CPU = torch.device("cpu")


PREFERENCES = torch.tensor([[0.1, -0.9, 0.0], [0.5, -0.5, 0.0], [1.0, 0.0, 0.0]])  # (α, α − 1, 0)
# Two personas: each has its own channel after the three. A third row has weights that no user has, but may.
PERSONAS = torch.tensor([[0.0, 0, 0, 1, 0], [0.0, 0, 0, 0, 1], [0.3, -0.2, 0.4, 0.5, -0.6]])
WEIGHTS = {"preferences": PREFERENCES, "personas": PERSONAS}


def truth(
    seed: int = 0, observed: float = 0.7, weights: torch.Tensor = PREFERENCES
) -> tuple[torch.Tensor, Supervision]:
    """Return random predictions and truths; one row has no outcome, one has a single one."""
    generator = torch.Generator().manual_seed(seed)
    known = (torch.rand(9, 4, 1, generator=generator) < observed).float()
    known[3], known[5] = 0, 0
    known[5, 2] = 1
    channels = weights.size(1)
    outcome = torch.rand(9, 4, channels, generator=generator) * known
    return torch.rand(9, 4, channels, generator=generator), Supervision(outcome, known, weights)


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("observed", [0.4, 1.1])
@pytest.mark.parametrize("weight", [0.05, 2.0])
def test_the_loss_equals_its_slow_twin(weight: float, observed: float, kind: str) -> None:
    prediction, says = truth(observed=observed, weights=WEIGHTS[kind])
    squares, cells = 0.0, 0
    contrast, terms = 0.0, 0
    for row in range(9):
        seen = [llm for llm in range(4) if says.known[row, llm, 0]]
        for llm in seen:
            for channel in range(prediction.size(2)):
                squares += float(prediction[row, llm, channel] - says.outcome[row, llm, channel]) ** 2
                cells += 1
        for user in says.weights.tolist():
            errors = []
            for llm in seen:
                gap = (prediction[row, llm] - says.outcome[row, llm]).tolist()
                errors.append(sum(weight * part for weight, part in zip(user, gap, strict=True)))
            for error in errors:
                contrast += (error - sum(errors) / len(errors)) ** 2
                terms += 1
    expected = contrast / terms + weight * squares / cells
    assert float(loss_of(prediction, says, slice(None), weight)) == pytest.approx(expected, rel=1e-5)


def test_the_loss_reads_the_given_rows_only() -> None:
    prediction, says = truth()
    rows = torch.tensor([7, 0, 2])
    some = Supervision(says.outcome[rows], says.known[rows], says.weights)
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
    nothing = Supervision(torch.zeros(2, 4, 3), torch.zeros(2, 4, 1), says.weights)
    assert float(loss_of(prediction[:2], nothing, slice(None), 0.3)) == 0.0


def test_supervision_marks_what_is_known() -> None:
    train, _, _ = tiny()
    train = hide(train, np.random.default_rng(0).random(train.performance.shape) < 0.3)
    weights = np.array([[0.3, -0.7, 0.0], [0.9, -0.1, 0.0]])
    says = supervision(train, 0.5, weights, CPU)
    np.testing.assert_array_equal(says.known[..., 0].numpy() == 1, np.isfinite(train.performance))
    assert torch.isfinite(says.outcome).all()
    row, llm = map(int, np.argwhere(np.isfinite(train.performance))[11])
    expected = [train.performance[row, llm], train.cost[row, llm], train.cost_usd[row, llm] / 0.5]
    np.testing.assert_allclose(says.outcome[row, llm].numpy(), expected, rtol=1e-6)
    assert says.outcome.shape == (60, 4, 3)
    np.testing.assert_allclose(says.weights.numpy(), weights, rtol=1e-6)
    assert liked_of(says) is None


def test_supervision_of_personas_adds_what_they_like_where_it_was_seen() -> None:
    train = hide(tiny()[0], all_but_k((60, 4), 2))
    liked = np.random.default_rng(0).random((60, 4, 2))
    weights = np.hstack([np.zeros((2, 3)), np.eye(2)])
    says = supervision(train, 0.5, weights, CPU, liked)
    assert says.outcome.shape == (60, 4, 5)
    seen = np.isfinite(train.performance)
    np.testing.assert_allclose(liked_of(says).numpy(), np.where(seen[..., None], liked, 0), rtol=1e-6)
    np.testing.assert_array_equal(says.known[..., 0].numpy() == 1, seen)
    plain = supervision(train, 0.5, weights[:, :3], CPU)
    assert torch.equal(says.outcome[..., :3], plain.outcome)


def test_each_believed_preference_is_supervised_once() -> None:
    train, validation, _ = tiny(alphas=(0.3, 0.3, 0.9, 0.9001))
    policy = GraphPolicy(GRAPH, Train(epochs=0, device="cpu")).fit(train, validation)
    says = policy._truth(train, policy.graph.usd_scale, train.user_ids, CPU)
    np.testing.assert_allclose(says.weights.numpy(), [[0.3, -0.7, 0], [0.9, -0.1, 0]], atol=1e-6)


@pytest.mark.parametrize("number", [1, 32, 33, 70])
def test_of_many_personas_some_are_supervised_whatever_their_order(number: int) -> None:
    train, validation, _ = tiny_judged(tastes=tuple((i / number, -1.0) for i in range(number)), counts=(20, 4, 4))
    policy = GraphPolicy(GRAPH, Train(epochs=0, device="cpu")).fit(train, validation)
    says, again = (policy._truth(train, 1.0, users, CPU) for users in (train.user_ids, train.user_ids[::-1]))
    assert says.weights.shape == (says.outcome.size(2) - 3, says.outcome.size(2))
    assert torch.equal(says.weights[:, 3:], torch.eye(len(says.weights)))
    assert (says.weights[:, :3] == 0).all()
    assert 1 <= len(says.weights) <= MAX_TASTES
    assert len(says.weights) == number or number > MAX_TASTES
    assert torch.equal(says.outcome, again.outcome)
    known = liked_of(says)[says.known[..., 0].sum(dim=1) > 0]
    assert ((known >= 0) & (known <= 1)).all()


@pytest.mark.parametrize("kind", WEIGHTS)
def test_mean_reward_equals_its_slow_twin(kind: str) -> None:
    prediction, says = truth(weights=WEIGHTS[kind])
    keep = says.known[..., 0].sum(dim=1) > 0
    says = Supervision(says.outcome[keep], says.known[keep], says.weights)
    prediction = prediction[keep]
    earned = []
    for user in says.weights.tolist():
        for row in range(len(prediction)):
            seen = [llm for llm in range(4) if says.known[row, llm, 0]]
            worth = {i: sum(w * float(v) for w, v in zip(user, prediction[row, i], strict=True)) for i in seen}
            best = max(seen, key=worth.__getitem__)
            earned.append(sum(w * float(v) for w, v in zip(user, says.outcome[row, best], strict=True)))
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


def watch(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
    """Return what will be given to the model in training: the features asked for, what is visible, what is liked."""
    calls: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]] = []
    forward = GraphModel.forward

    def watched(
        self: GraphModel,
        graph: Any,
        target: Any,
        visible: torch.Tensor | None = None,
        liked: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if self.training:
            assert visible is not None
            calls.append((target.x, visible.clone(), liked))
        return forward(self, graph, target, visible, liked)

    monkeypatch.setattr(GraphModel, "forward", watched)
    return calls


@pytest.mark.parametrize("new_llms", [False, True])
@pytest.mark.parametrize("judged", [False, True])
def test_training_hides_what_it_supervises(monkeypatch: pytest.MonkeyPatch, judged: bool, new_llms: bool) -> None:
    """Watch the model during an epoch: the rows it is asked for are exactly those it may not see."""
    calls = watch(monkeypatch)
    train, validation, _ = tiny_judged() if judged else tiny()
    hidden = all_but_k(train.performance.shape, 3)
    train = hide(train, hidden)
    GraphPolicy(GRAPH, Train(epochs=1, folds=4, device="cpu", new_llms=new_llms)).fit(train, validation)
    assert len(calls) == 4
    x = torch.from_numpy(train.queries.embeddings)
    seen = torch.from_numpy(~hidden)
    asked_rows = []
    for asked, visible, liked in calls:
        rows = [int((x == row).all(dim=1).nonzero()) for row in asked]
        asked_rows += rows
        assert len(rows) == 15
        assert not visible[rows].any()
        assert not (visible & ~seen).any(), "what was never observed cannot be visible"
        others = [row for row in range(60) if row not in rows]
        if new_llms:
            # One LLM at most is made new; of the others every outcome is visible.
            less = (visible[others] != seen[others]).any(dim=0)
            assert less.sum() <= 1
        else:
            assert torch.equal(visible[others], seen[others])
        assert (liked is None) == (not judged)
        assert liked is None or liked.shape == (60, 4, 4)
    assert sorted(asked_rows) == list(range(60))


def test_making_an_llm_new_hides_that_llm_alone_and_few_outcomes_stay_more_often_than_many() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(50, 4, generator=generator) < 0.8
    hit, kept = [], []
    for _ in range(400):
        visible = start.clone()
        make_new(visible, [2, 0, 3, 1], generator)
        changed = (visible != start).any(dim=0)
        assert changed.sum() <= 1
        assert not (visible & ~start).any()
        if changed.any():
            hit.append(int(changed.nonzero()))
            kept.append(int(visible[:, hit[-1]].sum()))
    assert set(hit) == {0, 1, 2, 3}
    assert min(np.bincount(hit)) > 50
    assert 0 in kept
    assert max(kept) > 20
    assert np.median(kept) < 15


def test_which_llm_is_made_new_follows_the_given_order_and_not_the_columns() -> None:
    for seed in range(20):
        made = []
        for order in ([0, 1, 2], [2, 0, 1]):
            visible = torch.ones(30, 3, dtype=torch.bool)
            make_new(visible, order, torch.Generator().manual_seed(seed))
            made.append(visible[:, order])
        assert torch.equal(made[0], made[1])


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


@pytest.mark.parametrize("judged", [False, True])
def test_training_learns(judged: bool) -> None:
    train, validation, _ = tiny_judged() if judged else tiny()
    policy = GraphPolicy(GRAPH, Train(**{**TRAIN.model_dump(), "epochs": 15}), 0).fit(train, validation)
    history = policy.training.history
    # Means of three epochs: which LLM is made new differs between epochs, and with it how hard they are.
    first, last = (np.mean([row["train_loss"] for row in part]) for part in (history[1:4], history[-3:]))
    assert last < first
    assert min(row["validation_loss"] for row in history) < history[0]["validation_loss"]


def test_the_epoch_kept_is_the_best_on_validation_and_its_weights_are_in_use() -> None:
    train, validation, _ = tiny()
    # So fast that it overshoots: the best epoch is not the last.
    policy = fit(epochs=12, learning_rate=1.5)
    losses = [row["validation_loss"] for row in policy.training.history]
    assert policy.training.chosen_epoch == int(np.argmin(losses)) < len(losses) - 1
    alpha = np.unique(np.round(policy.preferences.mean(train.user_ids), 2))
    weights_of = np.stack([alpha, alpha - 1, 0 * alpha], axis=1)
    says = supervision(validation, policy.graph.usd_scale, weights_of, CPU)
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
