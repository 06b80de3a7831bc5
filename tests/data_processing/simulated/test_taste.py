"""From a persona's text to weights."""

from __future__ import annotations

import numpy as np
import pytest

from configs.schema import project_root
from data_processing.personas import generated_personas, named_personas
from data_processing.response_features import FEATURES
from data_processing.simulated.taste import taste_of


def test_named_personas_are_known_by_their_text() -> None:
    for persona in named_personas(project_root() / "configs" / "personas.yaml"):
        expected = np.array(persona.weights) / np.abs(persona.weights).sum()
        np.testing.assert_allclose(taste_of(persona.description), expected)
        np.testing.assert_allclose(taste_of(f"Read this.\n{persona.description}\nThen reply."), expected)


def test_drawn_personas_are_read_back() -> None:
    alike = []
    for persona in generated_personas(200, seed=0):
        taste, weights = np.array(taste_of(persona.description)), np.array(persona.weights)
        assert np.abs(taste).sum() == pytest.approx(1)
        told = taste != 0
        assert (np.sign(taste[told]) == np.sign(weights[told])).all()
        assert np.abs(weights[~told]).sum() < 0.5
        alike.append(float(taste @ weights / np.linalg.norm(taste) / np.linalg.norm(weights)))
    assert np.mean(alike) > 0.95
    assert min(alike) > 0.8


@pytest.mark.parametrize(
    ("text", "feature", "sign"),
    [
        ("You like short answers.", "length", -1),
        ("You want every detail.", "length", 1),
        ("You are not friendly.", "warmth", -1),
        ("You read code all day.", "formulas_and_code", 1),
        ("You want it in plain and simple words.", "readability", 1),
        ("You want bullet lists.", "lists", 1),
        ("", "correctness", 1),
        ("Somebody", "correctness", 1),
    ],
)
def test_other_texts_are_understood_by_single_words(text: str, feature: str, sign: int) -> None:
    taste = taste_of(text)
    assert np.sign(taste[FEATURES.index(feature)]) == sign
    assert np.argmax(np.abs(taste)) == FEATURES.index(feature)
