"""YAML scalars, keys that stand twice, and writing what is read back."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.yaml_dialect import dump_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("1e-3", 0.001),
        ("-2.5E+3", -2500.0),
        ("010", 10),
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
    got = parse_yaml(text)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: key 'a' stands twice"),
        ("x:\n  a: 1\n  a: 1", "line 3, column 3: key 'a' stands twice"),
        ("a: [1, 2", "line 1"),
        ("1: x", "expected a name as key, got 1"),
        ("a: \x00", "special characters"),
        ("[" * 3000, "recursion"),
        ("a: " + "9" * 5000, "4300"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("--- 1\n--- 2", "another document"),
        ("a: &a [*a]", "recursive"),
    ],
)
def test_faults_are_value_errors_that_name_the_line(text: str, said: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_yaml(text)
    assert not isinstance(error.value, yaml.YAMLError)
    assert said in str(error.value)


PLAIN = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["on", "1e-3", "010", "null", "", "2024-01-01", "- a", "a: b", "#x", "\x85", "\u2028", "<<", "="]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(PLAIN, VALUES, max_size=3))
def test_what_is_written_is_read_back(value: dict[str, object]) -> None:
    assert parse_yaml(dump_yaml(value)) == value


def test_equal_lists_are_written_twice() -> None:
    shared = [1, 2]
    assert "&" not in dump_yaml({"a": shared, "b": shared})
