"""YAML scalars, repeated keys, environment variables, and writing back what was read."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from configs.yaml_text import expand, parse_yaml, show, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("1e-3", 0.001),
        ("-2.5E+3", -2500.0),
        ("010", "010"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("12", 12),
        ("'12'", "12"),
        ("~", None),
        ("", None),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
    ],
)
def test_scalars_are_what_a_person_means(text: str, value: object) -> None:
    got = parse_yaml(text, "here")
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' stands here a second time"),
        ("x:\n  a: 1\n  a: 1", "line 3: the key 'a' stands"),
        ("a: [1, 2", "line 1"),
        ("1: x", "expected a key that is text"),
        ("on: [x\n", "line"),
        ("a: \x00", "special characters"),
        ("[" * 3000, "nested too deeply"),
        ("a: " + "9" * 5000, "4300"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("--- 1\n--- 2", "single document"),
    ],
)
def test_faults_name_place_and_line(text: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^conf\.yaml: expected YAML") as error:
        parse_yaml(text, "conf.yaml")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_merge_keys_may_be_overruled() -> None:
    assert parse_yaml("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3", "here")["b"] == {"x": 3, "y": 2}


def test_variables_are_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", "value")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)
    given = {
        "a": ["${SET}/x", 3],
        "b": "${UNSET:-d}${SET:-e}",
        "c": "${EMPTY:-}",
        "d": "$${SET} $SET",
        "e": "${UNSET:-}",
    }
    assert expand(given, "", "f") == {"a": ["value/x", 3], "b": "dvalue", "c": "", "d": "${SET} $SET", "e": ""}


def test_a_value_that_holds_a_variable_is_not_filled_in_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTER", "${INNER}")
    assert expand("${OUTER}", "k", "f") == "${INNER}"


@pytest.mark.parametrize("name", ["UNSET", "EMPTY"])
def test_an_unset_variable_names_file_key_variable_and_both_remedies(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("UNSET", raising=False)
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(InputError) as error:
        expand({"data": {"path": "${" + name + "}/x"}}, "", "f.yaml")
    for part in ("f.yaml: data.path:", f"variable {name} is not set", f"export {name}=", "--set data.path="):
        assert part in str(error.value)


@pytest.mark.parametrize("text", ["${", "${A", "a ${1B}", "${A-b}", "${}"])
def test_a_malformed_variable_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"f: k: expected \$\{NAME\}"):
        expand(text, "k", "f")


PLAIN = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["on", "1e-3", "010", "${A}", "$${A}", "$$${", "null", "", "2024-01-01", "- a", "a: b", "#x", "\x85", "<<", "="]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    assert expand(parse_yaml(write_yaml(value), "here"), "", "here") == value


@pytest.mark.parametrize(
    ("value", "text"),
    [("5", "'5'"), ("x", "'x'"), ("", "''"), (None, "null"), (True, "true"), ((0.5, 2), "[0.5, 2]"), ({}, "{}")],
)
def test_show_tells_text_from_numbers(value: object, text: str) -> None:
    assert show(value) == text


def test_show_is_short() -> None:
    assert len(show("x" * 500)) <= 80
    assert show(math.inf) == ".inf"
