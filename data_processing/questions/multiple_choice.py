"""Multiple choice: choices as lettered lines, and the letter of the right one whatever a set gives for it."""

from __future__ import annotations

import dataclasses
import json
import string
from collections.abc import Mapping, Sequence
from typing import Any

from configs.errors import InputError
from data_processing.questions.template import FieldError, Row, field_text, field_value, value_text

LETTERS = string.ascii_uppercase
READINGS = ("letter", "index", "number", "text")


@dataclasses.dataclass(frozen=True)
class Choices:
    """The choices of one question; `labels` are the set's own names of them, which need not be letters."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]

    def lines(self) -> str:
        """Return one line per choice, lettered from A on: `A. text`."""
        return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, self.texts, strict=False))

    def as_json(self) -> str:
        """Return the texts as a JSON list, which is what column `choices` of table `queries` holds."""
        return json.dumps(self.texts, ensure_ascii=False)

    def letter(self, truth: str, reading: str) -> str | None:
        """Return the letter of the right choice, None where `truth`, read that way, names none or two.

        `letter`: the set's label, else a letter from A on; `index`: counted from 0; `number`: counted from 1; `text`:
        the choice itself.
        """
        truth = truth.strip()
        if reading in ("index", "number"):
            digits = truth.removesuffix(".0")
            place = int(digits) - (reading == "number") if digits.isdecimal() else -1
            return LETTERS[place] if 0 <= place < len(self.texts) else None
        names = self.labels if reading == "letter" else self.texts
        found = [i for i, name in enumerate(names) if _same(name, truth, reading)]
        return LETTERS[found[0]] if len(found) == 1 else None


def _same(name: str, truth: str, reading: str) -> bool:
    return name.strip() == truth or (reading == "letter" and name.strip().upper() == truth.upper())


def choices_of(row: Row, field: str | Sequence[str]) -> Choices:
    """Return the choices of a row: a list, a mapping of `label` and `text` lists, a list of such mappings, or the texts
    of several fields. A list may be written as JSON in a text. Raises `FieldError` where there are none.
    """
    if not isinstance(field, str):
        return _checked([field_text(row, name) for name in field], list(LETTERS), ", ".join(field))
    value = field_value(row, field)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise FieldError(f"expected a list of choices in field {field!r}, got the text {value[:40]!r}") from None
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        value = {key: [item.get(key) for item in value] for key in ("label", "text")}
    if isinstance(value, Mapping):
        texts, labels = (_list(value.get(key), key, field) for key in ("text", "label"))
        if len(texts) != len(labels):
            raise FieldError(f"expected a label for each choice in {field!r}, got {len(labels)} for {len(texts)}")
        return _checked(texts, labels, field)
    return _checked(_list(value, "", field), list(LETTERS), field)


def letters(
    truths: Sequence[str], choices: Sequence[Choices], wheres: Sequence[str], stated: str | None, file: str
) -> list[str]:
    """Return the letter of each question's right choice.

    A set names it in one way throughout, so the way is the one that reads every row; where several do and disagree,
    `stated` (`truth_is`) must say which. `wheres` name the rows. Raises `InputError` naming the first row that cannot
    be read.
    """
    read = {
        reading: [of.letter(truth, reading) for of, truth in zip(choices, truths, strict=True)]
        for reading in (READINGS if stated is None else (stated,))
    }
    whole = {reading: [letter for letter in found if letter] for reading, found in read.items() if None not in found}
    if not whole:
        row = max(found.index(None) for found in read.values())  # where the last way that still held gives up
        raise InputError(
            f"{file}: {wheres[row]}: expected ground_truth to name one of the choices by {stated or ', '.join(read)}, "
            f"got {truths[row][:60]!r} for {', '.join(map(repr, choices[row].texts))[:120]}; "
            "mend the row, the mapping, or truth_is"
        )
    (reading, first), *others = whole.items()
    for other, second in others:
        if first != second:
            row = next(i for i, (one, two) in enumerate(zip(first, second, strict=True)) if one != two)
            raise InputError(
                f"{file}: {wheres[row]}: expected one way to read ground_truth {truths[row][:60]!r}, got {first[row]} "
                f"as {reading} and {second[row]} as {other}; say which with truth_is: {' or '.join(whole)}"
            )
    return first


def _list(value: Any, key: str, field: str) -> list[str]:
    name = f"{field}.{key}" if key else field
    if not isinstance(value, list):
        raise FieldError(f"expected a list of choices in field {name!r}, got {type(value).__name__}")
    return [value_text(item, f"{name}.{i}") for i, item in enumerate(value)]


def _checked(texts: list[str], labels: list[str], field: str) -> Choices:
    if not 2 <= len(texts) <= len(LETTERS) or not all(text.strip() for text in texts):
        raise FieldError(f"expected 2 to {len(LETTERS)} choices in {field!r}, none blank, got {texts!r:.80}")
    return Choices(tuple(texts), tuple(labels[: len(texts)]))
