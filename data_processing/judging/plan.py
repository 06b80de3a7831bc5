"""What is to be judged: which persona sees which answers, in which order, and which judgements are asked for again."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence

from configs.schema import Config
from data_processing.judging.shown_answers import ShownAnswers
from data_processing.personas import Persona, make_personas


@dataclasses.dataclass(frozen=True)
class Asking:
    """Answers shown to a persona in one order: number n is `answers.texts[order[n - 1]]`."""

    persona: Persona
    answers: ShownAnswers
    order: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Judgement:
    """One (user, query) to judge; `again` shows the same answers in another order, None for most."""

    first: Asking
    again: Asking | None

    def askings(self) -> tuple[Asking, ...]:
        """Return the one or two askings."""
        return (self.first,) if self.again is None else (self.first, self.again)


@dataclasses.dataclass(frozen=True)
class JudgePlan:
    """All judgements, persona by persona; made anew at every pass, so that memory does not grow with their number.

    Which queries a persona judges (at most `limit`), in which order it sees the answers and whether it is asked again
    (`share` of them) follow from seed, user and query alone, whatever others there are.
    """

    personas: Sequence[Persona]
    answers: Sequence[ShownAnswers]
    limit: int | None
    share: float
    seed: int

    @classmethod
    def of(cls, config: Config, answers: Sequence[ShownAnswers]) -> JudgePlan:
        """Return the plan for these answers; a query with fewer than two texts leaves nothing to choose."""
        judging = config.build.judge
        judged = [item for item in answers if len(item.texts) > 1]
        limit = config.users.interactions_per_user
        return cls(make_personas(config.users), judged, limit, judging.asked_again, judging.order_seed)

    def __len__(self) -> int:
        count = len(self.answers)
        return len(self.personas) * (count if self.limit is None else min(self.limit, count))

    def __iter__(self) -> Iterator[Judgement]:
        for persona in self.personas:
            for answers in self._judged_by(persona.user_id):
                yield self._judgement(persona, answers)

    def askings(self) -> Iterator[Asking]:
        """Yield the askings of all judgements."""
        for judgement in self:
            yield from judgement.askings()

    def sample(self, count: int) -> list[Asking]:
        """Return up to so many first askings, of as many personas as there are."""
        each = math.ceil(count / max(1, len(self.personas)))
        askings = (
            self._judgement(persona, answers).first
            for persona in self.personas
            for answers in self._judged_by(persona.user_id)[:each]
        )
        return list(itertools.islice(askings, count))

    def count_askings(self) -> int:
        """Return how many askings there are, without making them."""
        users = [persona.user_id for persona in self.personas]
        again = sum(self._asked_again(user, answers) for user in users for answers in self._judged_by(user))
        return len(self) + again

    def _judged_by(self, user_id: str) -> Sequence[ShownAnswers]:
        if self.limit is None or self.limit >= len(self.answers):
            return self.answers
        drawn = sorted(self.answers, key=lambda item: _draw(self.seed, "judged", user_id, item.query_id))
        return sorted(drawn[: self.limit], key=lambda item: item.query_id)

    def _asked_again(self, user_id: str, answers: ShownAnswers) -> bool:
        return _draw(self.seed, "again", user_id, answers.query_id) < self.share * 2**64

    def _judgement(self, persona: Persona, answers: ShownAnswers) -> Judgement:
        orders = _orders(self.seed, persona.user_id, answers)
        first = next(orders)
        again = None
        if self._asked_again(persona.user_id, answers):
            again = Asking(persona, answers, next(order for order in orders if order != first))
        return Judgement(Asking(persona, answers, first), again)


def _orders(seed: int, user_id: str, answers: ShownAnswers) -> Iterator[tuple[int, ...]]:
    """Yield random orders of the answers, without end."""
    for number in itertools.count():
        draws = [_draw(seed, f"order {number}", user_id, answers.query_id, llm_id) for llm_id in answers.llm_ids]
        yield tuple(sorted(range(len(draws)), key=draws.__getitem__))


def _draw(seed: int, *names: str) -> int:
    """Return a number from 0 to 2⁶⁴ − 1, always the same for these names."""
    text = "\x1f".join([str(seed), *names])
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
