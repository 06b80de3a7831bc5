"""What the schema allows, in words: for error messages and for the check of `configs/default.yaml`."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, Union

import pydantic
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

_TYPES = {str: "text", bool: "true or false", int: "a whole number", float: "a number", type(None): "null"}


def fields(model: type[pydantic.BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield (dotted key, field) of every section and every field below `model`, in the schema's order."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field
        section = section_of(field)
        if section is not None:
            yield from fields(section, f"{prefix}{name}.")


def section_of(field: FieldInfo) -> type[pydantic.BaseModel] | None:
    """Return the model of a field that is a section (perhaps nullable), None for a plain field."""
    union = typing.get_origin(field.annotation) in (Union, types.UnionType)
    for kind in (field.annotation, *(typing.get_args(field.annotation) if union else ())):
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            return kind
    return None


def allowed(field: FieldInfo) -> str:
    """Return what a field may be, such as `a whole number >= 20`, `one of 'choice', 'reward'` or `text or null`."""
    return _describe(field.annotation, field.metadata)


def allowed_item(field: FieldInfo) -> str:
    """Return what one item of a list may be; for a field that is no list, the same as `allowed`."""
    item = _item(field)
    return allowed(field) if item is None else _describe(item)


def item_section_of(field: FieldInfo) -> type[pydantic.BaseModel] | None:
    """Return the model of a field that is a list of sections (perhaps nullable), None for any other."""
    item = _item(field)
    return item if isinstance(item, type) and issubclass(item, pydantic.BaseModel) else None


def _item(field: FieldInfo) -> Any:
    """Return the annotation of a list's items, None for a field that is no list."""
    kinds = [field.annotation, *typing.get_args(field.annotation)]
    lists = [kind for kind in kinds if typing.get_origin(kind) in (tuple, list)]
    return typing.get_args(lists[0])[0] if lists else None


def literals(field: FieldInfo) -> list[Any]:
    """Return the values that a field's `Literal`s list, also inside a tuple; empty where there are none."""
    return list(_literals(field.annotation))


def _literals(kind: Any) -> Iterator[Any]:
    if typing.get_origin(kind) is Literal:
        yield from typing.get_args(kind)
    else:
        for part in typing.get_args(kind):
            yield from _literals(part)


def _describe(kind: Any, metadata: typing.Iterable[Any] = ()) -> str:
    if typing.get_origin(kind) is typing.Annotated:
        inner, *extra = typing.get_args(kind)
        return _describe(inner, [*_flatten(extra), *metadata])
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(repr, parts))}" if len(parts) > 1 else repr(parts[0])
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(part, () if part is type(None) else metadata) for part in parts)
    if origin in (tuple, list):
        least = [rule.min_length for rule in metadata if isinstance(rule, MinLen)]
        items = [_describe(part) for part in parts if part is not Ellipsis]
        size = f"of at least {least[0]} " if least else ""
        exact = f"of {len(items)} " if origin is tuple and Ellipsis not in parts else ""
        return f"a list {size}{exact}({', '.join(items)} each)"
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        return f"a section with {', '.join(kind.model_fields)}"
    return f"{_TYPES.get(kind, str(kind))}{_rules(metadata)}"


def _flatten(metadata: typing.Iterable[Any]) -> Iterator[Any]:
    for rule in metadata:
        if isinstance(rule, FieldInfo):
            yield from rule.metadata
        else:
            yield rule


def _rules(metadata: typing.Iterable[Any]) -> str:
    words = []
    for rule in metadata:
        for kind, name, sign in ((Ge, "ge", ">="), (Gt, "gt", ">"), (Le, "le", "<="), (Lt, "lt", "<")):
            if isinstance(rule, kind):
                words.append(f"{sign} {getattr(rule, name)}")
        if isinstance(rule, MinLen):
            words.append(f"of at least {rule.min_length} characters")
        pattern = getattr(rule, "pattern", None)
        if pattern is not None:
            words.append(f"that matches {pattern}")
    return f" {' and '.join(words)}" if words else ""
