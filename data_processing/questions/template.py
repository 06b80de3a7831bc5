"""Texts made from the fields of a row: `{instruction}{input}`, or `{answers.text.0}` for a field inside a field."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from configs.errors import InputError, did_you_mean

# A field's name is what stands between two braces: column names may hold blanks and any punctuation.
_PART = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]+)\}|[{}]")
_SHOWN_FIELDS = 12
_MISSING = object()

Row = Mapping[str, Any]


class FieldError(Exception):
    """A row lacks what a mapping names; the message says what was expected and got, the caller knows file and row."""


@dataclasses.dataclass(frozen=True)
class Template:
    """A text with fields to fill in: `parts` are (text before the field, field's name), `end` the text after them."""

    parts: tuple[tuple[str, str], ...]
    end: str

    @classmethod
    def parse(cls, text: str, where: str) -> Template:
        """Read a template; `{{` and `}}` are written braces. A brace of no pair is an `InputError` that opens with
        `where`."""
        parts: list[tuple[str, str]] = []
        before, place = "", 0
        for match in _PART.finditer(text):
            before, place = before + text[place : match.start()], match.end()
            if match["name"] is not None:
                parts.append((before, match["name"]))
                before = ""
            elif len(match[0]) == 2:
                before += match[0][0]
            else:
                raise InputError(
                    f"{where}: expected fields as {{name}}, got a lone {match[0]!r} in {text[:80]!r}; "
                    f"write {match[0] * 2} for a brace that is text"
                )
        return cls(tuple(parts), before + text[place:])

    @property
    def names(self) -> list[str]:
        """Return the names of the fields, in order."""
        return [name for _, name in self.parts]

    def fill(self, row: Row) -> str:
        """Return the text for one row. What a field holds is never read as a template itself.

        Raises `FieldError` where the row lacks a field, or where a field is no text or number.
        """
        return "".join(before + field_text(row, name) for before, name in self.parts) + self.end


def field_text(row: Row, name: str) -> str:
    """Return field `name` of a row as text; a name that ends in `?` may be missing and is then an empty text."""
    value = _look_up(row, name)
    if value is _MISSING and name.endswith("?"):
        value = _look_up(row, name[:-1])
        if value is _MISSING:
            return ""
    if value is _MISSING:
        raise FieldError(_lacks(row, name))
    return value_text(value, name)


def field_value(row: Row, name: str) -> Any:
    """Return field `name` of a row as it is; raises `FieldError` where there is none."""
    value = _look_up(row, name)
    if value is _MISSING:
        raise FieldError(_lacks(row, name))
    return value


def value_text(value: Any, name: str) -> str:
    """Return a plain value as text, numbers and true/false as JSON writes them; raises `FieldError` for lists and such.

    `name` is the field's, for the message.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | decimal.Decimal | datetime.date | datetime.time):
        return str(value)
    if isinstance(value, Mapping):
        first = next(iter(value), "name")
        raise FieldError(
            f"expected text in field {name!r}, got a mapping with {shown(value)}; name a part, such as "
            f"{{{name}.{first}}}"
        )
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        raise FieldError(
            f"expected text in field {name!r}, got a list of {len(value)}; name a place in it, such as {{{name}.0}}"
        )
    raise FieldError(f"expected text in field {name!r}, got {type(value).__name__}; convert it to text")


def shown(row: Row) -> str:
    """Return the names of the fields, for a message."""
    names = [str(name) for name in row]
    more = f" and {len(names) - _SHOWN_FIELDS} more" if len(names) > _SHOWN_FIELDS else ""
    return (", ".join(names[:_SHOWN_FIELDS]) or "no fields") + more


def is_null(value: Any) -> bool:
    """Return whether a value stands for none: null, or NaN, which JSON and Parquet writers leave for it."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _look_up(value: Any, name: str) -> Any:
    """Return what `name` leads to, `_MISSING` where nothing or null is. A key that holds dots wins over a path."""
    if isinstance(value, Mapping):
        parts = name.split(".")
        for size in range(len(parts), 0, -1):
            key = ".".join(parts[:size])
            if key in value:
                return _inside(value[key], parts[size:])
        return _MISSING
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        first, _, rest = name.partition(".")
        if first.isdecimal() and int(first) < len(value):
            return _inside(value[int(first)], [rest] if rest else [])
    return _MISSING


def _inside(value: Any, rest: list[str]) -> Any:
    if rest:
        return _look_up(value, ".".join(rest))
    return _MISSING if is_null(value) else value


def _lacks(row: Row, name: str) -> str:
    plain = name.removesuffix("?")
    if plain in row:
        return f"expected a value in field {plain!r}, got null; fill it, or write {{{plain}?}} where it may be missing"
    first = plain.partition(".")[0]
    if first in row:
        inside = row[first]
        got = f"a list of {len(inside)}" if isinstance(inside, list) else None
        got = got or (f"a mapping with {shown(inside)}" if isinstance(inside, Mapping) else f"{str(inside)[:40]!r}")
        return f"expected a field {name!r}, got in {first!r} {got}; mend the mapping"
    hint = did_you_mean(name, [str(key) for key in row])
    return f"expected a field {name!r}{hint}, got the fields {shown(row)}; mend the mapping"
