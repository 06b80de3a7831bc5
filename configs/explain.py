"""What the configuration allows, in words: read from the schema, so that an error message can never be out of date."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from configs.errors import did_you_mean
from configs.schema import Config
from configs.yaml_text import show

Schema = dict[str, Any]


def fields() -> dict[str, Schema]:
    """Return dotted key -> JSON schema of every field of `Config`, sections before what is in them."""
    whole = Config.model_json_schema()
    found: dict[str, Schema] = {}

    def walk(schema: Schema, prefix: str) -> None:
        for name, field in schema["properties"].items():
            field = _resolve(field, whole)
            found[prefix + name] = field
            if "properties" in field:
                walk(field, f"{prefix}{name}.")

    walk(whole, "")
    return found


def is_section(schema: Schema) -> bool:
    """Say whether a field holds keys of its own."""
    return "properties" in schema


def allowed(schema: Schema) -> str:
    """Return what a field takes: ``an integer >= 8``, ``one of 'auto', 'cpu'``, ``a list of a number in [0, 1]``."""
    if "anyOf" in schema:
        return " or ".join(allowed(option) for option in schema["anyOf"])
    if "const" in schema:
        return show(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(show(value) for value in schema['enum'])}"
    if is_section(schema):
        return f"a section with the keys {', '.join(schema['properties'])}"
    kind = schema.get("type")
    if kind == "array":
        items = f", each {allowed(schema['items'])}" if "items" in schema else ""
        return f"a list{_size(schema)}{items}"
    if kind == "string":
        return f"text that matches {schema['pattern']}" if "pattern" in schema else "text"
    if kind in ("integer", "number"):
        return ("an integer" if kind == "integer" else "a number") + _range(schema)
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "a value")


def unknown_key(key: str, known: dict[str, Schema]) -> str:
    """Return what is wrong with an unknown dotted key, with the nearest known one beside it or in another section."""
    prefix, _, name = key.rpartition(".")
    section = f"{prefix}." if prefix else ""
    siblings = [k.removeprefix(section) for k in known if k.startswith(section) and "." not in k[len(section) :]]
    hint = did_you_mean(name, siblings)
    if not hint:
        leaves = {k.rpartition(".")[2]: k for k, schema in known.items() if not is_section(schema)}
        near = difflib.get_close_matches(name, list(leaves), n=1, cutoff=0.8)
        hint = f" (did you mean {leaves[near[0]]!r}?)" if near else ""
    return f"{key}: unknown key{hint}, expected one of {', '.join(siblings)}"


def dotted(loc: Sequence[str | int]) -> str:
    """Return `users.preferences[2]` for `("users", "preferences", 2)`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _resolve(schema: Any, whole: Schema) -> Any:
    if isinstance(schema, list):
        return [_resolve(item, whole) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
    return {k: v if k in ("default", "enum") else _resolve(v, whole) for k, v in schema.items()}


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    left = f"[{low}" if low is not None else f"({above}" if above is not None else ""
    right = f"{high}]" if high is not None else f"{below})" if below is not None else ""
    if left and right:
        return f" in {left}, {right}"
    if left:
        return f" >= {low}" if low is not None else f" > {above}"
    if right:
        return f" <= {high}" if high is not None else f" < {below}"
    return ""


def _size(schema: Schema) -> str:
    low, high = schema.get("minItems"), schema.get("maxItems")
    if low is not None and low == high:
        return f" of {low} values"
    least = f" of at least {low} value{'s' if low != 1 else ''}" if low else ""
    return least + (f" of at most {high} values" if high is not None else "")
