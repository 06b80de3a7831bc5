"""The probability of having chosen the best: right where it is known, monotone, and never a NaN by accident."""

import json
import math

import numpy as np
import pytest

from graph import confidence
from graph.confidence import KNOTS, LOG_ODDS_LIMIT, MARGIN, NUM_WEIGHTS, Confidence
from graph.metrics import calibration

ALPHAS = np.array([0.2, 0.5, 0.9, 1.0])
SLOPE, LEVEL = 1, 0


def identity(temperature: float = 1.0) -> Confidence:
    """A calibration that changes nothing: the probability is the softmax's."""
    weights = np.zeros(NUM_WEIGHTS)
    weights[SLOPE] = 1.0
    return Confidence(temperature, weights)


def gumbel_world(rows: int, llms: int = 5, temperature: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and the one best LLM: reward is score + Gumbel noise, so that P(LLM is best) is softmax(score / T)."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 0.2, (rows, llms))
    reward = scores + rng.gumbel(0, temperature, scores.shape)
    return scores, reward == reward.max(axis=1, keepdims=True)


def softmax_top(scores: np.ndarray, temperature: float) -> np.ndarray:
    """A slow twin: the softmax probability of the highest score of each row."""
    out = []
    for row in scores:
        weights = [math.exp(value / temperature) for value in row if value > -math.inf]
        out.append(max(weights) / sum(weights))
    return np.array(out)


def preference_world(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, best, preference, true probability: 0.9 for α = 1, 0.6 for 0.2, 0.05 for others, whatever the lead."""
    rng = np.random.default_rng(seed)
    scores, alpha = rng.normal(0, 0.2, (rows, 4)), rng.choice(ALPHAS, rows)
    truth = np.select([alpha == 1.0, alpha == 0.2], [0.9, 0.6], 0.05)
    order = np.argsort(-scores, axis=1)
    winner = np.where(rng.random(rows) < truth, order[:, 0], order[:, rng.integers(1, 4)])
    return scores, np.arange(4) == winner[:, None], alpha, truth


def noisy_fit(seed: int = 0, queries: int = 20) -> Confidence:
    """A fit on as few rows as there can be, with outcomes that have nothing to do with scores."""
    rng = np.random.default_rng(seed)
    scores = np.repeat(rng.normal(0, 0.2, (queries, 4)), len(ALPHAS), axis=0)
    best = np.arange(4) == rng.integers(0, 4, len(scores))[:, None]
    return Confidence.fit(scores, best, np.tile(ALPHAS, queries))


def test_by_hand() -> None:
    scores = np.array([[math.log(3), 0.0, -math.inf], [0.0, 0.0, 0.0], [0.0, math.log(6), math.log(2)]])
    np.testing.assert_allclose(identity().probability(scores), [3 / 4, 1 / 3, 6 / 9], rtol=1e-12)
    # Half the temperature squares the odds against each rival.
    np.testing.assert_allclose(identity(0.5).probability(scores), [9 / 10, 1 / 3, 36 / 41], rtol=1e-12)


def test_weights_by_hand() -> None:
    """Level and slope are linear between the knots of the preference, with a jump at 1 and nothing where it is NaN."""
    step = KNOTS[1]
    np.testing.assert_allclose(KNOTS, step * np.arange(6), atol=1e-12)
    assert KNOTS[-1] == 1
    weights = np.zeros(NUM_WEIGHTS)
    weights[LEVEL], weights[SLOPE], weights[2], weights[3:9] = 0.5, 1.0, 3.0, [8, 2, 4, 0, 0, 1]  # 2: slope at α = 1
    weights[9], weights[10], weights[11:] = -1.0, 7.0, [-9, 10, 20, 0, 0, 5]  # 9: known, 10: level at α = 1
    odds = math.log(3)
    scores = np.array([[odds, 0.0]] * 5)
    alpha = np.array([np.nan, step, 1.5 * step, 1.0, 0.0])
    expected = [
        0.5 + odds,
        0.5 + (1 + 2) * odds - 1 + 10,
        0.5 + (1 + 3) * odds - 1 + 15,
        0.5 + (1 + 3 + 1) * odds - 1 + 7 + 5,
        0.5 + (1 + 8) * odds - 1 - 9,
    ]
    got = Confidence(1.0, weights).probability(scores, alpha)
    np.testing.assert_allclose(got, np.clip([1 / (1 + math.exp(-x)) for x in expected], MARGIN, 1 - MARGIN), rtol=1e-9)


@pytest.mark.parametrize("temperature", [0.03, 0.1, 0.5])
def test_known_probabilities_are_recovered(temperature: float) -> None:
    fit = Confidence.fit(*gumbel_world(3000, temperature=temperature))
    scores, best = gumbel_world(3000, temperature=temperature, seed=1)
    truth = softmax_top(scores, temperature)
    assert truth.std() > 0.05
    assert fit.temperature == pytest.approx(temperature, rel=0.1)
    # The rare row far out is where the slope's sampling error shows; the mean row must be near.
    np.testing.assert_allclose(fit.probability(scores), truth, rtol=0, atol=0.08)
    assert np.abs(fit.probability(scores) - truth).mean() < 0.02
    assert calibration(fit.probability(scores), best[np.arange(3000), scores.argmax(axis=1)]).error < 0.03


def test_known_probabilities_are_recovered_from_few_rows() -> None:
    scores, _ = gumbel_world(2000, seed=1)
    errors = [np.abs(Confidence.fit(*gumbel_world(60, seed=s)).probability(scores) - softmax_top(scores, 0.1)).mean()
              for s in range(2, 8)]  # fmt: skip
    assert np.mean(errors) < 0.1


def test_a_level_of_each_preference_is_recovered() -> None:
    scores, best, alpha, _ = preference_world(3000, 0)
    fit = Confidence.fit(scores, best, alpha)
    scores, _, alpha, truth = preference_world(3000, 1)
    np.testing.assert_allclose(fit.probability(scores, alpha), truth, rtol=0, atol=0.05)
    blind = Confidence.fit(*preference_world(3000, 0)[:2]).probability(scores)
    assert blind.std() < 0.1, "without the preference nothing can tell these rows apart"


def test_unknown_preferences_are_calibrated_beside_known_ones() -> None:
    """Personas have no preference: their rows have a level of their own."""
    scores, best, alpha, truth = preference_world(3000, 0)
    persona = alpha == 0.2
    fit = Confidence.fit(scores, best, np.where(persona, np.nan, alpha))
    got = fit.probability(scores, np.where(persona, np.nan, alpha))
    np.testing.assert_allclose(got[persona], truth[persona], rtol=0, atol=0.05)
    np.testing.assert_allclose(got[~persona], truth[~persona], rtol=0, atol=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_never_falls_with_the_lead(seed: int) -> None:
    leads = np.linspace(0, 2, 50)
    scores = np.stack([leads, np.zeros(50), np.full(50, -0.1)], axis=1)
    for alpha in np.linspace(0, 1, 21):
        steps = np.diff(noisy_fit(seed).probability(scores, np.full(50, alpha)))
        assert (steps >= 0).all()


def test_rises_with_the_lead_where_scores_mean_something() -> None:
    fit = Confidence.fit(*gumbel_world(500))
    leads = np.linspace(0, 0.3, 20)
    rising = fit.probability(np.stack([leads, np.zeros(20)], axis=1))
    assert (np.diff(rising) > 0).all()
    assert rising[-1] - rising[0] > 0.2
    # A third LLM, as near as the second, makes the lead less sure.
    assert (fit.probability(np.stack([leads, *np.zeros((2, 20))], axis=1)) < rising).all()


def test_scores_that_point_the_wrong_way_do_not_make_a_lead_count_against() -> None:
    scores, _ = gumbel_world(400)
    order = np.argsort(np.argsort(scores, axis=1), axis=1)
    wide = scores.max(axis=1) - np.sort(scores, axis=1)[:, -2] > 0.1
    best = np.where(wide[:, None], order == 0, order == 4)
    alpha = np.tile(ALPHAS, 100)
    fit = Confidence.fit(scores, best, alpha)
    assert (fit.weights[1:9] >= 0).all()
    near, far = fit.probability(np.array([[0.0, 0.0], [0.5, 0.0]]), np.full(2, 0.5))
    assert far >= near


def test_the_scale_and_origin_of_utilities_do_not_matter() -> None:
    scores, best = gumbel_world(400)
    before = Confidence.fit(scores, best).probability(scores)
    shift = np.random.default_rng(0).normal(0, 1, (400, 1))
    for moved in (scores * 1e3, scores * 1e-6, scores + shift):
        np.testing.assert_allclose(Confidence.fit(moved, best).probability(moved), before, rtol=0, atol=1e-3)


def test_several_best_count_each() -> None:
    """Where all LLMs of half the rows tie as best, the choice there is right whatever it is."""
    scores, best = gumbel_world(2000)
    tied = np.arange(2000) % 2 == 0
    fit = Confidence.fit(scores, best | tied[:, None])
    expected = (1 + softmax_top(scores, 0.1).mean()) / 2
    assert fit.probability(scores).mean() == pytest.approx(expected, abs=0.02)


def test_a_tied_top_score_is_a_hit_in_part() -> None:
    # Every row is a tie of two, one of them best: the choice is right half of the time, in whichever column it stands.
    scores = np.zeros((200, 2))
    for best in ([True, False], [False, True]):
        fit = Confidence.fit(scores, np.tile(best, (200, 1)))
        np.testing.assert_allclose(fit.probability(scores[:1]), 0.5, rtol=0, atol=1e-6)


def test_one_llm_is_certain_and_none_is_unknown() -> None:
    fit = Confidence.fit(*gumbel_world(200))
    scores = np.array([[0.3, -np.inf], [-np.inf, -np.inf], [0.3, 0.1]])
    got = fit.probability(scores)
    assert got[0] == 1
    assert np.isnan(got[1])
    assert 0 < got[2] < 1
    np.testing.assert_array_equal(fit.probability(np.zeros((3, 1))), 1.0)
    assert fit.probability(np.zeros((0, 4))).shape == (0,)


def test_columns_that_were_not_observed_change_nothing() -> None:
    scores, best = gumbel_world(200)
    hidden = np.full((200, 1), -np.inf)
    wide = np.hstack([hidden, scores, hidden])
    fit, other = Confidence.fit(scores, best), Confidence.fit(wide, np.hstack([hidden > 0, best, hidden > 0]))
    np.testing.assert_allclose(other.probability(wide), fit.probability(scores), rtol=0, atol=1e-9)


def test_rows_with_one_llm_teach_nothing() -> None:
    scores, best = gumbel_world(200)
    alone = np.tile([0.1, *[-np.inf] * 4], (300, 1))
    fit = Confidence.fit(np.vstack([scores, alone]), np.vstack([best, alone > 0]))
    np.testing.assert_array_equal(fit.weights, Confidence.fit(scores, best).weights)


def test_order_of_rows_and_columns_does_not_matter() -> None:
    scores, best, alpha, _ = preference_world(300, 0)
    scores = np.round(2.5 * scores)  # many ties, many equal rows
    best |= np.random.default_rng(1).random(best.shape) < 0.3
    alpha = np.where(np.arange(300) % 7 == 0, np.nan, alpha)
    fit = Confidence.fit(scores, best, alpha)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(300), rng.permutation(4)
    moved = Confidence.fit(scores[rows][:, columns], best[rows][:, columns], alpha[rows])
    assert moved.temperature == fit.temperature
    np.testing.assert_array_equal(moved.weights, fit.weights)
    got = moved.probability(scores[rows][:, columns], alpha[rows])
    np.testing.assert_allclose(got, fit.probability(scores, alpha)[rows], rtol=1e-12)


def test_many_rows_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, best, alpha, _ = preference_world(4000, 0)
    whole = Confidence.fit(scores, best, alpha).probability(scores, alpha)
    monkeypatch.setattr(confidence, "MAX_ROWS", 1000)
    thinned = Confidence.fit(scores, best, alpha).probability(scores, alpha)
    assert np.abs(thinned - whole).max() > 0
    np.testing.assert_allclose(thinned, whole, rtol=0, atol=0.1)
    assert np.abs(thinned - whole).mean() < 0.04


@pytest.mark.parametrize("alpha", [None, np.zeros(0)])
def test_no_validation_is_unknown_not_a_guess(alpha: np.ndarray | None) -> None:
    fit = Confidence.fit(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool), alpha)
    assert fit.temperature is None
    assert np.isnan(fit.probability(np.array([[1.0, 0.0, 0.0], [1.0, -np.inf, -np.inf]]))).all()
    only_one = Confidence.fit(np.array([[0.2, -np.inf]]), np.array([[True, False]]))
    assert only_one.temperature is None


@pytest.mark.parametrize("hit", [True, False])
def test_a_split_without_miss_or_hit_does_not_promise_certainty(hit: bool) -> None:
    scores = np.tile([0.2, 0.1], (18, 1))
    fit = Confidence.fit(scores, np.tile([hit, not hit], (18, 1)))
    np.testing.assert_allclose(fit.probability(scores), 19 / 20 if hit else 1 / 20, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "scores",
    [
        [[1e300, -1e300, 0.0], [3.0, 2.0, 1e308]],
        [[1.7e308, -1.7e308, -1.7e308], [-1.7e308, 1.7e308, 0.0]],
        [[1e-300, 0.0, 0.0], [0.0, 0.0, 1e-308]],
        [[0.0, 0.0, 0.0], [7.0, 7.0, 7.0]],
        [[1e6, 1e6, -np.inf], [0.0, 1e-12, -1e6]],
    ],
)
def test_huge_tiny_and_equal_scores_give_probabilities(scores: list[list[float]]) -> None:
    table = np.array(scores)
    for best in (table.argmax(axis=1), table.argmin(axis=1)):
        marked = (np.arange(3) == best[:, None]) & np.isfinite(table)
        marked[~marked.any(axis=1), 0] = True
        for fit in (Confidence.fit(table, marked), Confidence.fit(table, marked, np.array([0.0, 1.0])), identity()):
            assert np.isfinite(fit.weights).all()
            got = fit.probability(table, np.array([1.0, np.nan]))
            assert ((got > 0) & (got < 1)).all()


def test_log_odds_are_bounded() -> None:
    got = identity().probability(np.array([[1e9, 0.0], [2e9, 0.0]]))
    np.testing.assert_allclose(got, 1 / (1 + math.exp(-LOG_ODDS_LIMIT)), rtol=1e-12)


def test_state_round_trip() -> None:
    scores, best, alpha, _ = preference_world(200, 0)
    for fit in (Confidence.fit(scores, best, alpha), Confidence.fit(scores[:0], best[:0])):
        settings, arrays = fit.state()
        back = Confidence.from_state(json.loads(json.dumps(settings)), {k: v.copy() for k, v in arrays.items()})
        np.testing.assert_array_equal(back.probability(scores, alpha), fit.probability(scores, alpha))


def test_inputs_are_left_as_they_were() -> None:
    scores, best, alpha, _ = preference_world(50, 0)
    copies = scores.copy(), best.copy(), alpha.copy()
    Confidence.fit(scores, best, alpha).probability(scores, alpha)
    for given, copy in zip((scores, best, alpha), copies, strict=True):
        np.testing.assert_array_equal(given, copy)


GOOD = (np.array([[0.1, 0.2]]), np.array([[True, False]]), np.array([0.5]))


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (0, np.array([0.1, 0.2]), "scores"),
        (0, np.array([[0.1, np.nan]]), "scores"),
        (0, np.array([[0.1, np.inf]]), "scores"),
        (0, np.array([[-np.inf, 0.1]]), "best"),
        (1, np.array([[True, False, False]]), "best"),
        (1, np.array([[False, False]]), "best"),
        (2, np.array([0.5, 0.5]), "preference"),
        (2, np.array([1.01]), "preference"),
        (2, np.array([-0.01]), "preference"),
    ],
)
def test_what_does_not_fit_is_refused(place: int, value: np.ndarray, says: str) -> None:
    Confidence.fit(*GOOD)
    wrong = list(GOOD)
    wrong[place] = value
    with pytest.raises(ValueError, match=f"^{says}: expected"):
        Confidence.fit(*wrong)
    if place != 1 and says != "best":
        with pytest.raises(ValueError, match=f"^{says}: expected"):
            identity().probability(wrong[0], wrong[2])
