"""Raw question files: JSON, JSON Lines, CSV or Parquet, read into questions by the mapping of a source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from configs.catalogue import SourceEntry
from configs.errors import InputError, did_you_mean
from data_processing.importers.reading import read_csv, read_json, read_jsonl
from data_processing.questions.multiple_choice import Choices, choices_of, letters
from data_processing.questions.template import FieldError, Row, Template, shown

ENDINGS = (".json", ".jsonl", ".csv", ".parquet")
CHOICES = "choices"  # the field of a query template that stands for the lettered lines


@dataclasses.dataclass(frozen=True)
class Question:
    """One question as it is asked. `choices` is a JSON list of texts, empty where there are none; `where` its row."""

    query: str
    ground_truth: str
    choices: str = ""
    where: str = ""


def read_questions(path: Path, source: SourceEntry, mapping: str) -> list[Question]:
    """Return the questions of a file, one per row and in its order.

    `mapping` names the source for messages: the file of tasks and the task. Raises `InputError` that names file, row
    and fields where a row does not fit the mapping, or where a question or a ground truth is blank.
    """
    query = Template.parse(source.query, f"{mapping}.query")
    truth = Template.parse(source.ground_truth, f"{mapping}.ground_truth")
    rows = read_rows(path, source.rows, mapping)
    own = {CHOICES} if source.choices is not None else set()
    _check_optional([name for name in (*query.names, *truth.names) if name not in own], rows, path, mapping)
    questions: list[Question] = []
    choices: list[Choices] = []
    for where, row in rows:
        try:
            filled = dict(row)
            if source.choices is not None:
                choices.append(choices_of(row, source.choices))
                filled[CHOICES] = choices[-1].lines()
            question = Question(query.fill(filled), truth.fill(row), "", where)
        except FieldError as err:
            raise InputError(f"{path}: {where}: {err} ({mapping})") from err
        for key in ("query", "ground_truth"):
            if not getattr(question, key).strip():
                raise InputError(
                    f"{path}: {where}: expected a {key}, got a blank one; fill or remove the row ({mapping}.{key})"
                )
        questions.append(question)
    return questions if source.choices is None else _lettered(questions, choices, source, path)


def read_rows(path: Path, inside: str | None, mapping: str) -> list[tuple[str, Row]]:
    """Return (place in the file, fields) of every row; `inside` is the dotted key of the lists that hold them.

    Where lists lie in lists (`data.paragraphs.qas`), a row has the fields of what it lies in, too. Raises `InputError`
    where the file is missing, damaged, empty, of an unknown ending, or holds no rows there.
    """
    try:
        path.open("rb").close()
    except OSError as err:
        raise InputError(
            f"{path}: expected a file of rows, got: {err.strerror}; put it there, or mend {mapping}"
        ) from err
    rows = _READERS[known_ending(path.name)](path, inside)
    if inside is not None:
        inner = [row for _, record in rows for row in _descend(record, inside.split("."), {}, path)]
        rows = [(f"row {number}", row) for number, row in enumerate(inner, 1)]
    if not rows:
        raise InputError(f"{path}: expected at least one row, got none; fetch the file again, or mend {mapping}")
    return rows


def known_ending(name: str) -> str:
    """Return the ending of a file's name that says how to read it; `InputError` for any other."""
    ending = Path(name).suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{name}: expected a file of rows ({', '.join(ENDINGS)}), got {ending!r}; convert it")
    return ending


def _json(path: Path, inside: str | None) -> list[tuple[str, Row]]:
    content = read_json(path)
    if isinstance(content, dict) and inside is not None:
        content = [content]
    if not isinstance(content, list):
        got = f"one object with {shown(content)}" if isinstance(content, dict) else type(content).__name__
        raise InputError(
            f"{path}: expected a list of records, got {got}; name the key that holds them with rows: <key>"
        )
    for number, record in enumerate(content, 1):
        if not isinstance(record, dict):
            raise InputError(f"{path}: row {number}: expected an object, got {type(record).__name__}; mend it")
    return _numbered(content)


def _jsonl(path: Path, inside: str | None) -> list[tuple[str, Row]]:
    return [(f"line {number}", record) for number, record in read_jsonl(path)]


def _csv(path: Path, inside: str | None) -> list[tuple[str, Row]]:
    table = read_csv(path)
    names = [str(name) for name in table.columns]
    return _numbered([dict(zip(names, row, strict=True)) for row in table.itertuples(index=False, name=None)])


def _parquet(path: Path, inside: str | None) -> list[tuple[str, Row]]:
    try:
        # Not read_table: it would take `a=b` in the path for a column.
        with pq.ParquetFile(path) as file:
            return _numbered(file.read().to_pylist())
    except (pa.ArrowException, UnicodeDecodeError, OSError) as err:
        raise InputError(
            f"{path}: expected a Parquet file, got: {err}; it is cut off or damaged: fetch it again"
        ) from err


_READERS = {".json": _json, ".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}


def _numbered(records: Sequence[Row]) -> list[tuple[str, Row]]:
    return [(f"row {number}", record) for number, record in enumerate(records, 1)]


def _descend(record: Row, keys: list[str], above: Row, path: Path) -> Iterator[Row]:
    fields = {**above, **record}
    if not keys:
        yield fields
        return
    inner = record.get(keys[0])
    if isinstance(inner, Mapping):
        inner = [inner]
    if not isinstance(inner, list) or not all(isinstance(item, Mapping) for item in inner):
        hint = did_you_mean(keys[0], [str(key) for key in record])
        raise InputError(
            f"{path}: expected a list of records at rows: {keys[0]!r}{hint}, got {shown(record)}; mend rows"
        )
    del fields[keys[0]]
    for item in inner:
        yield from _descend(item, keys[1:], fields, path)


def _check_optional(names: Sequence[str], rows: Sequence[tuple[str, Row]], path: Path, mapping: str) -> None:
    """Refuse a field that may be missing and always is: more likely its name is wrong."""
    for name in names:
        plain = name.removesuffix("?")
        if plain != name and not any({name, plain, plain.partition(".")[0]} & set(row) for _, row in rows):
            known = list(dict.fromkeys(str(key) for _, row in rows for key in row))
            raise InputError(
                f"{path}: expected a field {plain!r}{did_you_mean(plain, known)} in some row, got none; the fields are "
                f"{shown(dict.fromkeys(known))}; mend the mapping ({mapping})"
            )


def _lettered(
    questions: Sequence[Question], choices: Sequence[Choices], source: SourceEntry, path: Path
) -> list[Question]:
    truths, wheres = [question.ground_truth for question in questions], [question.where for question in questions]
    right = letters(truths, choices, wheres, source.truth_is, str(path))
    return [
        dataclasses.replace(question, ground_truth=letter, choices=of.as_json())
        for question, letter, of in zip(questions, right, choices, strict=True)
    ]
