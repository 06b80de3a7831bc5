"""Instructions: so many tips, steps or points on a subject for somebody, with some extra wishes."""

from __future__ import annotations

import dataclasses

from data_processing.simulated.draws import Draws
from data_processing.simulated.names import AUDIENCES, NUMBER_WORDS
from data_processing.simulated.pattern import Pattern, capitalised, sentences
from data_processing.simulated.question import Question
from data_processing.simulated.style import Style, dressed, itemised, refusal
from data_processing.simulated.topics import TOPICS, topic_with
from data_processing.simulated.topics.topic import Topic

PREFIXES = {"plain": "", "formal": "I would be grateful for your assistance. ", "casual": "hi there, need some help. "}


@dataclasses.dataclass(frozen=True)
class Form:
    """One kind of instruction and the sentence its reference answer opens with."""

    ask: Pattern
    opening: str


FORMS: dict[str, Form] = {
    "tips": Form(
        Pattern("Give {w_count} tips on {goal}, addressed to {audience}."),
        "Here are {w_count} tips on {goal} for {audience}.",
    ),
    "plan": Form(
        Pattern("Write a plan with {w_count} steps for {goal}, meant for {audience}."),
        "This plan for {goal} has {w_count} steps and suits {audience}.",
    ),
    "note": Form(
        Pattern("Draft a short note to {audience} about {goal} that makes {w_count} points."),
        "This note about {goal} is addressed to {audience}.",
    ),
}
WISHES: dict[str, str] = {
    "mistakes": "Mention one common mistake.",
    "examples": "Add an example.",
    "reasons": "Say why it matters.",
}
PLATITUDES = (
    "Take your time and stay positive throughout the process.",
    "Make sure that you have everything you need before you begin.",
    "Do some research and find out what works best for you.",
    "Practice makes perfect, so never give up.",
    "Set realistic expectations and enjoy the journey.",
    "Ask an expert whenever you feel unsure.",
)
ELABORATIONS = (
    "This is one of the most important points, so do not rush it.",
    "It may feel strange at the start, but it soon becomes a habit.",
    "Most people skip this, and most people regret it later.",
    "Even a few minutes spent on this will make a difference.",
    "There are several ways to go about it, depending on your situation.",
)


@dataclasses.dataclass(frozen=True)
class Request:
    """A parsed instruction; `points` are the tips of the reference answer, `extras` the sentences that meet wishes."""

    opening: str
    points: tuple[str, ...]
    extras: tuple[str, ...]


class Instruction:
    """Open instructions, scored by token F1 against a reference answer."""

    task_id = "instruction"
    description = (
        "Following everyday instructions: give advice, plans or short notes for a stated reader, with all wishes."
    )
    metric = "f1_score"

    def write(self, draws: Draws, topic: Topic, difficulty: int, register: str) -> Question:
        """Return a new instruction with `difficulty` - 1 wishes and `difficulty` + 1 to + 2 points."""
        wanted = [w for w in NUMBER_WORDS if NUMBER_WORDS[w] in (difficulty + 1, difficulty + 2)]
        ask = draws.choice(list(FORMS.values())).ask.write(
            w_count=draws.choice(wanted), goal=draws.choice(topic.goals), audience=draws.choice(AUDIENCES)
        )
        wishes = draws.sample(list(WISHES.values()), difficulty - 1)
        question = self.read(PREFIXES[register] + " ".join([ask, *wishes]))
        assert question is not None
        return question

    def read(self, query: str) -> Question | None:
        """Parse an instruction; None where a sentence of it is not ours."""
        register = next((name for name, prefix in PREFIXES.items() if prefix and query.startswith(prefix)), "plain")
        first, *wishes = sentences(query.removeprefix(PREFIXES[register])) or [""]
        for form in FORMS.values():
            slots = form.ask.read(first)
            topic = topic_with("goals", slots["goal"]) if slots else None
            if slots is None or topic is None or slots["w_count"] not in NUMBER_WORDS:
                continue
            if not all(wish in WISHES.values() for wish in wishes):
                return None
            content = _request(form, slots, topic, wishes)
            truth = " ".join([content.opening, *content.points, *content.extras])
            return Question(self.task_id, query, truth, topic.name, 1 + len(wishes), register, content)
        return None

    def answer(self, question: Question, quality: float, style: Style, draws: Draws) -> str:
        """Make about `quality` of the reference's points and meet as many wishes; pad with platitudes otherwise."""
        declined = refusal(style, question.topic, draws)
        if declined:
            return declined
        content: Request = question.content
        verbosity = style.verbosity[self.task_id]
        others = draws.sample([tip for tip in TOPICS[question.topic].tips if tip not in content.points], 6)
        platitudes = draws.sample(PLATITUDES, 6)
        points = []
        for point in content.points:
            if quality + 0.15 * draws.normal() > 0.4:
                points.append(point)
            else:
                points.append((others if draws.chance(quality) else platitudes).pop())
        extras = [extra for extra in content.extras if quality + 0.15 * draws.normal() > 0.5]
        if verbosity == 0:
            points = [" ".join(point.rstrip(".").split(" ")[:7]) + "." for point in points]
        elif verbosity >= 2:
            padding = draws.sample(ELABORATIONS, verbosity)
            points = [f"{point} {padding.pop()}" if padding else point for point in points]
        opening = content.opening if draws.chance(0.3 + 0.6 * quality) else "Sure, here is what comes to mind."
        text = "\n".join(part for part in (opening if verbosity else "", itemised(points, style), *extras) if part)
        return dressed(text if style.layout != "plain" else text.replace("\n", " "), style, verbosity, draws)


def _request(form: Form, slots: dict[str, str], topic: Topic, wishes: list[str]) -> Request:
    """Return the reference; which tips it takes depends on the goal and the reader, as the author's taste would."""
    taste = Draws("reference", slots["goal"], slots["audience"])
    points = taste.sample(topic.tips, NUMBER_WORDS[slots["w_count"]])
    fields = [field for wish in wishes for field, text in WISHES.items() if text == wish]
    extras = tuple(taste.choice(getattr(topic, field)) for field in fields)
    return Request(capitalised(form.opening.format(**slots)), tuple(points), extras)
