"""Who chooses for a person: a router that knows users, with a slider from cost to quality."""

from __future__ import annotations

import dataclasses

from graph.router import Router
from serving.chooser import EVERYBODY, OWN_WISH, USER, Slider
from serving.decide import NOBODY, View, decide

STEP, DECIMALS = 0.01, 2  # of the slider


@dataclasses.dataclass(frozen=True)
class Personal:
    """A `Chooser` that follows the preference of whoever asks; the slider counts only for one's own wish."""

    router: Router

    @property
    def llm_ids(self) -> list[str]:
        return list(self.router.llm_ids)

    @property
    def simulated(self) -> bool:
        return bool(self.router.about.get("simulated"))

    @property
    def lead(self) -> str:
        return "Type a question. The router picks the LLM that suits it and whoever asks."

    @property
    def slider(self) -> Slider:
        wish = self.wish(EVERYBODY)
        info = "0: only the cost counts. 1: only the quality. Moving it states a wish of your own."
        return Slider("Cost or quality", info, 0.5 if wish is None else wish, STEP)

    def people(self) -> list[tuple[str, str]]:
        users = [(user, USER + user) for user in self.router.user_ids]
        return [("Nobody in particular", EVERYBODY), ("My own wish: the slider", OWN_WISH), *users]

    def examples(self) -> list[str]:
        """Return a short known question of each task."""
        queries = self.router.queries
        order = queries["query"].str.len().sort_values(kind="stable").index
        return [str(text) for text in queries.loc[order].drop_duplicates("task_id")["query"]]

    def wish(self, who: str) -> float | None:
        """Return the preference that the router knows or infers of `who`; None for a taste and for one's own wish."""
        preference = None if who == OWN_WISH else self.router.wish(_user(who)).preference
        return None if preference is None else round(preference, DECIMALS)

    def view(self, prompt: str, who: str, slider: float) -> View:
        return decide(self.router, prompt, _user(who), slider if who == OWN_WISH else None)


def _user(who: str) -> str:
    return who.removeprefix(USER) if who.startswith(USER) else NOBODY
