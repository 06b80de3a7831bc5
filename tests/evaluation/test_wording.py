import copy

import pytest

from evaluation.summary import summarise
from evaluation.wording import interval, number, per_thousand, percent, rival_sentence, verdict
from tests.evaluation.fake_results import make_results


@pytest.fixture(scope="module")
def measured():
    return summarise(make_results(users=3, llms=5, queries=20), resamples=100)


@pytest.fixture
def metrics(measured):
    """Metrics with the numbers of a good router, free to change."""
    changed = copy.deepcopy(measured)
    changed["policies"]["graph"] |= {"oracle_ratio": 0.83, "cost_usd": 0.001}
    changed["policies"]["graph"]["reward"]["mean"] = 0.453
    changed["paired"]["best_single_per_user"] |= {"reward_diff": 0.051, "ci95": [0.046, 0.056]}
    single = {"llm_id": "big", "performance": 0.8, "cost_usd": 0.0017, "share_saved": 0.41}
    changed["savings"] = {"strongest": single, "matching": dict(single)}
    return changed


@pytest.mark.parametrize(
    ("value", "kwargs", "text"),
    [
        (0.4531, {}, "0.453"),
        (-0.0121, {}, "−0.012"),
        (0.051, {"sign": True}, "+0.051"),
        (-0.00001, {"sign": True}, "0.000"),
        (0.00001, {"sign": True}, "0.000"),
        (12, {"digits": 1}, "12.0"),
        (100, {"digits": 0}, "100"),
        (None, {}, "–"),
    ],
)
def test_number(value, kwargs, text):
    assert number(value, **kwargs) == text


def test_other_formats():
    assert percent(0.834) == "83\N{NO-BREAK SPACE}%"
    assert percent(None) == "–"
    assert interval([-0.0461, 0.056]) == "[−0.046, 0.056]"
    assert interval(None) == "–"
    assert per_thousand(0.00123, True) == "$1.23"
    assert per_thousand(0.0006, True) == "$0.60"
    assert per_thousand(-0.0012, True) == "−$1.20"
    assert per_thousand(0.0000000123, True) == "$0.000012"
    assert per_thousand(1.5, False) == "1,500.00"
    assert per_thousand(0.0, True) == "$0.00"
    assert per_thousand(None, True) == "–"


def test_verdict_of_a_good_router(metrics):
    assert verdict(metrics).replace("\N{NO-BREAK SPACE}", " ") == (
        "The graph router earns 0.453 mean reward, 83 % of the oracle's; "
        "it is +0.051 over the best single LLM per user [0.046, 0.056]; "
        "it costs 41 % less than always using big, which performs at least as well."
    )


def test_verdict_says_when_it_loses_or_cannot_tell(metrics):
    metrics["paired"]["best_single_per_user"] |= {"reward_diff": -0.051, "ci95": [-0.056, -0.046]}
    assert "it loses to the best single LLM per user by 0.051" in verdict(metrics)
    metrics["paired"]["best_single_per_user"] |= {"reward_diff": 0.001, "ci95": [-0.004, 0.006]}
    assert "cannot be told apart from the best single LLM per user" in verdict(metrics)
    assert "includes zero" in verdict(metrics)
    metrics["paired"]["best_single_per_user"] |= {"reward_diff": -0.001, "ci95": [-0.006, 0.004]}
    assert "cannot be told apart from the best single LLM per user" in verdict(metrics)
    assert "loses" not in verdict(metrics)
    metrics["paired"]["best_single_per_user"] |= {"reward_diff": 0.001, "ci95": None}
    assert "no interval was computed" in verdict(metrics)


@pytest.mark.parametrize(
    ("share", "cost", "text"),
    [(-0.2, 1.0, "20 % more than"), (0.001, 1.0, "as much as"), (None, 1.0, "more than"), (None, 0.0, "as much as")],
)
def test_verdict_on_cost(metrics, share, cost, text):
    metrics["savings"]["matching"]["share_saved"] = share
    metrics["policies"]["graph"]["cost_usd"] = cost
    assert f"it costs {text} always using big" in verdict(metrics).replace("\N{NO-BREAK SPACE}", " ")


def test_verdict_without_a_match_names_the_strongest(metrics):
    metrics["savings"]["matching"] = None
    assert "no single LLM performs as well, and it costs" in verdict(metrics)
    assert verdict(metrics).endswith("big, the strongest.")
    metrics["savings"] = None
    assert "costs" not in verdict(metrics)


def test_verdict_without_oracle_floor_or_router():
    lone = summarise(make_results(users=2, queries=6, policies=("graph",)), 0)
    assert "no oracle was run" in verdict(lone)
    other = summarise(make_results(users=2, queries=6, policies=("graph", "random")), 20)
    assert "the random choice" in verdict(other)
    without = summarise(make_results(users=2, queries=6, policies=("random", "oracle")), 0)
    assert verdict(without) == "The graph router was not run; the best policy that was is the random choice."


def test_verdict_of_personas_speaks_of_accuracy():
    text = verdict(summarise(make_results(users=3, queries=20, kind="persona"), 50))
    assert "picks the LLM the user prefers in" in text
    assert "in accuracy" in text
    assert "reward" not in text


def test_the_rival_is_named_and_never_twice(metrics):
    metrics["paired"] = {"oracle": metrics["paired"]["oracle"], "linear": metrics["paired"]["linear"]} | metrics[
        "paired"
    ]
    metrics["paired"]["linear"] |= {"reward_diff": -0.004, "ci95": [-0.006, -0.002]}
    assert rival_sentence(metrics).startswith(
        "The strongest other policy is linear: the graph router loses to linear by"
    )
    floor = {"best_single_per_user": metrics["paired"]["best_single_per_user"]}
    assert rival_sentence(metrics | {"paired": floor}) == ""
