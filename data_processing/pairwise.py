"""Which questions need a strong model, from pairwise judgements of people: `python -m data_processing.pairwise …`.

Fits how strong the models are (Bradley–Terry), parts them into an inferior and a superior side, and ranks the questions
by how often the inferior side wins or ties. Reads files in the format of lmsys/mt_bench_human_judgments.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from configs.errors import InputError, did_you_mean
from data_processing.figure_text import without_glyph_warnings
from data_processing.importers.describe import plural
from data_processing.labelling import bradley_terry, plot
from data_processing.labelling.difficulty import Difficulty, borne_out, rank
from data_processing.labelling.judged_pairs import WINNERS, Votes, read_votes
from data_processing.labelling.labels import INFERIOR, SUPERIOR, Example, LabelPrompt
from data_processing.questions.shorten import shorten
from data_processing.stage import guarded, tell
from data_processing.workspace import whole

Z95 = 1.959964
EXAMPLE_TOKENS = 200  # longest example in the labelling prompt; of longer questions the first and the last half
SHOWN_MODELS = 12
PLOT_DPI = 130
EPILOG = f"""examples:
  python -m data_processing.pairwise --judgements human.parquet --output runs/mt_bench
  python -m data_processing.pairwise --judgements human.jsonl --output runs/mt_bench --superior gpt-4,claude-v1

A row has question_id, model_a, model_b, winner, judge, turn, and conversation_a: a list of messages with role and
content.
`winner` is one of {", ".join(WINNERS)}.

written into DIR:
  questions.jsonl   questions, easiest first: query, question_id, label ({INFERIOR} or {SUPERIOR}),
                    share, votes, shrunk_share, low, high, confidence
  strengths.csv     models, strongest first: model, side, strength (log odds), low, high, votes, wins, ties, losses,
                    group
  pairwise.png      both as figures
  prompt.txt        a prompt by which an LLM labels further questions; see python -m data_processing.label

exit codes: 0 done; 2 the input is wrong (one line says what to mend); 130 interrupted.
"""


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for. `inferior` and `superior` name models; with neither, the largest gap in strength parts them,
    with one of them the others are on the other side. `threshold` None: the one that parts questions about evenly."""

    judgements: Sequence[Path]
    output: Path
    inferior: Sequence[str] = ()
    superior: Sequence[str] = ()
    turn: int = 1
    threshold: float | None = None
    examples: int = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(argv)
    request = Request(
        options.judgements,
        options.output,
        _names(options.inferior),
        _names(options.superior),
        options.turn,
        options.threshold,
        options.examples,
    )
    return guarded(lambda: tell(run(request)))


def run(request: Request) -> list[str]:
    """Write the four files and return notes; raises `InputError` where the judgements or the request are wrong."""
    _check(request)
    votes = read_votes(request.judgements, request.turn)
    if (votes.table["ties"] == 1).all():
        raise InputError(
            f"--judgements: expected votes for one of two models, got {len(votes.table):,} ties and nothing else, by "
            "which no model is stronger; give more judgements"
        )
    given = _given_sides(request, votes)
    strengths = strength_table(votes.table, given)
    inferior = set(strengths.loc[strengths["side"] == "inferior", "model"])
    difficulty = rank(votes.table, inferior, request.threshold)
    prompt = LabelPrompt.of(clearest(difficulty.questions, request.examples))
    _write(request, strengths, difficulty, prompt)
    notes = [*votes.notes, *_told_strengths(strengths, given is not None), *_told_questions(difficulty, votes, prompt)]
    return [*notes, f"written: {request.output}/questions.jsonl, strengths.csv, pairwise.png, prompt.txt"]


def strength_table(votes: pd.DataFrame, given: set[str] | None = None) -> pd.DataFrame:
    """Return one row per model, strongest first, with its `side`: inferior where in `given`, superior elsewhere.

    Without `given` the largest gap in strength parts the sides; `InputError` where the votes do not connect all models,
    so that their strengths cannot be compared.
    """
    models = sorted({*votes["first"], *votes["second"]})
    rows, columns = (votes[name].map(models.index).to_numpy() for name in ("first", "second"))
    halves = votes["ties"].to_numpy() / 2
    wins, ties, met = (np.zeros((len(models), len(models))) for _ in range(3))
    np.add.at(wins, (rows, columns), votes["first_wins"].to_numpy())
    np.add.at(wins, (columns, rows), votes["second_wins"].to_numpy())
    np.add.at(ties, (rows, columns), halves)
    ties += ties.T
    met = wins + wins.T + 2 * ties
    found = bradley_terry.fit(wins + ties)
    table = pd.DataFrame(
        {
            "model": models,
            "side": "superior",
            "strength": found.values,
            "low": found.values - Z95 * found.errors,
            "high": found.values + Z95 * found.errors,
            "votes": met.sum(axis=1),
            "wins": wins.sum(axis=1),
            "ties": 2 * ties.sum(axis=1),
            "losses": wins.sum(axis=0),
            "group": found.group,
        }
    ).sort_values("strength", ascending=False, kind="stable", ignore_index=True)
    weak = _below_largest_gap(table) if given is None else table["model"].isin(given)
    table.loc[weak, "side"] = "inferior"
    return table


def clearest(questions: pd.DataFrame, per_label: int) -> list[Example]:
    """Return the questions whose labels are the surest, as many of each label, at most `per_label`, in turns.

    Only such as show their label (`borne_out`), and whose label is likelier right than wrong; raises `InputError` where
    a label has none.
    """
    shown = questions[borne_out(questions) & (questions["confidence"] > 0.5)]
    sides = [shown[shown["label"] == label] for label in (INFERIOR, SUPERIOR)]
    for label, side in zip((INFERIOR, SUPERIOR), sides, strict=True):
        if side.empty:
            raise _no_example(label, int((questions["label"] == label).sum()))
    count = min(per_label, *map(len, sides))
    best = [side.sort_values("confidence", ascending=False, kind="stable").head(count) for side in sides]
    rows = [row for pair in zip(*(side.itertuples() for side in best), strict=True) for row in pair]
    texts = shorten([str(row.query) for row in rows], EXAMPLE_TOKENS)
    return [Example(text, str(row.label)) for text, row in zip(texts, rows, strict=True)]


def _no_example(label: str, labelled: int) -> InputError:
    wanted = "won or tied" if label == INFERIOR else "lost"
    return InputError(
        f"--judgements: expected for prompt.txt questions labelled {label} where the inferior side {wanted} at least "
        f"once and the label is likelier right than wrong, got none among the {labelled:,} so labelled; choose other "
        "sides with --inferior and --superior, or a --threshold, or give more judgements"
    )


def _below_largest_gap(table: pd.DataFrame) -> np.ndarray:
    groups = [", ".join(own["model"]) for _, own in table.groupby("group")]
    if len(groups) > 1:
        raise InputError(
            "--judgements: expected votes that connect all models, got groups never compared with each other ("
            f"{'; '.join(groups)}), whose strengths cannot be compared; name the sides with --inferior and --superior"
        )
    gaps = -np.diff(table["strength"].to_numpy())
    return np.arange(len(table)) > int(gaps.argmax())


def _check(request: Request) -> None:
    if request.threshold is not None and not 0 < request.threshold < 1:
        raise InputError(f"--threshold: expected a share between 0 and 1, got {request.threshold:g}; such as 0.5")
    for flag, value in (("--turn", request.turn), ("--examples", request.examples)):
        if value < 1:
            raise InputError(f"{flag}: expected 1 or more, got {value}; change it")


def _given_sides(request: Request, votes: Votes) -> set[str] | None:
    """Return the inferior models where sides are given, None where they are not."""
    if not request.inferior and not request.superior:
        return None
    models = votes.models
    for flag, names in (("--inferior", request.inferior), ("--superior", request.superior)):
        for name in names:
            if name not in models:
                raise InputError(
                    f"{flag}: expected models of the judgements ({', '.join(models)}), got {name!r}"
                    f"{did_you_mean(name, models)}; mend it"
                )
    both = sorted(set(request.inferior) & set(request.superior))
    if both:
        raise InputError(f"--inferior, --superior: expected each model on one side, got {both[0]!r} on both; choose")
    inferior = set(request.inferior) or set(models) - set(request.superior)
    superior = set(request.superior) or set(models) - set(request.inferior)
    for flag, side in (("--inferior", inferior), ("--superior", superior)):
        if not side:
            raise InputError(f"{flag}: expected at least one model, got none: all are on the other side; take one off")
    _refuse_unknown(votes.table, inferior | superior)
    return inferior


def _refuse_unknown(votes: pd.DataFrame, known: set[str]) -> None:
    for vote in votes.itertuples():
        for name in (str(vote.first), str(vote.second)):
            if name not in known:
                raise InputError(
                    f"{vote.where}: expected models of --inferior or --superior, got {name!r}"
                    f"{did_you_mean(name, sorted(known))}; add it to one of them, or give only one of the two options"
                )


def _write(request: Request, strengths: pd.DataFrame, difficulty: Difficulty, prompt: LabelPrompt) -> None:
    with whole(request.output / "questions.jsonl") as part, part.open("w", encoding="utf-8") as file:
        for row in difficulty.questions.to_dict("records"):
            rounded = {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
            file.write(json.dumps(rounded, ensure_ascii=False) + "\n")
    with whole(request.output / "strengths.csv") as part:
        strengths.to_csv(part, index=False, float_format="%.6g")
    with whole(request.output / "prompt.txt") as part:
        part.write_text(prompt.text(), encoding="utf-8", newline="\n")
    figure = plot.draw(strengths, difficulty)
    with whole(request.output / "pairwise.png") as part, without_glyph_warnings():
        figure.savefig(part, format="png", dpi=PLOT_DPI)


def _told_strengths(table: pd.DataFrame, given: bool) -> list[str]:
    notes = []
    for side in ("superior", "inferior"):
        own = table[table["side"] == side]
        shown = [f"{row.model} ({row.strength:+.2f})" for row in own.head(SHOWN_MODELS).itertuples()]
        more = f" and {len(own) - len(shown)} more" if len(own) > len(shown) else ""
        notes.append(f"{side}: {', '.join(shown)}{more}")
    strong, weak = table[table["side"] == "superior"], table[table["side"] == "inferior"]
    if table["group"].nunique() > 1:
        notes.append("the votes do not connect all models: strengths compare only within a group of strengths.csv")
    elif given and strong["strength"].min() < weak["strength"].max():
        notes.append("the sides as given are not those of strength: some inferior model is the stronger one")
    elif not given and strong["low"].min() < weak["high"].max():
        notes.append(
            "the intervals of the two sides overlap, the gap may be chance; --inferior names sides of your own"
        )
    return notes


def _told_questions(difficulty: Difficulty, votes: Votes, prompt: LabelPrompt) -> list[str]:
    table = difficulty.questions
    counts = table["label"].value_counts()
    differ = f"questions differ by {100 * difficulty.spread:.0f} points (standard deviation) beyond chance"
    if table["votes"].max() == 1:
        differ = "with one vote per question nobody can tell how far questions differ, and every label is a guess"
    notes = [
        f"{plural(len(table), 'question')} with {plural(int(table['votes'].sum()), 'vote')} between the sides: "
        f"{counts[INFERIOR]:,} {INFERIOR} (the inferior side wins or ties in at least {difficulty.threshold:.0%}), "
        f"{counts[SUPERIOR]:,} {SUPERIOR}; of {(table['confidence'] >= 0.9).mean():.0%} the label is right with a "
        "probability of 0.9 or more",
        f"over all questions it wins or ties in {difficulty.mean_share:.0%} of the votes; {differ}",
        *_told_against(table),
        f"prompt.txt: {len(prompt.examples)} examples, the clearest of each label",
    ]
    if (left := votes.table["query"].nunique() - len(table)) > 0:
        notes.insert(1, f"{plural(left, 'question')} left out: no vote between the sides")
    return notes


def _told_against(questions: pd.DataFrame) -> list[str]:
    """Return a note on the questions whose label nothing that was counted shows, none where there are no such."""
    against = questions.loc[~borne_out(questions), "label"]
    hard, easy = int((against == SUPERIOR).sum()), int((against == INFERIOR).sum())
    parts = [f"{hard:,} {SUPERIOR} though the inferior side never lost there"] if hard else []
    parts += [f"{easy:,} {INFERIOR} though it never won or tied there"] if easy else []
    return [f"labelled against what was counted: {', '.join(parts)}; see --threshold"] if parts else []


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m data_processing.pairwise",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, default = out.add_argument, Request((), Path())
    add("--judgements", nargs="+", required=True, type=Path, metavar="FILE", help="JSON Lines, JSON or Parquet")
    add("--output", required=True, type=Path, metavar="DIR", help="folder for what is written; made where needed")
    add("--inferior", metavar="NAMES", help="models of the inferior side, with commas; the others are superior. "
        "Without it and --superior the largest gap in strength parts the sides")  # fmt: skip
    add("--superior", metavar="NAMES", help="models of the superior side, with commas")
    add("--turn", type=int, default=default.turn, metavar="N", help="turn of the conversations that was judged "
        "(default: %(default)s); of later turns all that the user said so far is the question")  # fmt: skip
    add("--threshold", type=float, metavar="SHARE", help="share of votes in which the inferior side wins or ties from "
        f"which on a question is {INFERIOR} (default: the one that parts the questions about evenly)")  # fmt: skip
    add("--examples", type=int, default=default.examples, metavar="N", help="examples of each label in prompt.txt "
        "(default: %(default)s)")  # fmt: skip
    return out


if __name__ == "__main__":
    sys.exit(main())
