from pathlib import Path

import numpy as np
import pytest

from configs.errors import InputError
from configs.schema import Users
from data_processing.personas import WORDS, describe, generated_personas, make_personas, named_personas, persona_users
from data_processing.response_features import FEATURES
from data_processing.tables import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "configs" / "personas.yaml"
GOOD = "{user_id: ann, description: You like it short., weights: {length: -1, correctness: 0.5}}"


def write(tmp_path: Path, *entries: str) -> Path:
    path = tmp_path / "people.yaml"
    path.write_text("personas:\n" + "".join(f"- {entry}\n" for entry in entries), encoding="utf-8")
    return path


def test_the_shipped_personas_are_nine_different_people_who_want_right_answers() -> None:
    personas = named_personas(SHIPPED)
    assert len({p.user_id for p in personas}) == len({p.weights for p in personas}) == 9
    assert len({p.description for p in personas}) == 9
    assert all(p.description.startswith("You ") and "\n" not in p.description for p in personas)
    assert all(p.weights[FEATURES.index("correctness")] >= 0 for p in personas)
    clinician = next(p for p in personas if p.user_id == "clinician")
    assert max(clinician.weights) == clinician.weights[FEATURES.index("correctness")]


def test_weights_are_read_by_name_and_absent_ones_are_zero(tmp_path: Path) -> None:
    (ann,) = named_personas(write(tmp_path, GOOD))
    assert ann.user_id == "ann"
    assert ann.description == "You like it short."
    assert dict(zip(FEATURES, ann.weights, strict=True)) == {
        **dict.fromkeys(FEATURES, 0.0), "length": -1.0, "correctness": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (GOOD.replace("length", "lenght"), ["ann", "weights", "'lenght'", "did you mean 'length'", "correctness"]),
        ("{user_id: ann, weights: {length: 1}}", ["ann", "description", "required"]),
        (GOOD.replace("You like it short.", "' '"), ["ann", "description"]),
        (GOOD.replace("-1", "much"), ["ann", "weights.length", "number", "'much'"]),
        (GOOD.replace("-1", "true"), ["ann", "weights.length", "number", "'True'"]),
        (GOOD.replace("-1", ".nan"), ["ann", "weights.length", "nan"]),
        (GOOD.replace("-1", ".inf"), ["ann", "weights.length", "inf"]),
        (GOOD.replace("-1", "1e300"), ["ann", "weights.length", "1000"]),
        (GOOD.replace("-1", "null"), ["ann", "weights.length"]),
        (GOOD.replace("-1", "0").replace("0.5", "0.0"), ["ann", "weights", "other than 0"]),
        (GOOD.replace("{length: -1, correctness: 0.5}", "{}"), ["ann", "weights", "other than 0"]),
        (GOOD.replace("{length: -1, correctness: 0.5}", "3"), ["ann", "weights"]),
        (GOOD.replace("user_id: ann", "user_id: 7"), ["entry 2", "user_id"]),
        ("just text", ["entry 2"]),
        (GOOD.replace("ann", "zoe"), ["'zoe'", "once"]),
        (GOOD.replace("weights", "colour: red, weights"), ["ann", "colour"]),
    ],
)
def test_errors_name_file_persona_key_and_remedy(tmp_path: Path, entry: str, words: list[str]) -> None:
    path = write(tmp_path, GOOD.replace("ann", "zoe"), entry)
    with pytest.raises(InputError) as caught:
        named_personas(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)
    assert ";" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"personas: []", b"people: [a]", b"- a", b"a: b: c", b"\xff\xfe", b"personas: {a: 1}"]
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "people.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"people\.yaml: expected"):
        named_personas(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError, match="expected a YAML file"):
            named_personas(path)


def test_a_drawn_persona_depends_on_seed_and_number_only() -> None:
    few, many = generated_personas(12, 5), generated_personas(300, 5)
    assert few == many[:12]
    assert many[0].user_id == "persona_0001"
    assert len({p.weights for p in many}) == len({p.user_id for p in many}) == 300
    assert generated_personas(3, 6)[0].weights != few[0].weights
    assert generated_personas(1, -5)[0].weights != few[0].weights


def test_drawn_weights_like_or_dislike_style_with_equal_chance_and_always_like_what_is_right() -> None:
    weights = np.array([p.weights for p in generated_personas(2000, 0)])
    np.testing.assert_allclose(np.abs(weights).sum(axis=1), 1)
    np.testing.assert_allclose(np.abs(weights).mean(axis=0), 1 / len(FEATURES), atol=0.015)
    # The variance of a Dirichlet share with concentration c over n features: (1/n)(1-1/n)/(n c + 1).
    n = len(FEATURES)
    np.testing.assert_allclose(np.abs(weights).var(axis=0), (1 / n) * (1 - 1 / n) / (n / 2 + 1), rtol=0.2)
    assert (weights[:, -1] >= 0).all()
    assert (np.abs((weights[:, :-1] > 0).mean(axis=0) - 0.5) < 0.05).all()


def test_the_description_follows_the_weights() -> None:
    def text(**weights: float) -> str:
        return describe(tuple(weights.get(feature, 0.0) for feature in FEATURES))

    assert "short answers" in text(length=-1.0)
    assert "long, thorough answers" in text(length=1.0)
    assert "matters little" in text(length=1.0)
    mixed = text(correctness=0.6, warmth=-0.2, lists=0.15, hedging=0.05)
    positions = [mixed.index(word) for word in ("right", "without courtesies", "as lists")]
    assert positions == sorted(positions)
    assert WORDS["hedging"][0] not in mixed
    assert "matters little" not in mixed
    for persona in generated_personas(50, 1):
        largest = int(np.argmax(np.abs(persona.weights)))
        like, dislike = WORDS[FEATURES[largest]]
        assert (like if persona.weights[largest] > 0 else dislike) in persona.description.split(".")[1]


def test_make_personas_follows_the_configuration(tmp_path: Path) -> None:
    assert make_personas(Users()) == named_personas(SHIPPED)
    path = str(write(tmp_path, GOOD))
    assert [p.user_id for p in make_personas(Users(personas_file=path))] == ["ann"]
    assert make_personas(Users(personas=4, persona_seed=9)) == generated_personas(4, 9)
    with pytest.raises(InputError, match=r"users\.personas: expected either"):
        make_personas(Users(personas=4, personas_file=path))


def test_the_table_of_users_has_no_preference() -> None:
    personas = named_personas(SHIPPED)
    users = persona_users(personas)
    assert list(users.columns) == list(COLUMNS["users"])
    assert list(users["user_id"]) == [p.user_id for p in personas]
    assert set(users["kind"]) == {"persona"}
    assert users["preference"].isna().all()
    assert list(users["persona"]) == [p.description for p in personas]
