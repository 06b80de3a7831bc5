"""Personas: users who read answers and pick one. Named ones come from a file, any number of others are drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pydantic
from pydantic import Field

from configs.errors import InputError, did_you_mean
from configs.schema import Section, Users, project_root
from configs.yaml_dialect import parse_yaml
from data_processing.response_features import FEATURES
from data_processing.tables import conform

CONCENTRATION = 0.5  # of the Dirichlet distribution: below 1, so that most people care about few things
MAIN, MENTIONED = 0.35, 0.08  # shares of all weight from which on a taste leads, or is told at all
_SEED_BITS = 2**64 - 1

# feature -> how a person who likes it, or dislikes it, would say so
WORDS: dict[str, tuple[str, str]] = {
    "length": ("long, thorough answers", "short answers"),
    "steps": ("reasoning spelt out step by step", "the result without the steps that lead to it"),
    "formulas_and_code": ("formulas and code", "plain words without formulas or code"),
    "lists": ("points set out as lists", "running text without lists"),
    "readability": ("easy words and short sentences", "demanding language with long sentences"),
    "warmth": ("a warm, friendly tone", "a sober tone without courtesies"),
    "hedging": ("doubts and limits said openly", "firm statements without ifs and buts"),
    "overlap": ("answers in the words of the question", "answers in words other than those of the question"),
    "correctness": ("answers that are right", ""),
}


@dataclasses.dataclass(frozen=True)
class Persona:
    """One judging user. `description` is a judge LLM's system prompt; `weights` (F,) are signed, as `FEATURES`."""

    user_id: str
    description: str
    weights: tuple[float, ...]


class _Entry(Section):
    user_id: Annotated[str, Field(pattern=r"\S")]
    description: Annotated[str, Field(pattern=r"\S")]
    weights: dict[str, Annotated[float, Field(ge=-1000, le=1000)]]


def make_personas(config: Users) -> list[Persona]:
    """Return the personas of a configuration: `users.personas` drawn ones, or those of a file where that is null."""
    if config.personas is None:
        path = Path(config.personas_file) if config.personas_file else project_root() / "configs" / "personas.yaml"
        return named_personas(path)
    if config.personas_file is not None:
        raise InputError(
            f"users.personas: expected either a number of personas to draw or users.personas_file, got "
            f"{config.personas} and {config.personas_file}; set one of them to null"
        )
    return generated_personas(config.personas, config.persona_seed)


def persona_users(personas: list[Persona]) -> pd.DataFrame:
    """Return the table `users` of these personas: kind 'persona', no preference."""
    return conform(
        "users",
        pd.DataFrame(
            {
                "user_id": [persona.user_id for persona in personas],
                "kind": "persona",
                "preference": np.nan,
                "persona": [persona.description for persona in personas],
            }
        ),
    )


def generated_personas(count: int, seed: int) -> list[Persona]:
    """Return `count` drawn personas; the i-th is the same however many are drawn.

    Sizes of weights are Dirichlet with `CONCENTRATION`, so they sum to 1. A style may be liked or disliked, with equal
    chance; being right is never disliked.
    """
    return [_drawn(number, seed) for number in range(1, count + 1)]


def _drawn(number: int, seed: int) -> Persona:
    rng = np.random.default_rng([seed & _SEED_BITS, number])
    sizes = rng.dirichlet(np.full(len(FEATURES), CONCENTRATION))
    signs = np.where(rng.random(len(FEATURES)) < 0.5, -1.0, 1.0)
    signs[FEATURES.index("correctness")] = 1.0
    weights = tuple(float(weight) for weight in sizes * signs)
    # Four digits whatever the count, for choices are drawn from the id.
    return Persona(f"persona_{number:04d}", describe(weights), weights)


def describe(weights: tuple[float, ...]) -> str:
    """Return in one to three sentences what these weights (F,), not all zero, like and dislike, the largest first."""
    shares = np.abs(weights) / np.abs(weights).sum()
    order = [int(index) for index in np.argsort(-shares, kind="stable")]
    told = [index for index in order if shares[index] >= MENTIONED] or order[:1]
    main = [index for index in told if shares[index] >= MAIN] or told[:1]
    text = f"You compare answers to a question. What you want above all: {_listed(main, weights)}."
    if rest := [index for index in told if index not in main]:
        text += f" You also like, in this order: {_listed(rest, weights)}."
    if FEATURES.index("correctness") not in told:
        text += " Whether an answer is right matters little to you."
    return text


def _listed(indices: list[int], weights: tuple[float, ...]) -> str:
    return "; ".join(WORDS[FEATURES[index]][0 if weights[index] >= 0 else 1] for index in indices)


def named_personas(path: Path) -> list[Persona]:
    """Return the personas of a YAML file in the format of `configs/personas.yaml`, in its order.

    Raises `InputError` naming the file, the persona and the key, where something is missing, unknown or not a number,
    where all weights are zero, or where a name stands twice.
    """
    path = Path(path)
    personas: dict[str, Persona] = {}
    for number, item in enumerate(_entries(path), 1):
        persona = _persona(path, number, item)
        if persona.user_id in personas:
            raise InputError(f"{path}: expected each user_id once, got {persona.user_id!r} again; rename one")
        personas[persona.user_id] = persona
    return list(personas.values())


def _entries(path: Path) -> list[Any]:
    try:
        content = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as err:
        raise InputError(f"{path}: expected a YAML file with a list 'personas', got: {err.strerror}; check it") from err
    except ValueError as err:  # bytes that are not UTF-8 as well
        raise InputError(f"{path}: expected YAML in UTF-8, got an error at {err}; mend it") from err
    entries = content.get("personas") if isinstance(content, dict) and list(content) == ["personas"] else None
    if not isinstance(entries, list) or not entries:
        raise InputError(
            f"{path}: expected one list 'personas' with at least one entry at the top, got something else; "
            "see configs/personas.yaml"
        )
    return entries


def _persona(path: Path, number: int, item: Any) -> Persona:
    name = item.get("user_id") if isinstance(item, dict) else None
    where = f"{path}: persona {name!r}" if isinstance(name, str) else f"{path}: personas entry {number}"
    try:
        entry = _Entry.model_validate(item)
    except pydantic.ValidationError as err:
        first = err.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the entry"
        got = "" if first["type"] == "missing" else f", got {str(first['input'])[:80]!r}"
        raise InputError(f"{where}, {key}: {first['msg']}{got}; mend it as in configs/personas.yaml") from err
    for feature in entry.weights:
        if feature not in FEATURES:
            raise InputError(
                f"{where}, weights: expected features, got {feature!r}{did_you_mean(feature, list(FEATURES))}; "
                f"known are {', '.join(FEATURES)}"
            )
    if not any(entry.weights.values()):
        raise InputError(
            f"{where}, weights: expected at least one number other than 0, got none; give one of {', '.join(FEATURES)}"
        )
    weights = tuple(float(entry.weights.get(feature, 0.0)) for feature in FEATURES)
    return Persona(entry.user_id.strip(), " ".join(entry.description.split()), weights)
