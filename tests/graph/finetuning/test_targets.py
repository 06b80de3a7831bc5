"""What is taught: rewards, smoothed scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import InputError
from configs.schema import Contrastive
from graph.finetuning.targets import PRIOR_TEXTS, smoothed, targets

NAN = float("nan")
PERFORMANCE = np.array([[0.3, 0.0, NAN], [0.3, 1.0, 0.0]])
COST = np.array([[0.5, 0.0, NAN], [1.0, 0.2, 0.0]])


def test_performance_is_taken_as_it_is() -> None:
    np.testing.assert_array_equal(targets(PERFORMANCE, None, Contrastive()), PERFORMANCE)


def test_rewards_have_the_cost_in_them() -> None:
    got = targets(PERFORMANCE, COST, Contrastive(target="reward", preference=0.8))
    np.testing.assert_allclose(got, 0.8 * PERFORMANCE - 0.2 * COST)


def test_rewards_need_costs() -> None:
    with pytest.raises(InputError, match=r"encoder\.contrastive\.target: expected costs"):
        targets(PERFORMANCE, None, Contrastive(target="reward"))


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([NAN, 0.0, 0.4, 1.0])), min_size=1, max_size=8),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_smoothing_is_the_slow_loop(rows: list[tuple[str, float]], weight: float) -> None:
    groups, scores = np.array([group for group, _ in rows]), np.array([[score] for _, score in rows])
    known = [score for _, score in rows if score == score]
    overall = sum(known) / max(1, len(known))
    for (group, own), value in zip(rows, smoothed(scores, groups, weight)[:, 0], strict=True):
        fellows = [score for name, score in rows if name == group and score == score]
        mean = (sum(fellows) + PRIOR_TEXTS * overall) / (len(fellows) + PRIOR_TEXTS)
        assert value == pytest.approx((1 - weight) * own + weight * mean, nan_ok=True)
