"""From a YAML file to a checked `Config`, and back: variables, `--set` overrides, and errors that say what to mend."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic

from configs.describe import allowed, allowed_item, fields, item_section_of, section_of
from configs.errors import InputError, did_you_mean
from configs.schema import Config
from configs.yaml_dialect import dump_yaml, parse_yaml

# `$${` is a written `${`; `${NAME}` and `${NAME:-default}` are variables.
_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<inside>[^}]*)(?P<end>\}?)")
_NAME = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)
_SHOWN_CHARACTERS = 80


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML configuration; `overrides` are `a.b=value`, the value being YAML, later ones win.

    `${NAME}` and `${NAME:-default}` in texts become the environment variable (an empty one counts as not
    set); `$${` stands for `${`. Keys that are left out have the schema's defaults. Raises `InputError`, one
    line for all problems, where the file, an override, a variable, a key or a value is wrong.
    """
    path = Path(path)
    data = _read(path)
    for override in overrides:
        _override(data, override)
    where = f"{path} with --set" if overrides else str(path)
    return _validated(expand_variables(data, where, ""), where)


def dump_config(config: Config) -> str:
    """Return the configuration as YAML with every key; `load_config` reads exactly the same back."""
    return dump_yaml(_escape(config.model_dump(mode="json")))


def with_overrides(config: Config, overrides: Sequence[str], where: str) -> Config:
    """Return `config` with `overrides` as `--set` takes them; `where` opens the error where one is wrong."""
    data = config.model_dump(mode="json")
    for override in overrides:
        _override(data, override)
    return _validated(data, where)


def _validated(data: dict[str, Any], where: str) -> Config:
    try:
        return Config.model_validate(_tuples(data))
    except pydantic.ValidationError as err:
        errors = err.errors(include_url=False)
        problems = dict.fromkeys(_problem(error) for error in errors if not _follows(error, errors))
        raise InputError(f"{where}: {'; '.join(problems)}") from err


def _follows(error: Mapping[str, Any], errors: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a list is too short only because pydantic leaves out its items that have errors of their own."""
    where = error["loc"]
    return error["type"] == "too_short" and any(
        len(other["loc"]) > len(where) and other["loc"][: len(where)] == where for other in errors
    )


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputError(f"{path}: expected a YAML configuration, found no file; check the path")
    if not path.is_file():
        raise InputError(f"{path}: expected a YAML configuration, got a folder; give the file in it")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise InputError(
            f"{path}: expected UTF-8 text, got byte {err.object[err.start]:#04x} at position {err.start}; "
            "save it as UTF-8"
        ) from err
    except OSError as err:
        raise InputError(f"{path}: expected a readable file, got: {err.strerror}; check its permissions") from err
    try:
        data = parse_yaml(text)
    except ValueError as err:
        raise InputError(f"{path}: expected YAML, got an error at {err}; mend it") from err
    if not isinstance(data, dict):
        got = "an empty file" if data is None else f"a {type(data).__name__}"
        raise InputError(
            f"{path}: expected keys such as 'name:' and 'data:' at the top, got {got}; see configs/default.yaml"
        )
    return data


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise InputError(f"--set: expected key=value such as train.epochs=50, got {override!r}; write it so")
    parts = key.split(".")
    model: type[pydantic.BaseModel] = Config
    target = data
    for depth, part in enumerate(parts):
        field = model.model_fields.get(part)
        if field is None:
            raise InputError(f"--set {key}: {_unknown(parts[:depth], part)}; mend the key")
        if depth == len(parts) - 1:
            break
        section = section_of(field)
        if section is None:
            raise InputError(f"--set {key}: {'.'.join(parts[: depth + 1])} has no keys below it; shorten the key")
        if not isinstance(target.get(part), dict):  # the file leaves the section out, or has something wrong there
            if target.get(part) is not None:
                raise InputError(
                    f"--set {key}: expected a section {'.'.join(parts[: depth + 1])!r} in the file, got "
                    f"{_show(target[part])}; mend the file"
                )
            target[part] = {}
        target, model = target[part], section
    try:
        target[parts[-1]] = parse_yaml(text)
    except ValueError as err:
        raise InputError(f"--set {key}: expected a YAML value, got {text!r} with an error at {err}; quote it") from err


def expand_variables(value: Any, where: str, key: str, settable: bool = True) -> Any:
    """Return a value of a YAML file with `${NAME}` and `${NAME:-default}` filled in, in all texts inside it.

    `where` (the file) and `key` open the `InputError` for a variable that is malformed or not set; `settable` says
    whether `--set` could give the key.
    """
    if isinstance(value, dict):
        return {
            name: expand_variables(inner, where, f"{key}.{name}" if key else name, settable)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [expand_variables(inner, where, f"{key}[{i}]", settable) for i, inner in enumerate(value)]
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, value, where, key, settable), value)
    return value


def _variable(match: re.Match[str], value: str, where: str, key: str, settable: bool) -> str:
    if match["inside"] is None:
        return "${"
    parsed = _NAME.fullmatch(match["inside"])
    if not match["end"] or parsed is None:
        raise InputError(
            f"{where}: {key}: expected ${{NAME}} or ${{NAME:-default}}, got {_show(value)}; mend it, "
            "or write $${ for a text that holds ${"
        )
    name, default = parsed["name"], parsed["default"]
    found = os.environ.get(name) or default
    if found is None:
        other = f", or give a value with --set {key}=…" if settable else ""
        raise InputError(
            f"{where}: {key}: expected the environment variable {name}, which is not set or empty; "
            f"run `export {name}=…` first{other} (${{{name}:-default}} in the file gives a default)"
        )
    return found


def _tuples(value: Any) -> Any:
    # The strict schema takes tuples, which a frozen configuration needs, where YAML only has lists.
    if isinstance(value, dict):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(_tuples(inner) for inner in value) if isinstance(value, list) else value


def _escape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _escape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_escape(inner) for inner in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def _problem(error: Mapping[str, Any]) -> str:
    """Return one problem as `key: expected …, got …`."""
    names: list[str] = []  # of sections, with their places in lists, and of the field
    model: type[pydantic.BaseModel] | None = Config
    entry: type[pydantic.BaseModel] | None = None  # the model where it is that of a section in a list
    field = None
    rest = list(error["loc"])  # what is left in the end are places in a list, or pydantic's own marks
    while rest and model is not None and rest[0] in model.model_fields:
        name = str(rest.pop(0))
        field = model.model_fields[name]
        model, entry = section_of(field), item_section_of(field)
        if entry is not None and len(rest) > 1 and isinstance(rest[0], int):
            name, model = f"{name}[{rest.pop(0)}]", entry
        names.append(name)
    if error["type"] == "extra_forbidden":
        return _unknown(names, str(rest[0]), entry)
    key = ".".join(names) + "".join(f"[{place}]" for place in rest if isinstance(place, int))
    if error["type"] == "missing" and field is not None:
        return f"{key}: expected {allowed(field)}, got nothing; add it"
    got = _show(error["input"])
    if error["type"] == "value_error":  # raised by a section's own check, in its own words
        return f"{key}: {error['ctx']['error']}" if key else str(error["ctx"]["error"])
    if field is None:
        return f"{key or 'the file'}: {error['msg']}, got {got}"
    return f"{key}: expected {allowed_item(field) if rest and isinstance(rest[0], int) else allowed(field)}, got {got}"


def _unknown(section: Sequence[str], name: str, entry: type[pydantic.BaseModel] | None = None) -> str:
    """Return what is wrong with key `name`; `entry` is the model of a section in a list, whose keys have no path."""
    prefix = "".join(f"{part}." for part in section)
    if entry is not None:
        here = list(entry.model_fields)
        return f"{prefix}{name}: unknown key{did_you_mean(name, here)}, known here: {', '.join(here)}"
    known = [key for key, _ in fields(Config)]
    here = [key[len(prefix) :] for key in known if key.startswith(prefix) and "." not in key[len(prefix) :]]
    hint = did_you_mean(name, here)
    if not hint:  # the right key in the wrong section, or a key near one of another section
        same = [key for key in known if key.rpartition(".")[2] == name]
        hint = f" (did you mean {same[0]!r}?)" if same else did_you_mean(f"{prefix}{name}", known)
    return f"{prefix}{name}: unknown key{hint}, known here: {', '.join(here)}"


def _show(value: Any) -> str:
    """Return a value as YAML would write it, texts in quotes, cut to one short line."""
    plain = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return plain[value]
    if isinstance(value, tuple):
        value = list(value)
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
