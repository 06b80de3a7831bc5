"""Metrics by name: the built-in ones, those that are loaded when used, and a user's own."""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.scoring import METRICS, Metric, UnknownMetricError, find_metric, score, score_all
from data_processing.scoring.code_execution import passes_tests

SORRY = "I'm sorry, but I can't help with that. I do not know."


@pytest.mark.parametrize("metric", list(METRICS))
def test_an_empty_prediction_scores_nothing(metric: str) -> None:
    for empty in ("", "  \n"):
        assert score(metric, empty, "7") == 0


@pytest.mark.parametrize("metric", list(METRICS))
def test_the_truth_itself_scores_one(metric: str) -> None:
    assert score(metric, "42", "42") == 1


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(METRICS)), st.text(max_size=60), st.text(max_size=60))
def test_every_metric_stays_in_the_unit_interval(metric: str, prediction: str, truth: str) -> None:
    truth = f"{truth} 7" if metric == "gsm8k" else truth
    assert 0 <= score(metric, prediction, truth) <= 1


@pytest.mark.parametrize("metric", list(METRICS))
def test_an_apology_is_never_right(metric: str) -> None:
    for truth in ("0", "1", "12.50"):
        assert score(metric, SORRY, truth) == 0


@pytest.mark.parametrize("metric", ["f1_score", "exact_match", "multiple_choice", "rouge_l"])
def test_an_apology_is_not_no(metric: str) -> None:
    assert score(metric, SORRY, "no") == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("f1_scor", r"got 'f1_scor' \(did you mean 'f1_score'\?\); use one of f1_score, .*bert_score, code"),
        ("GSM8K", r"did you mean 'gsm8k'\?"),
        ("", "expected a known metric, got ''"),
        ("no.such.module:f", r"metric 'no.such.module:f': expected a module no.such.module that can be imported"),
        ("math:hypo", r"expected a function 'hypo' in math, found none \(did you mean 'hypot'\?\)"),
        ("math:pi", "expected a function 'pi' in math, found none"),
        ("math.hypot", "expected a known metric"),
        ("os:path.join", "expected a known metric"),
    ],
)
def test_an_unknown_metric_raises(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(name, "a", "a")


@pytest.mark.parametrize("name", ["nope", "f1", "", "math:hypot"])
def test_the_table_says_which_names_it_knows(name: str) -> None:
    for error in (KeyError, InputError, UnknownMetricError):
        with pytest.raises(error, match=r"^expected a known metric, got .*use one of f1_score, .*bert_score, code"):
            METRICS[name]


def test_the_table_finds_what_is_imported_only_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert METRICS["code"] is passes_tests
    stand_in = types.ModuleType("graph.bert_score")  # the true one needs torch
    vars(stand_in)["bert_score"] = lambda prediction, truth: 0.5
    monkeypatch.setitem(sys.modules, "graph.bert_score", stand_in)
    assert METRICS["bert_score"]("a", "b") == 0.5
    assert "code" not in METRICS  # so that going through the table runs no code and loads no model


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module of a user's, which lies nowhere in the project."""
    module = types.ModuleType("my_metrics")
    monkeypatch.setitem(sys.modules, "my_metrics", module)
    return module


def test_a_metric_of_ones_own_is_found_by_its_path(own: types.ModuleType) -> None:
    vars(own)["longer"] = lambda prediction, truth: len(prediction) > len(truth)
    assert score_all("my_metrics:longer", ["aa", "a", " "], ["a", "aa", ""]).tolist() == [1, 0, 0]


def test_many_is_used_where_it_is_there_and_sees_no_blank_answer(own: types.ModuleType) -> None:
    seen: list[int] = []

    def same(prediction: str, truth: str) -> float:
        raise AssertionError("one by one")

    def many(predictions: Sequence[str], truths: Sequence[str]) -> list[float]:
        assert all(text.strip() for text in predictions)
        seen.append(len(predictions))
        return [float(a == b) for a, b in zip(predictions, truths, strict=True)]

    vars(same)["many"] = many
    vars(own)["same"] = same
    predictions = ["a", " ", "b"] * 200
    values = score_all("my_metrics:same", predictions, ["a"] * 600)
    np.testing.assert_array_equal(values, [1, 0, 0] * 200)
    assert sum(seen) == 400
    assert len(seen) > 1  # in parts, so that memory stays flat
    assert score_all("my_metrics:same", [], []).shape == (0,)


@pytest.mark.parametrize("value", [float("nan"), -0.1, 1.1, float("inf"), "much", None, [0.5]])
def test_a_metric_that_gives_no_number_in_the_unit_interval_is_named(own: types.ModuleType, value: object) -> None:
    vars(own)["broken"] = lambda prediction, truth: value
    with pytest.raises(InputError, match=r"metric 'my_metrics:broken': expected .*number.*mend the metric"):
        score("my_metrics:broken", "a", "a")


def test_many_with_another_number_of_values_is_named(own: types.ModuleType) -> None:
    def broken(prediction: str, truth: str) -> float:
        return 1.0

    vars(broken)["many"] = lambda predictions, truths: [1.0]
    vars(own)["broken"] = broken
    with pytest.raises(InputError, match=r"expected one number for each of 2 answers, got shape \(1,\)"):
        score_all("my_metrics:broken", ["a", "b"], ["a", "b"])


def test_a_module_that_fails_to_import_says_why(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    with open(f"{tmp_path}/half_a_metric.py", "w", encoding="utf-8") as file:
        file.write("import no_such_thing\n")
    with pytest.raises(InputError, match="No module named 'no_such_thing'"):
        find_metric("half_a_metric:f")


def test_lists_of_other_lengths_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        score_all("f1_score", ["a", "b"], ["a"])


def test_values_are_those_of_the_functions() -> None:
    metric: Metric = METRICS["f1_score"]
    pairs = [("a red fox", "the fox"), ("fox", "fox"), ("", "fox")]
    assert score_all("f1_score", *zip(*pairs, strict=True)).tolist() == [metric(*pair) for pair in pairs]
