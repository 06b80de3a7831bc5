"""What the report says, in order, as plain text and tables; how it looks is the renderers' business."""

from __future__ import annotations

import dataclasses
from typing import Any

from evaluation.report_tables import Table, build_tables
from evaluation.results import FLOOR, GRAPH, ORACLE, Results
from evaluation.strong_weak_report import TRADE_OFF_CAPTIONS, trade_off_tables
from evaluation.study_report import STUDY_CAPTIONS, study_tables
from evaluation.wording import by_reward, judged_sentence, number, per_thousand, percent, rival_sentence, verdict


@dataclasses.dataclass(frozen=True)
class Content:
    """The whole report. `tiles` are (value, what it is); `captions` are plot name -> (title, how to read it)."""

    title: str
    facts: str
    banners: tuple[str, ...]
    verdict: str
    rival: str
    tiles: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    captions: dict[str, tuple[str, str]]
    notes: tuple[str, ...]
    config: str


CAPTIONS = {
    "plane": (
        "Performance and cost",
        "Up is better, left is cheaper. Each grey dot is one LLM used for everything; the dashed line is what tossing "
        "a coin between two of them reaches. A router is worth having where it lies above that line. Policies are "
        "means over all users; the oracle knows every answer beforehand and cannot be reached.",
    ),
    "reward_per_user": (
        "The reward of each user",
        "Above: mean reward of each user (accuracy where users have no reward). Below: the same, minus what the best "
        "single LLM for that user gives, so zero means that routing query by query brings nothing. With many users, "
        "each point is a group of neighbours in preference; of many personas, some are shown.",
    ),
    "llm_choice": (
        "Which LLM answers whom",
        "One bar per user (or group of users), cheap LLMs on the left, dear ones on the right; numbers are percent of "
        "the user's test queries. Equal bars would mean that the router is not personal.",
    ),
    "training": (
        "Training",
        "Losses on train and validation queries, and the reward on validation queries by which the epoch is chosen "
        "(dots). One line per repeat. A validation loss that rises while the train loss falls is overfitting.",
    ),
    "reliability": (
        "Can its expectations be believed?",
        "The router's choices, binned by the performance it expected. On the diagonal it got what it expected; below, "
        "it promised too much. The bars below count the choices in each bin.",
    ),
    "confidence": (
        "Does it know when it is right?",
        "The router's choices, binned by how likely it held its choice to be the best LLM for that user and query. On "
        "the diagonal it was right as often as it said. The further the points spread along the diagonal, the better "
        "it tells sure cases from open ones.",
    ),
    "query_map": (
        "The train queries as the trained encoder sees them",
        "Each dot is a train query (of the first repeat; at most 2,000, drawn at random), and close ones are alike to "
        "the encoder; how far apart distant groups lie means nothing. Left: the clusters that training keeps together, "
        "found on the frozen encoder. Right: the same points by task.",
    ),
}


def build_content(results: Results, metrics: dict[str, Any]) -> Content:
    """Return the report's content from results and their `summarise`d metrics."""
    facts = (
        f"{metrics['llms']:,} LLMs, {metrics['users']:,} users; {metrics['num_train']:,} train, "
        f"{metrics['num_validation']:,} validation and {metrics['num_test']:,} test queries; "
        f"repeats: {metrics['repeats']}"
    )
    return Content(
        title=f"Routing report: {results.dataset}",
        facts=facts,
        banners=_banners(results, metrics),
        verdict=verdict(metrics),
        rival=" ".join(filter(None, (rival_sentence(metrics), judged_sentence(metrics)))),
        tiles=_tiles(results, metrics),
        tables=(*build_tables(results, metrics), *trade_off_tables(results, metrics), *study_tables(results)),
        captions=CAPTIONS | TRADE_OFF_CAPTIONS | STUDY_CAPTIONS,
        notes=results.notes,
        config=results.config_yaml,
    )


def _banners(results: Results, metrics: dict[str, Any]) -> tuple[str, ...]:
    banners = []
    if results.simulated:
        banners.append("Simulated answers: these numbers say nothing about real LLMs.")
    costs = {
        "computed": "Costs are computed from list prices and token counts; nobody was billed these amounts.",
        "relative": "Costs are in the data set's own relative unit, not dollars.",
        "none": "This data set has no costs: cost counts as zero, and reward is preference times performance.",
    }
    if results.cost_kind in costs:
        banners.append(costs[results.cost_kind])
    absent = [name for name in (GRAPH, ORACLE, FLOOR) if name not in metrics["policies"]]
    if absent:
        lost = "" if absent == [GRAPH] else "; headroom or the ratio to the oracle cannot be given"
        banners.append(f"Not run: {', '.join(absent)}{lost}.")
    return tuple(banners)


def _tiles(results: Results, metrics: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    if GRAPH not in metrics["policies"]:
        return ()
    mine, saved = metrics["policies"][GRAPH], metrics["savings"]
    tiles = []
    if by_reward(metrics):
        tiles.append((number(mine["reward"]["mean"]), "mean reward"))
        tiles.append((percent(mine["oracle_ratio"]), "of the oracle's reward"))
        tiles.append((number(mine["headroom"], 2), "headroom (0: best single LLM per user, 1: oracle)"))
    tiles.append((percent(mine["accuracy"]), "of choices are the best possible"))
    if saved:
        tiles.append((per_thousand(mine["cost_usd"], results.in_dollars), "for 1,000 queries"))
        share = saved["strongest"]["share_saved"]
        if share is not None:
            word = "less" if share >= 0 else "more"
            tiles.append((f"{percent(abs(share))} {word}", f"cost than always {saved['strongest']['llm_id']}"))
    return tuple(tiles)
