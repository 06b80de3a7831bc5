"""What the page needs of whoever chooses the LLM, and the words and numbers of its slider."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from serving.decide import View

EVERYBODY, OWN_WISH, USER = "everybody", "own", "user:"  # what the picker holds; users with their id


@dataclasses.dataclass(frozen=True)
class Slider:
    """A slider from 0 to 1: where it starts, its step, and what it says."""

    label: str
    info: str
    start: float
    step: float


class Chooser(Protocol):
    """Chooses an LLM for a prompt. `lead` is the sentence below the page's title; `simulated`: so are the LLMs."""

    @property
    def llm_ids(self) -> Sequence[str]: ...

    @property
    def simulated(self) -> bool: ...

    @property
    def lead(self) -> str: ...

    @property
    def slider(self) -> Slider: ...

    def people(self) -> list[tuple[str, str]]:
        """Return (label, value) of everyone who can be picked; the first is picked at the start."""

    def examples(self) -> list[str]:
        """Return prompts to try, at least one."""

    def wish(self, who: str) -> float | None:
        """Return where the slider goes when `who` is picked; None where it stays."""

    def view(self, prompt: str, who: str, slider: float) -> View:
        """Return what to show; `InputError` for a prompt without text or an unknown user."""
