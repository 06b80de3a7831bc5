"""Two LLMs, a probability and a threshold on it."""

import json
import math
import re
from pathlib import Path

import pytest

from configs.errors import InputError
from evaluation.calibrate import Calibration, read_calibration
from graph.threshold import ALWAYS, NEVER, Threshold
from serving import page
from serving.chooser import OWN_WISH
from serving.desk import Desk
from serving.pair import Pair
from tests.serving.classifiers import Hard

FOUND = {"threshold": 0.2504, "coin": 0.5, "weak_id": "small", "strong_id": "large", "asked_share": 0.3, "prompts": 9}


@pytest.mark.parametrize(("slider", "picked"), [(0.0, "large"), (0.25, "large"), (0.251, "small"), (1.0, "small")])
def test_from_the_threshold_on_the_strong_one_is_picked(slider: float, picked: str) -> None:
    view = Pair(Hard(), 256).view("easy", OWN_WISH, slider)
    assert view.llm_id == picked == view.bars[0].llm_id
    assert [bar.chosen for bar in view.bars] == [True, False]
    assert {bar.performance for bar in view.bars} == {0.4, 1.0}
    assert view.notes == ()
    assert "0.25" in view.why
    assert "share" not in view.why


def test_where_the_slider_starts_the_calibrated_coin_counts() -> None:
    pair = Pair(Hard(), 256, Calibration(Threshold(0.25, 0.5), 0.3))
    picked = {pair.view(f"easy {number}", OWN_WISH, pair.slider.start).llm_id for number in range(40)}
    assert picked == {"small", "large"}
    assert "30%" in pair.slider.info
    assert "a share goes to each LLM" in pair.view("easy", OWN_WISH, pair.slider.start).why


def test_what_is_not_known_is_said_and_not_drawn() -> None:
    labels = Pair(Hard(costs=None), 256).view("easy", OWN_WISH, 0.5)
    assert labels.bars == ()
    assert "labels" in labels.notes[0]
    assert "Expected performance" not in page.decision(labels)
    half = Pair(Hard(costs=(math.nan, 1e-3)), 256).view("word " * 900, OWN_WISH, 0.5)
    assert [bar.cost for bar in half.bars] == [None, "$1.00"]
    assert "long prompt" in half.notes[0]
    assert "nan" not in page.decision(half).lower()


def test_its_texts_are_escaped_and_the_number_has_a_bar() -> None:
    html = page.decision(Pair(Hard("<script>", "<img>"), 256).view("hard", OWN_WISH, 0.5))
    assert "<dd>0.900</dd>" in html
    assert "width: 90.0%" in html
    assert not re.search("<script|<img", html)


def test_an_empty_prompt_is_refused_and_said() -> None:
    with pytest.raises(InputError, match="question: expected a text"):
        Pair(Hard(), 256).view(" ", OWN_WISH, 0.5)
    assert "no question yet" in Desk(Pair(Hard(), 256)).shown("", OWN_WISH, 0.5, sent=True)[1]


def test_a_calibration_is_read(tmp_path: Path) -> None:
    path = tmp_path / "threshold.json"
    path.write_text(json.dumps(FOUND), encoding="utf-8")
    found = read_calibration(path, Hard())
    assert found == Calibration(Threshold(0.2504, 0.5), 0.3)
    assert Pair(Hard(), 256, found).slider.start == 0.25


@pytest.mark.parametrize(("value", "picked", "start"), [(NEVER, "small", 1.0), (ALWAYS, "large", 0.0)])
def test_a_calibration_to_never_or_always_is_read(tmp_path: Path, value: float, picked: str, start: float) -> None:
    path = tmp_path / "threshold.json"
    path.write_text(json.dumps(FOUND | {"threshold": value, "coin": 0.0}), encoding="utf-8")
    pair = Pair(Hard(), 256, read_calibration(path, Hard()))
    assert pair.slider.start == start
    views = [pair.view(prompt, OWN_WISH, start) for prompt in ("easy", "hard")]
    assert [view.llm_id for view in views] == [picked, picked]
    assert "e+308" not in "".join(page.decision(view) for view in views)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "expected a JSON file"),
        ("[]", "expected a JSON object"),
        (json.dumps(FOUND | {"weak_id": "x"}), "expected weak_id 'small'"),
        (json.dumps(FOUND | {"threshold": 7}), "expected threshold to be a number from 0 to 1, got 7"),
        (json.dumps(FOUND | {"coin": None}), "expected coin"),
    ],
)
def test_a_wrong_calibration_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "threshold.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_calibration(path, Hard())
