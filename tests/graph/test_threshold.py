"""The asked share goes to the strong LLM: exactly where scores differ, in expectation and repeatably where they tie."""

import numpy as np
import pytest

from graph.threshold import ALWAYS, NEVER, Threshold


@pytest.mark.parametrize("share", [0.0, 0.001, 0.25, 0.3, 1 / 3, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("values", [1, 3, 40, 10_000])
def test_the_share_is_exact_in_expectation(share: float, values: int) -> None:
    need = np.random.default_rng(values).integers(0, values, 401) / values
    threshold = Threshold.for_share(need, share)
    assert threshold.expected(need).mean() == pytest.approx(share, abs=1e-12)
    assert 0 <= threshold.coin <= 1
    above, at = threshold.reachable(need)
    assert above <= share + 1e-12
    assert share - 1e-12 <= at


def test_by_hand() -> None:
    need = [0.9, 0.5, 0.5, 0.5, 0.1]
    assert Threshold.for_share(need, 0.2) == Threshold(0.9, 1.0)
    assert Threshold.for_share(need, 0.4) == Threshold(0.5, pytest.approx(1 / 3))
    assert Threshold.for_share(need, 0.4).reachable(need) == (0.2, 0.8)
    assert Threshold.for_share(need, 0.8) == Threshold(0.5, 1.0)
    assert Threshold.for_share(need, 0.0) == Threshold(NEVER, 0.0)
    assert Threshold.for_share(need, 1.0) == Threshold(ALWAYS, 0.0)
    np.testing.assert_array_equal(Threshold(0.5, 0.25).expected(need), [1, 0.25, 0.25, 0.25, 0])


@pytest.mark.parametrize(("share", "sent"), [(0.0, False), (1.0, True)])
def test_never_and_always_hold_for_prompts_that_were_not_in_the_sample(share: float, sent: bool) -> None:
    threshold = Threshold.for_share([0.4, 0.5], share)
    np.testing.assert_array_equal(threshold.strong(["easy", "hard"], [0.0, 1.0]), [sent, sent])


def test_a_prompt_always_goes_the_same_way_and_the_coin_is_fair() -> None:
    queries = [f"prompt {number}" for number in range(4000)]
    need = np.full(4000, 0.4)
    sent = Threshold.for_share(need, 0.3).strong(queries, need)
    assert abs(sent.mean() - 0.3) < 0.025
    again = Threshold(0.4, 0.3).strong(queries[::-1], need)
    np.testing.assert_array_equal(again[::-1], sent)
    more = Threshold(0.4, 0.5).strong(queries, need)
    assert (more | ~sent).all(), "a higher coin takes no call away"


@pytest.mark.parametrize(("need", "share"), [([], 0.3), ([np.nan], 0.3), ([0.2], 1.1), ([0.2], -0.1), ([[0.2]], 0.5)])
def test_what_has_no_threshold(need: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        Threshold.for_share(need, share)
