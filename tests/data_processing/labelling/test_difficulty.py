import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, betabinom

from configs.errors import InputError
from data_processing.labelling.difficulty import WEIGHT_SD, borne_out, rank
from data_processing.labelling.labels import INFERIOR, SUPERIOR

WEAK = {"weak", "feeble"}


def votes(*counts: tuple[str, int, int, int], first: str = "strong", second: str = "weak") -> pd.DataFrame:
    """Return votes: per question how often the first model wins, the second wins, and ties."""
    rows = []
    for query, first_wins, second_wins, ties in counts:
        for name, count in (("first_wins", first_wins), ("second_wins", second_wins), ("ties", ties)):
            for _ in range(count):
                result = dict.fromkeys(("first_wins", "second_wins", "ties"), 0.0) | {name: 1.0}
                rows.append({"query": query, "question_id": query.upper(), "first": first, "second": second, **result})
    return pd.DataFrame(rows)


def test_the_share_counts_wins_and_ties_of_the_inferior_side() -> None:
    table = votes(("hard", 8, 1, 1), ("easy", 1, 4, 5))
    found = rank(table, WEAK, 0.5).questions
    assert found["query"].tolist() == ["easy", "hard"]
    assert found["question_id"].tolist() == ["EASY", "HARD"]
    assert found["share"].tolist() == [0.9, 0.2]
    assert found["votes"].tolist() == [10, 10]
    assert found["label"].tolist() == [INFERIOR, SUPERIOR]


def test_the_order_of_the_two_models_of_a_vote_does_not_matter() -> None:
    table = votes(("hard", 8, 1, 1), ("easy", 1, 4, 5))
    turned = table.rename(
        columns={"first": "second", "second": "first", "first_wins": "second_wins", "second_wins": "first_wins"}
    )
    pd.testing.assert_frame_equal(rank(table, WEAK).questions, rank(turned, WEAK).questions)


def test_votes_within_a_side_say_nothing_of_difficulty() -> None:
    table = votes(("hard", 8, 1, 1), ("easy", 1, 4, 5))
    within = votes(("hard", 0, 50, 0), ("other", 3, 0, 0), first="feeble", second="weak")
    pd.testing.assert_frame_equal(
        rank(pd.concat([table, within]), WEAK).questions, rank(table, WEAK).questions, check_exact=True
    )
    with pytest.raises(InputError, match="expected votes between inferior and superior models, got none"):
        rank(within, WEAK)


def test_one_lucky_vote_does_not_rank_first() -> None:
    found = rank(votes(("lucky", 0, 1, 0), ("sure", 2, 18, 0), ("hard", 19, 1, 0)), WEAK).questions
    assert found["query"].tolist() == ["sure", "lucky", "hard"]
    assert found["share"].iloc[1] == 1.0
    assert found["high"].iloc[1] - found["low"].iloc[1] > found["high"].iloc[0] - found["low"].iloc[0]


def test_posterior_is_that_of_a_beta_prior() -> None:
    found = rank(votes(("hard", 8, 1, 1), ("easy", 1, 4, 5), ("mid", 3, 2, 0)), WEAK, 0.4)
    assert found.mean_share == pytest.approx(13 / 25)
    row = found.questions.set_index("query").loc["mid"]
    posterior = beta(found.mean_share * found.weight + 2, (1 - found.mean_share) * found.weight + 3)
    assert (row["low"], row["shrunk_share"], row["high"]) == pytest.approx(posterior.ppf([0.025, 0.5, 0.975]))
    assert row["confidence"] == pytest.approx(posterior.sf(0.4))


def test_the_weight_of_the_prior_is_the_most_probable_one() -> None:
    table = votes(*((f"q{n}", 10 - n % 11, n % 11, 0) for n in range(33)))
    found = rank(table, WEAK)
    weights = np.exp(np.linspace(np.log(0.1), np.log(1000), 2000))
    held = np.arange(33) % 11
    slow = [
        betabinom.logpmf(held, 10, found.mean_share * weight, (1 - found.mean_share) * weight).sum()
        - 0.5 * (np.log(weight / 4) / WEIGHT_SD) ** 2
        for weight in weights
    ]
    assert found.weight == pytest.approx(weights[int(np.argmax(slow))], rel=0.01)


def test_more_difference_than_chance_is_told_from_chance() -> None:
    rng = np.random.default_rng(0)
    same = rng.binomial(20, 0.4, 80)
    other = rng.binomial(20, rng.choice([0.1, 0.7], 80))
    found = [rank(votes(*((f"q{n}", 20 - k, k, 0) for n, k in enumerate(held))), WEAK) for held in (same, other)]
    assert found[0].spread < 0.08
    assert found[1].spread == pytest.approx(0.3, abs=0.05)


def test_without_a_threshold_questions_are_parted_evenly() -> None:
    table = votes(*((f"q{n}", 10, n, 0) for n in range(6)))  # the inferior side hardly ever wins
    found = rank(table, WEAK)
    assert found.questions["label"].value_counts().to_dict() == {INFERIOR: 3, SUPERIOR: 3}
    assert (found.questions["confidence"] >= 0.5).all()
    # Most alike: the cut is where they differ, though it is not the middle.
    table = votes(("a", 9, 1, 0), ("b", 9, 1, 0), ("c", 9, 1, 0), ("d", 1, 9, 0))
    assert rank(table, WEAK).questions["label"].tolist() == [INFERIOR, SUPERIOR, SUPERIOR, SUPERIOR]


def test_one_label_for_all_is_refused_with_a_threshold_that_gives_two() -> None:
    table = votes(("a", 9, 1, 0), ("b", 8, 2, 0), ("c", 7, 3, 0))
    with pytest.raises(InputError, match="all 3 are ROUTE_TO_SUPERIOR; 0") as caught:
        rank(table, WEAK, 0.9)
    threshold = float(str(caught.value).split("SUPERIOR; ")[1].split()[0])
    assert rank(table, WEAK, threshold).questions["label"].nunique() == 2
    with pytest.raises(InputError, match="differ in difficulty, got 2 with the same share"):
        rank(votes(("a", 9, 1, 0), ("b", 9, 1, 0)), WEAK)


def test_labels_that_no_vote_shows_are_found() -> None:
    kinds = [
        (INFERIOR, 0.0),
        (INFERIOR, 1e-16),
        (INFERIOR, 0.2),
        (SUPERIOR, 0.9),
        (SUPERIOR, 1 - 1e-16),
        (SUPERIOR, 1.0),
    ]
    found = borne_out(pd.DataFrame(kinds, columns=["label", "share"]))
    assert found.tolist() == [False, False, True, True, False, False]
