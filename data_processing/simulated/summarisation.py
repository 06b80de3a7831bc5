"""Articles to summarise: a few key facts between filler; the reference summary states each key fact briefly."""

from __future__ import annotations

import dataclasses

from data_processing.simulated.draws import Draws
from data_processing.simulated.names import DAYS, MONTHS, SURNAMES, TOWNS, person
from data_processing.simulated.pattern import Pattern, capitalised, sentences
from data_processing.simulated.question import Question
from data_processing.simulated.style import Style, dressed, itemised, refusal
from data_processing.simulated.topics import TOPICS, topic_with
from data_processing.simulated.topics.topic import Topic

PREFIXES = {
    "plain": "Summarise this article.\n\n",
    "formal": "Please summarise the following article in a fluent paragraph that keeps the key facts.\n\n",
    "casual": "can you boil this article down for me? no time to read it all\n\n",
}


@dataclasses.dataclass(frozen=True)
class Frame:
    """One kind of key fact: how an article tells it, how the reference summary puts it, and other ways to put it."""

    kind: str
    told: tuple[Pattern, ...]
    short: str
    reworded: tuple[str, ...]


FRAMES: tuple[Frame, ...] = (
    Frame(
        "event",
        (
            Pattern("The {org} of {town} will {action}, it said on {w_day} in a statement read out by {person}."),
            Pattern("In a statement on {w_day}, {person} said that the {org} of {town} will {action}."),
        ),
        "The {org} of {town} will {action}.",
        ("Plans by the {org} to {action} were made public.", "In {town}, a local body intends to {action}."),
    ),
    Frame(
        "cost",
        (
            Pattern("The work is expected to cost {n_cost} million dollars and to take {n_months} months."),
            Pattern("A budget paper puts the price at {n_cost} million dollars and the duration at {n_months} months."),
        ),
        "It will cost {n_cost} million dollars and take {n_months} months.",
        (
            "The bill comes to {n_cost} million, spread over {n_months} months.",
            "The budget is {n_cost} million dollars.",
        ),
    ),
    Frame(
        "cause",
        (
            Pattern("Officials explained the step with {cause}, which had been the talk of the town for weeks."),
            Pattern("What finally tipped the balance, according to {person}, was {cause}."),
        ),
        "The step follows {cause}.",
        ("The reason given was {cause}.", "The cause is said to be {cause}."),
    ),
    Frame(
        "critic",
        (
            Pattern("Speaking for {group}, {person} disagreed and warned that {risk}."),
            Pattern("{person}, who represents {group}, was less pleased: the fear is that {risk}."),
        ),
        "Critics among {group} warn that {risk}.",
        ("Some {group} object, fearing that {risk}.", "There is opposition: {risk}, say opponents."),
    ),
    Frame(
        "next",
        (
            Pattern("A final decision is due in {w_month} after a public hearing in {venue}."),
            Pattern("The matter goes to a public hearing in {venue} before a final decision in {w_month}."),
        ),
        "A final decision is due in {w_month} after a hearing in {venue}.",
        ("The last word will be spoken in {w_month}.", "Next comes a hearing in {venue}."),
    ),
)
ELABORATIONS = (
    "The matter has drawn a good deal of attention in the region.",
    "Observers will be following the next steps with interest.",
    "The article also describes the atmosphere in some detail.",
    "It remains to be seen how things will develop from here.",
)


@dataclasses.dataclass(frozen=True)
class Article:
    """A parsed article: its key facts as (kind, slots), in the order of `FRAMES`, and its filler sentences."""

    facts: tuple[tuple[str, dict[str, str]], ...]
    fillers: tuple[str, ...]


class Summarisation:
    """Summaries of one article, scored by ROUGE-L against a short reference."""

    task_id = "summarisation"
    description = (
        "Summaries of news articles: condense a passage of several sentences to its key facts in fluent prose."
    )
    metric = "rouge_l"

    def write(self, draws: Draws, topic: Topic, difficulty: int, register: str) -> Question:
        """Return a new article with `difficulty` + 1 key facts between filler."""
        slots = _draw_slots(draws, topic)
        later = sorted(draws.sample(range(1, len(FRAMES)), difficulty))
        keys = [draws.choice(FRAMES[i].told).write(**{**slots, "person": person(draws)}) for i in (0, *later)]
        fillers = draws.sample(topic.fillers, draws.between(2, 3 + difficulty))
        text = [keys.pop(0)]
        while keys or fillers:
            source = keys if keys and (not fillers or draws.chance(0.5)) else fillers
            text.append(source.pop(0))
        question = self.read(PREFIXES[register] + " ".join(text))
        assert question is not None
        return question

    def read(self, query: str) -> Question | None:
        """Parse an article; None where it is not ours or its event is unknown."""
        register = next((name for name, prefix in PREFIXES.items() if query.startswith(prefix)), None)
        if register is None:
            return None
        facts: dict[str, dict[str, str]] = {}
        fillers = []
        for sentence in sentences(query.removeprefix(PREFIXES[register])):
            found = _read_fact(sentence)
            if found:
                facts[found[0]] = found[1]
            else:
                fillers.append(sentence)
        topic = topic_with("actions", facts["event"]["action"]) if "event" in facts else None
        if topic is None:
            return None
        ordered = tuple((frame.kind, facts[frame.kind]) for frame in FRAMES if frame.kind in facts)
        truth = " ".join(_short(kind, slots) for kind, slots in ordered)
        content = Article(ordered, tuple(fillers))
        return Question(self.task_id, query, truth, topic.name, max(1, len(ordered) - 1), register, content)

    def answer(self, question: Question, quality: float, style: Style, draws: Draws) -> str:
        """State about `quality` of the key facts correctly; the others are dropped, garbled or replaced by filler."""
        declined = refusal(style, question.topic, draws)
        if declined:
            return declined
        content: Article = question.content
        verbosity = style.verbosity[self.task_id]
        points = []
        for kind, slots in content.facts:
            if quality + 0.15 * draws.normal() > 0.45:
                points.append(_reworded(kind, slots, style, quality, draws))
            elif draws.chance(0.6):
                points.append(_garbled(kind, slots, content, TOPICS[question.topic], draws))
        points = list(dict.fromkeys(points)) or [content.fillers[0] if content.fillers else ELABORATIONS[0]]
        if verbosity == 0:
            points = points[:2]
        if verbosity >= 2:
            unused = [filler for filler in content.fillers if filler not in points]
            points += draws.sample(unused, verbosity - 1)
            points.append(draws.choice(ELABORATIONS))
        return dressed(itemised(points, style), style, verbosity, draws)


def _draw_slots(draws: Draws, topic: Topic) -> dict[str, str]:
    towns = draws.sample(TOWNS, 2)
    return {
        "org": f"{draws.choice(SURNAMES)} {draws.choice(topic.org_kinds)}",
        "town": towns[0],
        "venue": towns[1],
        "action": draws.choice(topic.actions),
        "w_day": draws.choice(DAYS),
        "n_cost": str(draws.between(2, 98)),
        "n_months": str(draws.between(3, 40)),
        "cause": draws.choice(topic.causes),
        "group": draws.choice(topic.groups),
        "risk": draws.choice(topic.risks),
        "w_month": draws.choice(MONTHS),
    }


def _read_fact(sentence: str) -> tuple[str, dict[str, str]] | None:
    for frame in FRAMES:
        for pattern in frame.told:
            found = pattern.read(sentence)
            if found:
                return frame.kind, found
    return None


def _frame(kind: str) -> Frame:
    return next(frame for frame in FRAMES if frame.kind == kind)


def _short(kind: str, slots: dict[str, str]) -> str:
    return capitalised(_frame(kind).short.format(**slots))


def _reworded(kind: str, slots: dict[str, str], style: Style, quality: float, draws: Draws) -> str:
    own_words = style.paraphrase + 0.5 * max(0.0, 0.8 - quality)
    template = draws.choice(_frame(kind).reworded) if draws.chance(own_words) else _frame(kind).short
    return capitalised(template.format(**slots))


def _garbled(kind: str, slots: dict[str, str], content: Article, topic: Topic, draws: Draws) -> str:
    """Return a sentence that gets the fact wrong (other names and numbers), or a filler in its place."""
    if content.fillers and draws.chance(0.4):
        return draws.choice(content.fillers)
    return capitalised(draws.choice(_frame(kind).reworded).format(**{**slots, **_draw_slots(draws, topic)}))
