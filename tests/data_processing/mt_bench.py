"""Made-up human judgements in the shape of lmsys/mt_bench_human_judgments: 6 models, 80 questions, two turns."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_processing.simulated.draws import Draws

# Log odds against the mean model. On a hard question the strong ones keep their lead, on an easy one nobody has any.
STRENGTHS = {
    "gpt-4": 1.6,
    "claude-v1": 1.2,
    "gpt-3.5-turbo": 1.0,
    "vicuna-13b-v1.2": -0.2,
    "alpaca-13b": -1.5,
    "llama-13b": -2.1,
}
STRONG = ("gpt-4", "claude-v1", "gpt-3.5-turbo", "vicuna-13b-v1.2")
EASY_THINGS = ("a river", "a colour", "a season", "a fruit", "a bird", "a capital", "a song", "a flower")
EASY = ("Name {} you like.", "Describe {} to a child.", "Write one friendly line about {}.")
HARD_THINGS = ("the integral", "the recursion", "the theorem", "the algorithm", "the equation", "the matrix")
HARD = (
    "Prove that {} converges, and derive its exact bound step by step for every n above one.",
    "Implement {} in C++ without any loop, and analyse its complexity in the worst case.",
    "Derive {} from first principles and compute its value to five digits for x = 2.",
)

Row = dict[str, Any]


def questions(count: int = 80, seed: int = 0) -> list[tuple[str, bool]]:
    """Return (text, whether it is hard), half of them hard, all different."""
    found: dict[str, bool] = {}
    for number in range(10 * count):
        hard = len(found) % 2 == 1
        draws = Draws(seed, "question", number)
        text = draws.choice(HARD if hard else EASY).format(draws.choice(HARD_THINGS if hard else EASY_THINGS))
        found.setdefault(f"{text} ({draws.between(1, 99)})", hard)
        if len(found) == count:
            break
    return list(found.items())


def judgements(votes: int = 1600, seed: int = 0, asked: Sequence[tuple[str, bool]] = ()) -> list[Row]:
    """Return rows as the published file has them, both turns judged, a fifth of them ties."""
    asked, models, rows = asked or questions(), list(STRENGTHS), []
    for number in range(votes):
        draws = Draws(seed, "vote", number)
        place = number % len(asked)
        model_a, model_b = draws.sample(models, 2)
        text, hard = asked[place]
        lead = (STRENGTHS[model_a] - STRENGTHS[model_b]) * (1.6 if hard else 0.2)
        for turn in (1, 2):
            won = draws.chance(1 / (1 + math.exp(-lead)))
            winner = "tie" if draws.chance(0.2) else "model_a" if won else "model_b"
            rows.append(row(81 + place, text, model_a, model_b, winner, f"expert_{draws.between(0, 60)}", turn))
    return rows


def row(
    question_id: int | str, text: str, model_a: str, model_b: str, winner: str, judge: str = "expert_0", turn: int = 1
) -> Row:
    """Return one judgement; conversations have both turns, whichever is judged."""
    return {
        "question_id": question_id,
        "model_a": model_a,
        "model_b": model_b,
        "winner": winner,
        "judge": judge,
        "conversation_a": _conversation(text, model_a),
        "conversation_b": _conversation(text, model_b),
        "turn": turn,
    }


def _conversation(text: str, model: str) -> list[dict[str, str]]:
    said = (("user", text), ("assistant", f"{model} says."), ("user", "Say it again."), ("assistant", "Again."))
    return [{"content": content, "role": role} for role, content in said]


def write_jsonl(path: Path, rows: Iterable[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Sequence[Row]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path
