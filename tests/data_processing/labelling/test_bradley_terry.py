import numpy as np
import pytest
from scipy.optimize import minimize

from data_processing.labelling.bradley_terry import PRIOR_SD, fit
from data_processing.simulated.draws import Draws

FLAT = 1e3  # a prior so weak that it is none


def some_wins(models: int, votes: int, seed: int = 0) -> np.ndarray:
    """Return wins with halves for ties, of models of which each is stronger than the one before."""
    wins = np.zeros((models, models))
    for number in range(votes):
        draws = Draws(seed, "vote", number)
        i, j = draws.sample(range(models), 2)
        if draws.chance(0.15):
            wins[i, j] += 0.5
            wins[j, i] += 0.5
        else:
            i_wins = draws.chance(1 / (1 + np.exp(0.4 * (j - i))))
            wins[(i, j) if i_wins else (j, i)] += 1
    return wins


def slow_loss(values: np.ndarray, wins: np.ndarray, prior_sd: float) -> float:
    """The negative logarithm of likelihood times prior, vote by vote."""
    total = 0.5 * sum(value**2 for value in values) / prior_sd**2
    for i in range(len(wins)):
        for j in range(len(wins)):
            if i != j:
                total -= wins[i, j] * np.log(1 / (1 + np.exp(values[j] - values[i])))
    return total


@pytest.mark.parametrize("prior_sd", [PRIOR_SD, 0.5])
def test_fit_finds_what_a_general_optimiser_finds(prior_sd: float) -> None:
    wins = some_wins(5, 300)
    found = fit(wins, prior_sd)
    slow = minimize(slow_loss, np.zeros(5), (wins, prior_sd), method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(found.values, slow.x, atol=1e-5)
    assert slow_loss(found.values, wins, prior_sd) <= slow.fun + 1e-9


def test_two_models_have_the_closed_form() -> None:
    found = fit(np.array([[0, 30], [10, 0]]), FLAT)
    assert found.values[0] - found.values[1] == pytest.approx(np.log(3), rel=1e-5)
    # The variance of the difference is 1/30 + 1/10, and each strength is half the difference.
    assert found.errors == pytest.approx(np.sqrt(1 / 30 + 1 / 10) / 2, rel=1e-5)


def test_a_tie_is_half_a_win_for_each() -> None:
    assert fit(np.array([[0, 3.0], [3.0, 0]])).values == pytest.approx([0, 0])
    with_ties = fit(np.array([[0, 5 + 2], [1 + 2, 0]]), FLAT)  # 5 wins, 1 loss, 4 ties
    assert np.diff(with_ties.values)[0] == pytest.approx(-np.log(7 / 3), rel=1e-5)


def test_an_undefeated_model_has_a_finite_strength_that_grows_with_its_wins() -> None:
    leads = [float(-np.diff(fit(np.array([[0, count], [0, 0]])).values)[0]) for count in (1, 10, 1000)]
    assert 0.5 < leads[0] < leads[1] < leads[2] < 20
    assert fit(np.array([[0, 10], [0, 0]])).errors[0] > 0.5  # and nobody knows exactly how strong


def test_strengths_are_centred_and_do_not_depend_on_the_order_of_models() -> None:
    wins = some_wins(6, 200)
    order = [3, 1, 5, 0, 4, 2]
    plain, turned = fit(wins), fit(wins[np.ix_(order, order)])
    assert plain.values.sum() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(plain.values[order], turned.values, atol=1e-8)
    np.testing.assert_allclose(plain.errors[order], turned.errors, atol=1e-8)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    truth = 0.4 * (np.arange(4) - 1.5)
    covered = []
    for seed in range(150):
        # ties pull strengths together, so here are none
        wins = np.zeros((4, 4))
        for number in range(120):
            draws = Draws(seed, "fair", number)
            i, j = draws.sample(range(4), 2)
            first = draws.chance(1 / (1 + np.exp(truth[j] - truth[i])))
            wins[(i, j) if first else (j, i)] += 1
        found = fit(wins)
        covered.append(np.abs(found.values - truth) < 1.96 * found.errors)
    assert 0.91 < np.mean(covered) < 0.98


def test_groups_are_what_votes_connect() -> None:
    wins = np.zeros((5, 5))
    wins[0, 3] = wins[3, 1] = 4
    wins[2, 4] = 2
    found = fit(wins)
    assert found.group[0] == found.group[3] == found.group[1] != found.group[2] == found.group[4]
    # Each group has a mean of its own, and strengths in it are as if there were no other group.
    np.testing.assert_allclose(found.values[[2, 4]], fit(wins[np.ix_([2, 4], [2, 4])]).values, atol=1e-8)
    assert found.values[[0, 1, 3]].sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("wins", [np.zeros((2, 3)), np.array([[0, -1], [0, 0]]), np.array([[0, np.nan], [0, 0]])])
def test_wins_that_are_none_are_refused(wins: np.ndarray) -> None:
    with pytest.raises(ValueError, match="square matrix"):
        fit(wins)
