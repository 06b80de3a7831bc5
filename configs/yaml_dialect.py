"""The YAML that configurations are written in: version 1.2's plain values, and no key twice.

PyYAML follows YAML 1.1, where `on` is true, `1e-3` is text, `010` is eight and `12:30` is 750. Here only `true` and
`false` are booleans, every usual number is a number, and the rest is text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_PLAIN: tuple[tuple[str, str, str], ...] = (
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    (
        "float",
        r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+.0123456789",
    ),
)


class Loader(yaml.SafeLoader):
    """Reads the dialect; refuses a key that stands twice in one mapping, and keys that are not text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as in the base class

    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        """Build a dict; `deep` makes PyYAML refuse a mapping that contains itself."""
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"expected a name as key, got {key!r}; quote it", key_node.start_mark
                )
            if key in result:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands twice; remove one", key_node.start_mark
                )
            result[key] = self.construct_object(value_node, deep=True)
        return result

    def integer(self, node: yaml.ScalarNode) -> int:
        """Build an int in base ten."""
        return int(node.value)


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads back unchanged: text that would read as a number or boolean is quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal lists twice rather than as anchor and alias."""
        return True

    def text(self, value: str) -> yaml.ScalarNode:
        """Quote text with YAML's rarer line breaks: in the plain style PyYAML reads them back as a blank."""
        style = '"' if any(letter in value for letter in "\x85\u2028\u2029\ufeff") else None
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=style)


for _tag, _pattern, _first in _PLAIN:
    _regex = re.compile(_pattern)
    _letters: list[Any] = [letter if letter != "\0" else "" for letter in _first]
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _regex, _letters)
    # On top of YAML 1.1's own rules: what either version would take for something else is quoted.
    Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _regex, _letters)
Loader.add_constructor("tag:yaml.org,2002:map", Loader.mapping)
Loader.add_constructor("tag:yaml.org,2002:int", Loader.integer)
Dumper.add_representer(str, Dumper.text)


def parse_yaml(text: str) -> Any:
    """Return what `text` says as dicts, lists and plain values; raise `ValueError` with one line for bad YAML."""
    try:
        return yaml.load(text, Loader=Loader)
    except (yaml.YAMLError, RecursionError) as err:
        raise ValueError(_reason(err)) from err


def dump_yaml(data: dict[str, Any]) -> str:
    """Return `data` as YAML, keys in their order."""
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def _reason(err: Exception) -> str:
    if isinstance(err, yaml.MarkedYAMLError):
        mark = err.problem_mark or err.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return f"{where}{err.problem or err.context}"
    return str(err).splitlines()[0]
