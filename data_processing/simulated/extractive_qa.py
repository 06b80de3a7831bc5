"""Passages with a question: the answer is a span of the passage."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

from data_processing.simulated.draws import Draws
from data_processing.simulated.names import SURNAMES, TOWNS, date, person
from data_processing.simulated.pattern import Pattern, sentences
from data_processing.simulated.question import Question
from data_processing.simulated.style import RAMBLES, Style, dressed, refusal
from data_processing.simulated.topics import TOPICS
from data_processing.simulated.topics.topic import Relation, Topic

FRAMES = {
    "plain": Pattern("{ask}\n\n{passage}"),
    "formal": Pattern("Please answer the question with the exact words of the passage. {ask}\n\nPassage: {passage}"),
    "casual": Pattern("quick one, just copy the bit from the text: {ask}\n\n{passage}"),
}
NOT_STATED = ("The passage does not say.", "not stated", "unknown")


class Fact(NamedTuple):
    """One fact of a passage."""

    subject: str
    relation: Relation
    answer: str
    sentence: str


@dataclasses.dataclass(frozen=True)
class Passage:
    """A parsed passage: its facts in order and the place of the one that is asked for."""

    facts: tuple[Fact, ...]
    asked: int

    @property
    def target(self) -> Fact:
        return self.facts[self.asked]


class ExtractiveQA:
    """Question answering by copying a span, scored by token F1: every needless word costs."""

    task_id = "extractive_qa"
    description = (
        "Reading comprehension: find the exact words of a short passage that answer the question, and give only those."
    )
    metric = "f1_score"

    def write(self, draws: Draws, topic: Topic, difficulty: int, register: str) -> Question:
        """Return a new passage about `difficulty` subjects, all of which state the fact that is asked for."""
        kind = draws.choice(topic.kinds)
        subjects = [f"{name} {kind}" for name in draws.sample(SURNAMES, difficulty)]
        asked = draws.choice(topic.relations)
        others = [relation for relation in topic.relations if relation is not asked]
        stated = [(subject, asked) for subject in subjects]
        stated += [(draws.choice(subjects), relation) for relation in draws.sample(others, draws.between(2, 3))]
        text = []
        for subject, relation in stated:
            text.append(relation.sentence.format(subject=subject, answer=_draw_span(relation, topic, draws)))
        text += draws.sample(topic.fillers, draws.between(0, 2))
        passage = " ".join(draws.sample(text, len(text)))
        ask = asked.question.format(subject=draws.choice(subjects))
        question = self.read(FRAMES[register].write(ask=ask, passage=passage))
        assert question is not None
        return question

    def read(self, query: str) -> Question | None:
        """Parse question and passage; None where they are not ours or the passage does not answer."""
        for register in ("formal", "casual", "plain"):
            found = FRAMES[register].read(query)
            asked = _read_question(found["ask"]) if found else None
            if found is None or asked is None:
                continue
            topic, relation, subject = asked
            facts = [fact for part in sentences(found["passage"]) if (fact := _read_fact(part, topic))]
            place = [i for i, fact in enumerate(facts) if fact.subject == subject and fact.relation is relation]
            if place:
                content = Passage(tuple(facts), place[0])
                difficulty = sum(fact.relation is relation for fact in facts)
                return Question(self.task_id, query, content.target.answer, topic.name, difficulty, register, content)
        return None

    def answer(self, question: Question, quality: float, style: Style, draws: Draws) -> str:
        """Copy the span; below 0.5 a part of it or too much, below 0.35 another span, an invention or none at all."""
        declined = refusal(style, question.topic, draws)
        if declined:
            return declined
        content: Passage = question.content
        span = content.target.answer
        if quality < 0.35:
            span = _wrong_span(content, TOPICS[question.topic], draws)
        elif quality < 0.5:
            span = _blurred_span(content.target, draws)
        verbosity = style.verbosity[self.task_id]
        if span in NOT_STATED or verbosity == 0:
            return span
        if verbosity == 1:
            return f"{span}."
        text = f"The answer is {span}."
        if verbosity >= 3:
            text = f'The passage says: "{content.target.sentence}" {draws.choice(RAMBLES)} So the answer is {span}.'
        return dressed(text, style, min(verbosity, 2), draws)


@functools.cache
def _patterns() -> list[tuple[Topic, Relation, Pattern, Pattern]]:
    return [
        (topic, relation, Pattern(relation.sentence), Pattern(relation.question))
        for topic in TOPICS.values()
        for relation in topic.relations
    ]


def _read_question(text: str) -> tuple[Topic, Relation, str] | None:
    for topic, relation, _, question in _patterns():
        found = question.read(text)
        if found:
            return topic, relation, found["subject"]
    return None


def _read_fact(sentence: str, topic: Topic) -> Fact | None:
    for owner, relation, stated, _ in _patterns():
        found = stated.read(sentence) if owner is topic else None
        if found:
            return Fact(found["subject"], relation, found["answer"], sentence)
    return None


def _draw_span(relation: Relation, topic: Topic, draws: Draws) -> str:
    if relation.answer_kind == "person":
        return person(draws)
    if relation.answer_kind == "date":
        return date(draws, topic.first_year)
    if relation.answer_kind == "town":
        return draws.choice(TOWNS)
    if relation.answer_kind == "parts":
        return " and ".join(draws.sample(topic.parts, 2))
    return draws.choice(topic.causes)


def _wrong_span(content: Passage, topic: Topic, draws: Draws) -> str:
    rivals = [fact.answer for fact in content.facts if fact.answer != content.target.answer]
    same = [f.answer for f in content.facts if f.relation is content.target.relation and f.answer in rivals]
    luck = draws.uniform()
    if luck < 0.6 and rivals:
        return draws.choice(same or rivals)
    if luck < 0.85:
        return _draw_span(content.target.relation, topic, draws)
    return draws.choice(NOT_STATED)


def _blurred_span(fact: Fact, draws: Draws) -> str:
    words = fact.answer.split(" ")
    if len(words) > 1 and draws.chance(0.6):
        keep = max(1, len(words) // 2)
        return " ".join(words[-keep:]) if draws.chance(0.5) else " ".join(words[:keep])
    lead = fact.sentence.rstrip(".").split(fact.answer)[0].split(" ")
    return " ".join([*lead[-4:], fact.answer]).replace("  ", " ").strip()
