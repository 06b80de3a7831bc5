"""Files of pairwise judgements, in the format of lmsys/mt_bench_human_judgments (arXiv 2306.05685), read into votes."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pandas as pd

from configs.errors import InputError, did_you_mean
from data_processing.characters import whole_characters
from data_processing.importers.describe import plural
from data_processing.questions.raw import read_rows

# Spelling of `winner` -> (model_a wins, model_b wins, tie). The first three are those of MT-bench; of GPT-4 as a judge
# and of Chatbot Arena come the others. A tie of two bad answers is a tie: the weaker model would have done as well.
WINNERS: dict[str, tuple[float, float, float]] = {
    "model_a": (1.0, 0.0, 0.0),
    "model_b": (0.0, 1.0, 0.0),
    "tie": (0.0, 0.0, 1.0),
    "A": (1.0, 0.0, 0.0),
    "B": (0.0, 1.0, 0.0),
    "tie (inconsistent)": (0.0, 0.0, 1.0),
    "tie (bothbad)": (0.0, 0.0, 1.0),
}
LIKE = 0.5  # how like a spelling must be to be hinted at, 1: the same
RESULTS = ["first_wins", "second_wins", "ties"]


@dataclasses.dataclass(frozen=True)
class Votes:
    """One row per (question, judge, pair of models).

    Columns: query, question_id, judge, first, second (models, by name), where (file and row of the vote), and
    first_wins, second_wins, ties, which sum to 1: what a judge said more than once is averaged. `notes` say what was
    merged or left out.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def models(self) -> list[str]:
        """Return the models that were compared, by name."""
        return sorted({*self.table["first"], *self.table["second"]})


def read_votes(paths: Sequence[Path], turn: int) -> Votes:
    """Return the votes on one turn of the conversations, 1 for the first.

    A question is its text, whatever its id: of turn 2, the first two messages of the user. Raises `InputError` that
    names file and row where a field is missing, a winner has another spelling, a model is compared with itself or a
    prompt is blank; and where no judgement is of this turn.
    """
    rows: list[dict[str, Any]] = []
    turns: Counter[int] = Counter()
    for path in paths:
        for where, row in read_rows(path, None, "--judgements"):
            place = f"{path}: {where}"
            turns[_turn(row, place)] += 1
            if _turn(row, place) == turn:
                rows.append(_vote(row, turn, place))
    if not rows:
        found = ", ".join(map(str, sorted(turns)))
        raise InputError(f"{paths[0]}: expected judgements of turn {turn}, got only those of {found}; give --turn")
    table = pd.DataFrame(rows)
    notes = [f"{plural(len(table), 'judgement')} of turn {turn} read"]
    if (others := turns.total() - turns[turn]) > 0:
        notes.append(f"{plural(others, 'judgement')} of other turns left out; --turn chooses one")
    first_id = table.groupby("query", sort=False)["question_id"].transform("first")
    if (other := table.loc[first_id != table["question_id"], "question_id"].nunique()) > 0:
        notes.append(f"{plural(other, 'question id')} left out: the same text has another id before; votes are joined")
    if (several := int((table.groupby("question_id")["query"].nunique() > 1).sum())) > 0:
        notes.append(f"{plural(several, 'question id')} with several texts: each text counts as a question")
    merged = _once_per_judge(table.assign(question_id=first_id))
    if len(merged) < len(table):
        repeats = plural(len(table) - len(merged), "repeated vote")
        notes.append(f"{repeats} joined: a judge counts once per question and pair of models, with the mean")
    return Votes(merged, tuple(notes))


def _once_per_judge(table: pd.DataFrame) -> pd.DataFrame:
    groups = table.groupby(["query", "question_id", "judge", "first", "second"], sort=False, as_index=False)
    return groups.agg({"where": "first", **dict.fromkeys(RESULTS, "mean")})


def _vote(row: Mapping[str, Any], turn: int, place: str) -> dict[str, Any]:
    model_a, model_b = (_text(row, name, place) for name in ("model_a", "model_b"))
    if model_a == model_b:
        raise InputError(f"{place}: expected two different models, got {model_a!r} twice; remove the row")
    a_wins, b_wins, ties = _result(row, place)
    turned = model_a > model_b  # one order for a pair, whichever was shown first
    judge = _field(row, "judge", place)
    return {
        "query": _query(row, turn, place),
        "question_id": _id(row, place),
        "judge": place if judge is None else str(judge),  # nobody knows who judged: each vote has a judge of its own
        "first": model_b if turned else model_a,
        "second": model_a if turned else model_b,
        "where": place,
        "first_wins": b_wins if turned else a_wins,
        "second_wins": a_wins if turned else b_wins,
        "ties": ties,
    }


def _field(row: Mapping[str, Any], name: str, place: str) -> Any:
    if name not in row:
        known = [str(key) for key in row]
        raise InputError(
            f"{place}: expected a field {name!r}{did_you_mean(name, known)}, got {', '.join(known)}; give a file in "
            "the format of lmsys/mt_bench_human_judgments"
        )
    return row[name]


def _text(row: Mapping[str, Any], name: str, place: str) -> str:
    value = _field(row, name, place)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise InputError(f"{place}: expected a name in {name!r}, got {value!r}; mend or remove the row")
    return whole_characters(str(value).strip())


def _id(row: Mapping[str, Any], place: str) -> str:
    value = _field(row, "question_id", place)
    if isinstance(value, float) and value.is_integer():  # what pandas makes of a column of whole numbers with a gap
        return str(int(value))
    return _text(row, "question_id", place)


def _turn(row: Mapping[str, Any], place: str) -> int:
    value = _field(row, "turn", place)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdecimal():
        raise InputError(f"{place}: expected a whole number in 'turn', got {value!r}; mend or remove the row")
    return int(value)


def _result(row: Mapping[str, Any], place: str) -> tuple[float, float, float]:
    winner = _field(row, "winner", place)
    found = WINNERS.get(winner.strip()) if isinstance(winner, str) else None
    if found is None:
        hint = _winner_meant(str(winner))
        raise InputError(
            f"{place}: expected in 'winner' one of {', '.join(map(repr, WINNERS))}, got {winner!r}{hint}; mend the row"
        )
    return found


def _winner_meant(winner: str) -> str:
    """Return a hint at the spelling that is the same but for case, spaces, hyphens and underscores, else at the most
    like one; an empty string where none is like it, or several are equally: a guess could turn the judgement round."""
    likeness = {name: SequenceMatcher(None, _folded(winner), _folded(name)).ratio() for name in WINNERS}
    best = max(likeness.values())
    nearest = [name for name, ratio in likeness.items() if ratio == best]
    return f" (did you mean {nearest[0]!r}?)" if best >= LIKE and len(nearest) == 1 else ""


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.casefold())


def _query(row: Mapping[str, Any], turn: int, place: str) -> str:
    """Return what the user said up to and with this turn."""
    messages = _field(row, "conversation_a", place)
    if not isinstance(messages, list) or not all(isinstance(message, Mapping) for message in messages):
        raise InputError(
            f"{place}: expected in 'conversation_a' a list of messages, each with role and content, got "
            f"{type(messages).__name__}; give JSON Lines or Parquet"
        )
    said = [message.get("content") for message in messages if message.get("role") == "user"][:turn]
    if len(said) < turn or not all(isinstance(text, str) and text.strip() for text in said):
        raise InputError(
            f"{place}: expected a prompt of the user in each turn up to {turn} of 'conversation_a', got an empty one "
            "or none; fill or remove the row"
        )
    return whole_characters("\n\n".join(text.strip() for text in said))
