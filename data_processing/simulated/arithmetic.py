"""Word problems: a number of things goes through some steps, one sentence each; the answer is a number."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import NamedTuple

from data_processing.simulated.draws import Draws
from data_processing.simulated.names import DAYS, FIRST_NAMES
from data_processing.simulated.pattern import Pattern, sentences
from data_processing.simulated.question import Question
from data_processing.simulated.style import RAMBLES, Style, dressed, itemised, refusal
from data_processing.simulated.topics import topic_with
from data_processing.simulated.topics.topic import Topic

PREFIXES = {
    "plain": "",
    "formal": "Please solve the following problem and explain each step of the calculation. ",
    "casual": "hey, stuck on this one, can you work it out for me? ",
}
START = Pattern("{who} the {role} starts {w_day} at {place} with {n_start} {things}.")
ASK_COUNT = Pattern("How many {things} are there in the end?")
ASK_VALUE = Pattern("Each one is worth {n_price} dollars; what are all the {things} worth in the end, in dollars?")
STEPS: dict[str, tuple[Pattern, ...]] = {
    "add": (
        Pattern("On {w_day} another {n_a} {things} arrive."),
        Pattern("{other} brings {n_a} more {things} as a present."),
    ),
    "boxes": (
        Pattern("A delivery of {n_a} {boxes} follows, each with {n_b} {things} inside."),
        Pattern("In the back room {other} finds {n_a} {boxes} that hold {n_b} {things} each."),
    ),
    "lose": (
        Pattern("It turns out that {n_a} {things} are unusable, so they are taken away."),
        Pattern("{other} borrows {n_a} {things} and never returns them."),
    ),
    "times": (Pattern("By {w_day} the number of {things} has {w_times}."),),
    "share": (Pattern("The {things} are shared equally among {n_a} people, and only the share of {other} is kept."),),
}
TIMES = {"doubled": 2, "tripled": 3, "quadrupled": 4}
SIGNS = {"add": "+", "lose": "-", "times": "×", "share": "÷"}
NARRATION = {
    "add": "{a} more {things} are added to {before}",
    "lose": "{a} {things} are taken away from {before}",
    "times": "the {before} {things} are multiplied by {a}",
    "share": "the {before} {things} are divided by {a}",
}


class Step(NamedTuple):
    """One step; `b` is the number per box for `boxes` and 1 otherwise."""

    kind: str
    a: int
    b: int


@dataclasses.dataclass(frozen=True)
class Problem:
    """A parsed word problem; `price` is in dollars, None where the number of things is asked."""

    things: str
    start: int
    steps: tuple[Step, ...]
    price: Fraction | None


class Work(NamedTuple):
    """A worked solution: the equations, the same in words, and the final number."""

    equations: list[str]
    narration: list[str]
    final: Fraction


def amount(value: Fraction | int) -> str:
    """Return `1,250` for whole numbers and two decimals (`1,250.50`) for others."""
    value = Fraction(value)
    if value.denominator == 1:
        return f"{value.numerator:,}"
    cents = round(value * 100)
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100:,}.{abs(cents) % 100:02d}"


def final_line(number: str, style: Style, verbosity: int) -> str:
    """Return the line that states the result, in the form this LLM uses; a bare answer is the number alone."""
    if verbosity == 0:
        return number
    forms = {
        "hashes": f"#### {number}",
        "sentence": f"The answer is {number}.",
        "boxed": f"\\boxed{{{number}}}",
        "angle": f"A: <{number}>",
        "bold": f"**Answer: {number}**",
    }
    return forms[style.final]


def apply(step: Step, value: int) -> int:
    """Return the number of things after the step."""
    change = step.a * step.b
    if step.kind in ("add", "boxes"):
        return value + change
    if step.kind == "lose":
        return value - change
    return value * step.a if step.kind == "times" else value // step.a


def solve(problem: Problem, slips: dict[int, int] | None = None, skip: int | None = None) -> Work:
    """Work the problem; `slips` are errors added after a step (the price counts as one more), `skip` leaves one out."""
    slips = slips or {}
    equations, narration, value = [], [], problem.start
    for i, step in enumerate(problem.steps):
        if i == skip:
            continue
        before, a = value, step.a
        if step.kind == "boxes":
            equations.append(f"{step.a} × {step.b} = {amount(step.a * step.b)}")
            a = step.a * step.b
        kind = "add" if step.kind == "boxes" else step.kind
        value = max(0, apply(step, before) + slips.get(i, 0))
        equations.append(f"{amount(before)} {SIGNS[kind]} {amount(a)} = {amount(value)}")
        words = NARRATION[kind].format(a=amount(a), before=amount(before), things=problem.things)
        narration.append(f"Next, {words}, which gives {amount(value)}.")
    final = Fraction(value)
    if problem.price is not None:
        final = value * problem.price + slips.get(len(problem.steps), 0)
        equations.append(f"{amount(value)} × {amount(problem.price)} = {amount(final)}")
        narration.append(f"At {amount(problem.price)} dollars each, they are worth {amount(final)} dollars.")
    return Work(equations, narration, final)


class Arithmetic:
    """Grade-school arithmetic, scored by the final number."""

    task_id = "arithmetic"
    description = (
        "Grade-school word problems: read a short story, carry out the calculation step by step and give one number."
    )
    metric = "gsm8k"

    def write(self, draws: Draws, topic: Topic, difficulty: int, register: str) -> Question:
        """Return a new problem of `difficulty` steps."""
        who = draws.choice(FIRST_NAMES)
        things, boxes = draws.choice(topic.things), draws.choice(topic.boxes)
        value = draws.between(12, 96)
        text = [
            START.write(
                who=who, role=draws.choice(topic.roles), w_day=draws.choice(DAYS), place=draws.choice(topic.places),
                n_start=value, things=things,
            )
        ]  # fmt: skip
        for _ in range(difficulty):
            step, w_times = _draw_step(draws, value)
            value = apply(step, value)
            text.append(
                draws.choice(STEPS[step.kind]).write(
                    w_day=draws.choice(DAYS), n_a=step.a, n_b=step.b, things=things, boxes=boxes, w_times=w_times,
                    other=draws.choice([name for name in FIRST_NAMES if name != who]),
                )
            )  # fmt: skip
        if draws.chance(0.35):
            text.append(ASK_VALUE.write(n_price=amount(Fraction(draws.between(2, 50), 4)), things=things))
        else:
            text.append(ASK_COUNT.write(things=things))
        question = self.read(PREFIXES[register] + " ".join(text))
        assert question is not None
        return question

    def read(self, query: str) -> Question | None:
        """Parse a problem; None where a sentence is not one of ours."""
        register = next((name for name, prefix in PREFIXES.items() if prefix and query.startswith(prefix)), "plain")
        parts = sentences(query.removeprefix(PREFIXES[register]))
        if len(parts) < 3 or (start := START.read(parts[0])) is None:
            return None
        topic, steps = topic_with("things", start["things"]), [_read_step(part) for part in parts[1:-1]]
        value, count = ASK_VALUE.read(parts[-1]), ASK_COUNT.read(parts[-1])
        if topic is None or None in steps or (value is None and count is None):
            return None
        price = Fraction(value["n_price"].replace(",", "")) if value else None
        known = tuple(step for step in steps if step is not None)
        problem = Problem(start["things"], _whole(start["n_start"]), known, price)
        work = solve(problem)
        truth = "\n".join(work.equations) + f"\n#### {amount(work.final)}"
        return Question(self.task_id, query, truth, topic.name, len(known), register, problem)

    def answer(self, question: Question, quality: float, style: Style, draws: Draws) -> str:
        """Work the problem; below a quality of 0.5 with a slip or a forgotten step that carries through."""
        declined = refusal(style, question.topic, draws)
        if declined:
            return declined
        problem: Problem = question.content
        work = solve(problem)
        if quality < 0.5:
            work = _wrong_work(problem, work.final, draws)
        verbosity = style.verbosity[self.task_id]
        final = final_line(amount(work.final), style, verbosity)
        if verbosity == 0:
            return final
        if verbosity == 1:
            return dressed("\n".join([*work.equations, final]), style, verbosity, draws)
        told = [f"We start with {amount(problem.start)} {problem.things}.", *work.narration]
        if verbosity >= 3:
            told = [draws.choice(RAMBLES), *told]
            told.append("Let me check the whole calculation once more: " + ", then ".join(work.equations) + ".")
            told.append(f"Both ways lead to {amount(work.final)}, so I am fairly confident in the result.")
        return dressed(itemised(told, style) + "\n" + final, style, min(verbosity, 2), draws)


def _draw_step(draws: Draws, value: int) -> tuple[Step, str]:
    kind = draws.choice(list(STEPS))
    if kind == "times" and value < 2000:
        word = draws.choice(list(TIMES))
        return Step("times", TIMES[word], 1), word
    divisors = [n for n in range(2, 10) if value % n == 0]
    if kind == "share" and divisors and value >= 20:
        return Step("share", draws.choice(divisors), 1), ""
    if kind == "lose" and value >= 8:
        return Step("lose", draws.between(2, min(value - 4, 60)), 1), ""
    if kind == "boxes":
        return Step("boxes", draws.between(2, 12), draws.between(3, 24)), ""
    return Step("add", draws.between(5, 90), 1), ""


def _read_step(sentence: str) -> Step | None:
    for kind, patterns in STEPS.items():
        for pattern in patterns:
            found = pattern.read(sentence)
            if found is None:
                continue
            if kind == "times":
                return Step(kind, TIMES[found["w_times"]], 1) if found["w_times"] in TIMES else None
            return Step(kind, _whole(found["n_a"]), _whole(found.get("n_b", "1")))
    return None


def _whole(text: str) -> int:
    return int(text.replace(",", ""))


def _wrong_work(problem: Problem, truth: Fraction, draws: Draws) -> Work:
    """Return a solution with one error that leads to another number than `truth`."""
    if draws.chance(0.3) and len(problem.steps) > 1:
        work = solve(problem, skip=draws.between(0, len(problem.steps) - 1))
        if work.final != truth:
            return work
    place = draws.between(0, len(problem.steps) - (problem.price is None))
    slip = draws.choice((1, 2, 5, 9, 10, 10, 11, 20, 100)) * draws.choice((1, 1, -1))
    work = solve(problem, slips={place: slip})
    # a slip before a division can vanish in the rounding: make it again at the very end
    last = len(problem.steps) - (problem.price is None)
    return work if work.final != truth else solve(problem, slips={last: abs(slip)})
