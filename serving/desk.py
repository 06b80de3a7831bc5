"""What the page asks for, as HTML: decisions while somebody types, and answers."""

from __future__ import annotations

import dataclasses
import threading

from configs.errors import InputError
from serving import page
from serving.answer import Answerer
from serving.chooser import Chooser
from serving.decide import View

WARMING = ("How much is 17 * 3?", "word " * 2000)  # a short and a long prompt, so that no reader waits for either


@dataclasses.dataclass(frozen=True)
class Desk:
    """Decisions of a chooser and, where there is an `answerer`, answers."""

    chooser: Chooser
    answerer: Answerer | None = None
    # Tokenizers may not be used by two threads at once.
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def warm(self) -> None:
        """Load what the first decision would have to wait for."""
        who = self.chooser.people()[0][1]
        for prompt in WARMING:
            self.view(prompt, who, 0.5)

    def view(self, prompt: str, who: str, slider: float) -> View:
        """Return what to show; `InputError` says in one line why there is nothing."""
        with self.lock:
            return self.chooser.view(prompt, who, slider)

    def shown(self, prompt: str | None, who: str, slider: float, sent: bool = False) -> tuple[str, str]:
        """Return (decision as HTML, the same in a spoken line); `sent`: the reader asked for it."""
        if not (prompt or "").strip():
            return page.invitation(sent), page.spoken_invitation(sent)
        try:
            view = self.view(prompt or "", who, slider)
        except InputError as err:
            return page.trouble(str(err)), ""  # which is an alert: it speaks for itself
        return page.decision(view), page.spoken(view)

    def waiting(self, prompt: str | None) -> list[str]:
        """Return [the prompt; what stands in place of its answer until that comes], as `reply` does."""
        comes = self.answerer is not None and (prompt or "").strip()
        return [page.sendable(prompt or ""), page.waiting() if comes else ""]

    async def reply(self, prompt: str | None, who: str, slider: float) -> list[str]:
        """Return [the prompt, with ? for half characters; the answer as HTML]."""
        return [page.sendable(prompt or ""), await self.answered(prompt, who, slider)]

    async def answered(self, prompt: str | None, who: str, slider: float) -> str:
        """Return the answer of the LLM that is chosen, as HTML; nothing for an empty prompt."""
        if self.answerer is None or not prompt or not prompt.strip():
            return ""
        try:
            found = await self.answerer.ask(self.view(prompt, who, slider).llm_id, prompt)
        except InputError as err:
            return page.trouble(str(err))
        return page.answer(prompt, found)

    def wished(self, who: str) -> list[str | float | None]:
        """Return [who, where the slider goes when they are picked; None where it stays]."""
        return [who, self.chooser.wish(who)]
