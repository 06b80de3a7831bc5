"""Files of prompts to label: one per line of a text file, or the rows of JSON Lines, JSON, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.errors import InputError, did_you_mean
from data_processing.characters import whole_characters
from data_processing.importers.describe import plural
from data_processing.questions.raw import ENDINGS, read_rows

FIELDS = ("query", "prompt")  # the first that a row has


def read_prompts(path: Path) -> tuple[dict[str, str], list[str]]:
    """Return prompt -> query_id, "" where the file has none, in the order of the file, and notes.

    A prompt that comes again is left out. Raises as `prompt_rows` does.
    """
    rows = prompt_rows(path)
    prompts: dict[str, str] = {}
    for text, query_id in rows:
        prompts.setdefault(text, query_id)
    repeated = len(rows) - len(prompts)
    return prompts, [f"{plural(repeated, 'repeated prompt')} left out"] if repeated else []


def prompt_rows(path: Path) -> list[tuple[str, str]]:
    """Return (prompt, query_id or "") of every row of a file, in its order, repeated ones too.

    A text file's blank lines are no prompts. Nothing in a prompt is read as anything but text. Raises `InputError` that
    names file and row where a row has no prompt or a blank one, or where the file is missing, damaged, of another
    ending, or holds no prompt.
    """
    ending = path.suffix.lower()
    if ending != ".txt" and ending not in ENDINGS:
        raise InputError(f"{path}: expected prompts in a file .txt or {', '.join(ENDINGS)}, got {ending!r}; convert it")
    rows = _lines(path) if ending == ".txt" else [_prompt(path, *row) for row in read_rows(path, None, "--prompts")]
    if not rows:
        raise InputError(f"{path}: expected at least one prompt, got none; write one per line")
    return rows


def _lines(path: Path) -> list[tuple[str, str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as err:
        raise InputError(f"{path}: expected a file of prompts, got: {err.strerror}; check the path") from err
    except UnicodeDecodeError as err:
        raise InputError(f"{path}: expected UTF-8 text, got: {err.reason}; save it as UTF-8") from err
    return [(line.strip(), "") for line in text.split("\n") if line.strip()]


def _prompt(path: Path, where: str, row: Mapping[str, Any]) -> tuple[str, str]:
    name = next((field for field in FIELDS if field in row), None)
    if name is None:
        known = [str(key) for key in row]
        hint = did_you_mean(FIELDS[0], known)
        raise InputError(
            f"{path}: {where}: expected a field 'query' or 'prompt', got {', '.join(known)}{hint}; rename one"
        )
    text = row[name]
    if not isinstance(text, str) or not text.strip():
        got = "a blank one" if isinstance(text, str) or text is None else type(text).__name__
        raise InputError(f"{path}: {where}: expected a text in {name!r}, got {got}; fill or remove the row")
    return whole_characters(text), str(row.get("query_id") or "")
