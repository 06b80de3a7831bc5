"""Which questions need a strong model: how often the weaker side held its own on them, and the label that follows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import betainc, betaincinv, betaln

from configs.errors import InputError
from data_processing.labelling.labels import INFERIOR, SUPERIOR

INTERVAL = 0.95
# The weight of the prior, in votes, is estimated from the data. Where they say little of it (one vote per question), it
# is about USUAL_WEIGHT: its logarithm has a normal prior of that mean and this standard deviation.
USUAL_WEIGHT, WEIGHT_SD = 4.0, 1.5
WEIGHTS = (0.1, 1000.0)
ROUNDING = 1e-9  # a share of sums of a judge's means, such as 1/3 + 2/3, may miss 0 or 1 by less than this


@dataclasses.dataclass(frozen=True)
class Difficulty:
    """`questions`, easiest first, with the columns of `rank`; the threshold between the labels; and the Beta prior, by
    mean share and weight in votes."""

    questions: pd.DataFrame
    threshold: float
    mean_share: float
    weight: float

    @property
    def spread(self) -> float:
        """Return the standard deviation between questions of the share, beyond what chance in the votes makes."""
        return float(np.sqrt(self.mean_share * (1 - self.mean_share) / (self.weight + 1)))


def rank(votes: pd.DataFrame, inferior: set[str], threshold: float | None = None) -> Difficulty:
    """Return the questions by the share of votes in which the inferior side wins or ties against the superior side.

    `votes` are those of `judged_pairs.Votes`; all models not in `inferior` are superior. Shares are shrunk to their
    mean by a Beta prior, so that one lucky vote makes no easy question. Columns: query, question_id, label
    (ROUTE_TO_INFERIOR where the shrunk share is at least `threshold`; None: that which parts questions about evenly),
    share (as counted), votes, shrunk_share (median of the posterior), low and high (its 95 % interval), confidence (its
    probability that the label is right, 0.5 or more).

    Raises `InputError` where no vote is between the two sides, or all questions get one label.
    """
    first, second = votes["first"].isin(inferior), votes["second"].isin(inferior)
    across = votes[first != second]
    if across.empty:
        raise InputError(
            "--judgements: expected votes between inferior and superior models, got none; choose other sides with "
            "--inferior and --superior"
        )
    own_wins = np.where(across["first"].isin(inferior), across["first_wins"], across["second_wins"])
    held = across.assign(held=own_wins + across["ties"])
    table = held.groupby("query", sort=False).agg(
        question_id=("question_id", "first"), held=("held", "sum"), votes=("held", "size")
    )
    count, votes_n = table["held"].to_numpy(float), table["votes"].to_numpy(float)
    mean = float(np.clip(count.sum() / votes_n.sum(), 1e-3, 1 - 1e-3))
    weight = _weight(count, votes_n, mean)
    a, b = mean * weight + count, (1 - mean) * weight + votes_n - count
    shrunk = betaincinv(a, b, 0.5)
    cut = _middle(shrunk) if threshold is None else threshold
    below = betainc(a, b, cut)  # probability that the share is below the threshold
    easy = below <= 0.5
    tail = (1 - INTERVAL) / 2
    ranked = pd.DataFrame(
        {
            "query": table.index,
            "question_id": table["question_id"].to_numpy(),
            "label": np.where(easy, INFERIOR, SUPERIOR),
            "share": count / votes_n,
            "votes": table["votes"].to_numpy(),
            "shrunk_share": shrunk,
            "low": betaincinv(a, b, tail),
            "high": betaincinv(a, b, 1 - tail),
            "confidence": np.where(easy, 1 - below, below),
        }
    ).sort_values(["shrunk_share", "votes"], ascending=False, kind="stable", ignore_index=True)
    _need_both_labels(ranked, cut)
    return Difficulty(ranked, cut, mean, weight)


def borne_out(questions: pd.DataFrame) -> pd.Series:
    """Return for each row of `Difficulty.questions` whether what was counted shows its label at least once.

    The inferior side must have lost a vote of ROUTE_TO_SUPERIOR, and have won or tied one of ROUTE_TO_INFERIOR. Labels
    follow from a threshold on shrunk shares, which parts the questions even where that side never lost at all.
    """
    share = questions["share"]
    return (share > ROUNDING).where(questions["label"] == INFERIOR, share < 1 - ROUNDING)


def _weight(count: np.ndarray, votes: np.ndarray, mean: float) -> float:
    """Return the weight of the Beta prior under which the counts (N,) of `votes` (N,) are most probable."""

    def loss(log_weight: float) -> float:
        a, b = mean * np.exp(log_weight), (1 - mean) * np.exp(log_weight)
        likelihood = (betaln(a + count, b + votes - count) - betaln(a, b)).sum()
        return float(0.5 * ((log_weight - np.log(USUAL_WEIGHT)) / WEIGHT_SD) ** 2 - likelihood)

    found = minimize_scalar(loss, bounds=tuple(np.log(WEIGHTS)), method="bounded")
    return float(np.exp(found.x))


def _middle(shares: np.ndarray) -> float:
    """Return a value between two different shares (N,) that parts them as evenly as they can be parted."""
    values, counts = np.unique(shares, return_counts=True)
    if len(values) == 1:
        raise InputError(
            f"--judgements: expected questions that differ in difficulty, got {len(shares):,} with the same share of "
            f"{values[0]:.2f} and so one label; give more judgements, or choose other sides with --inferior, --superior"
        )
    place = int(np.abs(2 * counts.cumsum()[:-1] - len(shares)).argmin())
    return float(values[place] + values[place + 1]) / 2


def _need_both_labels(ranked: pd.DataFrame, threshold: float) -> None:
    if ranked["label"].nunique() == 1:
        raise InputError(
            f"--threshold: expected one that leaves questions on both sides, got {threshold:g}, with which all "
            f"{len(ranked):,} are {ranked['label'].iloc[0]}; {_middle(ranked['shrunk_share'].to_numpy()):.4f} parts "
            "them evenly, and so does leaving it out"
        )
