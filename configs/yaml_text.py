"""YAML as this project reads and writes it: no surprises in scalars, no key twice, environment variables filled in.

PyYAML speaks YAML 1.1, where `on` is a bool, `010` is 8, `1:30` is 90 and `1e-3` is text. People mean YAML 1.2, so
only its scalars are read: `true`, `false`, `null`, decimal integers and floats, the rest is text.
"""

from __future__ import annotations

import os
import re
from typing import Any

import yaml

from configs.errors import InputError

_SCALARS = (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789")),
    (
        "float",
        re.compile(
            r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+.0123456789"),
    ),
    ("merge", re.compile(r"^<<$"), ["<"]),
)
_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")


class Expanded(str):
    """Text that came out of a variable: it may stand for a number where the field wants one."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - the name and the place are PyYAML's

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            if key_node.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(problem="expected a key that is text", problem_mark=key_node.start_mark)
            if key_node.value in seen:
                problem = f"the key {key_node.value!r} stands here a second time"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or the loader above would take for something else than text."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # Plain and single-quoted styles lose YAML's rarer line breaks: PyYAML folds them into a blank.
        style = '"' if any(c in text for c in "\x85\u2028\u2029\ufeff") else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)

for _kind, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _pattern, _first)
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _pattern, _first)


def parse_yaml(text: str, where: str) -> Any:
    """Return the one document in `text`; `InputError` names `where`, the line and the fault."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as err:
        line = f"line {err.problem_mark.line + 1}: " if err.problem_mark else ""
        fault = ", ".join(part for part in (err.context, err.problem) if part)
        raise InputError(f"{where}: expected YAML, got at {line}{fault}; mend that line") from err
    except (yaml.YAMLError, ValueError) as err:  # characters YAML forbids; integers of more than 4,300 digits
        raise InputError(f"{where}: expected YAML, got: {err}; mend it") from err
    except RecursionError as err:
        raise InputError(f"{where}: expected YAML, got values nested too deeply; mend it") from err


def compose_yaml(text: str) -> yaml.Node | None:
    """Return the node tree of `text`, which knows the line of every key."""
    return yaml.compose(text, Loader=_Loader)


def write_yaml(value: Any) -> str:
    """Return `value` as YAML that `parse_yaml` followed by `expand` reads back as it was; keys keep their order."""
    return yaml.dump(_escape(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def show(value: Any) -> str:
    """Return `value` as a person would write it in YAML, on one short line."""
    text = yaml.dump(_plain(value), Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10_000)
    text = text.removesuffix("...\n").strip() or "''"
    if isinstance(value, str) and not text.startswith(("'", '"')):
        text = f"'{text}'"
    return text if len(text) <= 80 else f"{text[:77]}…"


def expand(value: Any, key: str, where: str) -> Any:
    """Return `value` with `${NAME}` and `${NAME:-default}` filled in from the environment; `$${` writes a plain `${`.

    As in a shell, a variable that is set to nothing counts as unset. Raises `InputError` with file, key and name.
    """
    if isinstance(value, dict):
        return {k: expand(v, f"{key}.{k}" if key else k, where) for k, v in value.items()}
    if isinstance(value, list):
        return [expand(v, f"{key}[{i}]", where) for i, v in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def fill(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match[1], match[2]
        if name is None:
            raise InputError(
                f"{where}: {key}: expected ${{NAME}} or ${{NAME:-default}}, got {value!r}; "
                "close the brace, or write $${ for a plain ${"
            )
        found = os.environ.get(name) or default
        if found is None:
            raise InputError(
                f"{where}: {key}: the environment variable {name} is not set, got {value!r}; "
                f"export {name}=… first, or give the value with --set {key}=…"
            )
        return found

    return Expanded(_VARIABLE.sub(fill, value))


def _escape(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _escape(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_escape(v) for v in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, str) else value
