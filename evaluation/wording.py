"""Numbers as text, and the verdict: what the numbers say, in plain words, whichever way they fall."""

from __future__ import annotations

import math
from typing import Any

from evaluation.results import FLOOR, FLOORS, GRAPH, LABELS, ORACLE

MISSING = "–"


def number(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """Return e.g. `0.453`, `−0.012` or, with `sign`, `+0.051`; a dash for None."""
    if value is None:
        return MISSING
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    if not text.strip("+-0."):
        text = f"{0:.{digits}f}"  # no "−0.000"
    return text.replace("-", "−")


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share as e.g. `83 %`, with a space that does not break; a dash for None."""
    return MISSING if share is None else f"{number(100 * share, digits)}\N{NO-BREAK SPACE}%"


def interval(bounds: list[float] | None, digits: int = 3) -> str:
    """Return e.g. `[0.046, 0.056]`; a dash for None."""
    return MISSING if bounds is None else f"[{number(bounds[0], digits)}, {number(bounds[1], digits)}]"


def per_thousand(cost: float | None, dollars: bool) -> str:
    """Return the cost of 1,000 queries from the mean of one: `$1.23` in dollars, else the bare relative number."""
    if cost is None:
        return MISSING
    value = 1000 * abs(cost)
    digits = 2 if value >= 0.1 or value == 0 else 1 - math.floor(math.log10(value))  # two that count
    return ("−" if cost < 0 else "") + ("$" if dollars else "") + f"{value:,.{digits}f}"


def verdict(metrics: dict[str, Any]) -> str:
    """Return one sentence on the router, computed from `metrics`: what it earns, gains (or loses) and saves."""
    if GRAPH not in metrics["policies"]:
        first = next(iter(name for name in metrics["policies"] if name != ORACLE), ORACLE)
        return f"The graph router was not run; the best policy that was is {_called(first)}."
    clauses = [_earned(metrics), _against(metrics, _reference(metrics)), _saved(metrics)]
    first, *rest = [clause for clause in clauses if clause]
    return "; ".join([first, *rest]) + "."


def rival_sentence(metrics: dict[str, Any]) -> str:
    """Return a sentence on the strongest other policy, or an empty string where the verdict already speaks of it."""
    others = [name for name in metrics["paired"] if name != ORACLE]
    if not others or others[0] == _reference(metrics):
        return ""
    return f"The strongest other policy is {_called(others[0])}: {_against(metrics, others[0], 'the graph router')}."


def judged_sentence(metrics: dict[str, Any]) -> str:
    """Return how far personalising goes with personas, and how far it could; empty where users have preferences."""
    found = metrics["judged"]
    if not found or GRAPH not in metrics["policies"]:
        return ""
    mine = metrics["policies"][GRAPH]
    text = (
        f"It picks the answer a persona picked in {percent(mine['accuracy'], 1)} of the test cases, and has it among "
    )
    text += f"its first three in {percent(mine['accuracy_top3'], 1)}"
    same = found["best_non_personalised"]
    if same and found["ratio"] is not None:
        text += (
            f"; the best policy that gives everyone the same, {_called(same['policy'])}, in "
            f"{percent(same['accuracy'], 1)}: {number(found['ratio'], 2)} times as often"
        )
    if found["noise_ceiling"] is not None:
        text += (
            ". Personas do not always agree with themselves: who knew each one and had read all answers would be right "
            f"in {percent(found['noise_ceiling'], 1)}"
        )
    return text + "."


def by_reward(metrics: dict[str, Any]) -> bool:
    """Return whether the run has rewards; without (personas only) accuracy is what counts."""
    return any(numbers["reward"]["mean"] is not None for numbers in metrics["policies"].values())


def _called(name: str) -> str:
    return f"the {LABELS[name]}" if name in LABELS else name


def _reference(metrics: dict[str, Any]) -> str | None:
    """Return what the verdict compares with: the best single LLM per user; without it, the best floor that was run."""
    floors = [name for name in metrics["paired"] if name in FLOORS]
    return FLOOR if FLOOR in floors else next(iter(floors), None)


def _earned(metrics: dict[str, Any]) -> str:
    mine = metrics["policies"][GRAPH]
    if not by_reward(metrics):
        text = f"The graph router picks the LLM the user prefers in {percent(mine['accuracy'], 1)} of the test cases"
        return text + ("" if ORACLE in metrics["policies"] else " (no oracle was run)")
    text = f"The graph router earns {number(mine['reward']['mean'])} mean reward"
    if mine["oracle_ratio"] is None:
        why = "the oracle's is not above zero" if ORACLE in metrics["policies"] else "no oracle was run"
        return f"{text} ({why}, so the share of what is possible is unknown)"
    return f"{text}, {percent(mine['oracle_ratio'])} of the oracle's"


def _against(metrics: dict[str, Any], name: str | None, it: str = "it") -> str:
    """Return how `graph` compares with `name`, e.g. `it is +0.051 over the best single LLM per user [0.046, 0.056]`."""
    if name is None:
        return ""
    paired, reward = metrics["paired"][name], by_reward(metrics)
    value = paired["reward_diff"] if reward else paired["accuracy_diff"]
    bounds = paired["ci95"] if reward else paired["accuracy_ci95"]
    shown, other = number(value, sign=True), _called(name)
    unit = "" if reward else " in accuracy"
    if bounds is None:
        return f"against {other} {it} is {shown}{unit} (no interval was computed, so this may be chance)"
    if bounds[0] > 0:
        return f"{it} is {shown}{unit} over {other} {interval(bounds)}"
    if bounds[1] < 0:
        return f"{it} loses to {other} by {number(-value)}{unit} (difference {shown} {interval(bounds)})"
    return f"{it} cannot be told apart from {other} ({shown}{unit}, the interval {interval(bounds)} includes zero)"


def _saved(metrics: dict[str, Any]) -> str:
    """Return what the router costs against the cheapest LLM that performs as well, or else the strongest."""
    found, cost = metrics["savings"], metrics["policies"][GRAPH]["cost_usd"]
    if not found:
        return ""
    match, strongest = found["matching"], found["strongest"]
    if match:
        return f"it costs {_less(match, cost)} always using {match['llm_id']}, which performs at least as well"
    less = _less(strongest, cost)
    return f"no single LLM performs as well, and it costs {less} always using {strongest['llm_id']}, the strongest"


def _less(single: dict[str, Any], cost: float) -> str:
    share = single["share_saved"]
    if share is None:  # the LLM is free
        return "more than" if cost > 0 else "as much as"
    if abs(share) < 0.005:
        return "as much as"
    return f"{percent(abs(share))} {'less' if share > 0 else 'more'} than"
