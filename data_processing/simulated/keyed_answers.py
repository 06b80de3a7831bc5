"""Answers to questions of other people, made from their ground truth: right, partly right or wrong, as quality says."""

from __future__ import annotations

import dataclasses
import re
from decimal import Decimal
from fractions import Fraction

from data_processing.scoring import final_number, multiple_choice
from data_processing.simulated.arithmetic import amount, final_line
from data_processing.simulated.draws import Draws
from data_processing.simulated.extractive_qa import NOT_STATED
from data_processing.simulated.instruction import PLATITUDES
from data_processing.simulated.pattern import capitalised, sentences
from data_processing.simulated.question import Question
from data_processing.simulated.style import RAMBLES, Style, dressed, itemised, refusal
from data_processing.simulated.summarisation import ELABORATIONS

LETTERS = "ABCD"  # where a question does not show its options
LONGEST_POINT = 60  # words of one sentence that an answer takes over
_OPTION = re.compile(r"(?:^|(?<=\s))[(\[]?([A-J])[).:\]][ \t]+(\S[^\n]*)")
_CALCULATION = re.compile(r"<<([^<>=]*)=([^<>]*)>>")
_NAME = re.compile(r"[A-Z][\w'’-]*(?: (?:of |the )?[A-Z][\w'’-]*)*")
_FIGURE = re.compile(r"\d[\d,.]*\d|\d")
_OPPOSITES = {"yes": "no", "no": "yes", "true": "false", "false": "true"}
_CLAUSE = re.compile(r"(?<=[,;:])\s+")


@dataclasses.dataclass(frozen=True)
class Known:
    """What the key knows of a question: the right answer, and the text that wrong ones are taken from."""

    ground_truth: str
    source: str


class WorkedNumber:
    """Word problems; below a quality of 0.5 the last number is another one."""

    metric = "gsm8k"

    def answer(self, question: Question, quality: float, style: Style, draws: Draws) -> str:
        """Return steps and result in the LLM's style."""
        declined = refusal(style, question.topic, draws)
        if declined:
            return declined
        known: Known = question.content
        truth = final_number(known.ground_truth)
        assert truth is not None  # the key has no such question
        steps = _steps(known.ground_truth)
        value = truth
        if quality < 0.5:
            value, steps = _wrong_number(truth, steps, draws)
        verbosity = style.verbosity[question.task_id]
        final = final_line(_plain(value), style, verbosity)
        if verbosity == 0:
            return final
        if verbosity == 1:
            return dressed("\n".join([equation or words for words, equation in steps] + [final]), style, 1, draws)
        told = [words for words, _ in steps]
        if verbosity >= 3:
            told = [draws.choice(RAMBLES), *told, "I went through every step of this once more."]
        return dressed(itemised(told, style) + "\n" + final, style, 2, draws)


class Choice:
    """Multiple choice; below a quality of 0.5 another option."""

    metric = "multiple_choice"

    def answer(self, question: Question, quality: float, style: Style, draws: Draws) -> str:
        """Return the letter of an option, or its text where the ground truth is no letter."""
        known: Known = question.content
        options = dict(_OPTION.findall(known.source))
        letters = sorted(options) if len(options) > 1 else list(LETTERS)
        right = [letter for letter in letters if multiple_choice(letter, known.ground_truth)]
        if not right:
            others = [text.strip() for text in options.values() if text.strip() != known.ground_truth.strip()]
            return known.ground_truth if quality >= 0.5 else draws.choice(others or NOT_STATED)
        letter = right[0] if quality >= 0.5 else draws.choice([other for other in letters if other not in right])
        verbosity = style.verbosity[question.task_id]
        if verbosity == 0:
            return letter
        told = f"The answer is {letter}."
        return dressed(told, style, min(verbosity, 2), draws)


@dataclasses.dataclass(frozen=True)
class Span:
    """Short answers in the words of a text; below 0.5 a part of it or too much, below 0.35 another span or none."""

    metric: str

    def answer(self, question: Question, quality: float, style: Style, draws: Draws) -> str:
        """Return the span; an LLM that talks round it does so only where the metric forgives it."""
        known: Known = question.content
        span = known.ground_truth.strip()
        if quality < 0.35:
            span = _other_span(span, known.source, draws)
        elif quality < 0.5:
            span = _blurred(span, known.source, draws)
        verbosity = style.verbosity[question.task_id]
        if span in NOT_STATED or verbosity == 0:
            return span
        if verbosity == 1 or self.metric == "exact_match":
            return f"{span}."
        return dressed(f"The answer is {span}.", style, min(verbosity, 2), draws)


@dataclasses.dataclass(frozen=True)
class Sentences:
    """Texts; about `quality` of the reference's sentences, the others dropped or replaced by some of the question's."""

    metric: str

    def answer(self, question: Question, quality: float, style: Style, draws: Draws) -> str:
        """Return a text that keeps about as much of the reference as the quality says."""
        declined = refusal(style, question.topic, draws)
        if declined:
            return declined
        known: Known = question.content
        verbosity = style.verbosity[question.task_id]
        source = [_shortened(point) for point in sentences(known.source.replace("NEWLINE_CHAR", " "))] or [""]
        spare = source if len(source) > 3 else list(PLATITUDES)
        points = []
        for point in _points(known.ground_truth):
            if quality + 0.15 * draws.normal() > 0.45:
                points.append(point)
            elif draws.chance(0.6):
                points.append(draws.choice(spare))
        points = list(dict.fromkeys(points)) or [draws.choice(spare)]
        if verbosity == 0:
            points = points[: max(2, len(points) // 2)]
        if verbosity >= 2:
            points += [draws.choice(spare) for _ in range(verbosity - 1)] + [draws.choice(ELABORATIONS)]
        return dressed(itemised(points, style), style, verbosity, draws)


def _steps(truth: str) -> list[tuple[str, str]]:
    """Return (sentence, equation) of each line of a worked solution; the equation is empty where the line has none."""
    lines = [line.strip() for line in truth.split("####")[0].splitlines() if line.strip()]
    worked = [line for line in lines if len(lines) > 1 or not final_number(line) or len(line.split()) > 3]
    equations = [[f"{left.strip()} = {right.strip()}" for left, right in _CALCULATION.findall(line)] for line in worked]
    return [
        (_CALCULATION.sub("", line).replace("<", "").replace(">", ""), ", then ".join(found))
        for line, found in zip(worked, equations, strict=True)
    ]


def _wrong_number(
    truth: Fraction, steps: list[tuple[str, str]], draws: Draws
) -> tuple[Fraction, list[tuple[str, str]]]:
    """Return another number than the truth, and steps that lead to it: the last one forgotten, or with a slip."""
    if len(steps) > 1 and draws.chance(0.3):
        forgotten = final_number(steps[-2][1] or steps[-2][0])
        if forgotten is not None and forgotten != truth:
            return forgotten, steps[:-1]
    slip = draws.choice((1, 2, 5, 9, 10, 10, 11, 20, 100)) * draws.choice((1, 1, -1))
    value = truth + slip if truth + slip >= 0 else truth + abs(slip)
    if not steps:
        return value, steps
    words, equation = (text.replace(_plain(truth), _plain(value)) for text in steps[-1])
    return value, [*steps[:-1], (words, equation)]


def _plain(value: Fraction) -> str:
    """Return a number in full; `amount` would round beyond cents."""
    if (value * 100).denominator == 1:
        return amount(value)
    return f"{(Decimal(value.numerator) / Decimal(value.denominator)).normalize():f}"


def _other_span(truth: str, source: str, draws: Draws) -> str:
    """Return a span of the same kind that is not the right one: a figure for a figure, a name for a name."""
    if truth.lower() in _OPPOSITES:
        return _OPPOSITES[truth.lower()]
    taken = set(truth.lower().split())
    if _FIGURE.search(truth):
        found = _FIGURE.findall(source)
    elif truth[:1].isupper():
        found = _NAME.findall(source)
    else:
        words, length = source.split(), len(truth.split())
        found = [" ".join(words[i : i + length]) for i in range(0, len(words) - length + 1, max(1, length))]
    others = list(dict.fromkeys(span for span in found if not taken & set(span.lower().split())))
    return draws.choice(others) if others and draws.chance(0.85) else draws.choice(NOT_STATED)


def _blurred(truth: str, source: str, draws: Draws) -> str:
    words = truth.split()
    if len(words) > 1 and draws.chance(0.6):
        keep = max(1, len(words) // 2)
        return " ".join(words[-keep:] if draws.chance(0.5) else words[:keep])
    before = source.partition(truth)[0].split() if truth in source else ["it", "may", "well", "be"]
    return " ".join([*before[-4:], truth])


def _points(truth: str) -> list[str]:
    """Return the sentences of a text; the clauses where there are fewer than three."""
    found = [point for line in truth.splitlines() for point in sentences(line)]
    if len(found) < 3:
        found = [clause for point in found for clause in _CLAUSE.split(point)]
    return found


def _shortened(point: str) -> str:
    return capitalised(" ".join(point.split()[:LONGEST_POINT]))
