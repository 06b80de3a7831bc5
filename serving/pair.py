"""Who chooses between two LLMs: a classifier's probability that the strong one is needed, and a threshold on it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from evaluation.calibrate import Calibration
from graph.needs import PairRouter
from graph.threshold import Threshold
from serving.chooser import OWN_WISH, Slider
from serving.decide import Bar, Need, View, long_prompt, refuse_empty, thousand

STEP, DECIMALS = 0.001, 3  # of the slider
EXAMPLES = (
    "What is the capital of France?",
    "Prove that there are infinitely many primes of the form 4k + 3.",
    "Write two lines of verse on the sea.",
    "A train leaves at 9:40 and drives 3 hours 35 minutes at 84 km/h. When does it arrive, and how far did it go?",
)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A `Chooser` between the two LLMs of `router`, who reads at most `max_tokens` of a prompt."""

    router: PairRouter
    max_tokens: int
    calibration: Calibration | None = None

    @property
    def llm_ids(self) -> list[str]:
        return [self.router.weak_id, self.router.strong_id]

    @property
    def simulated(self) -> bool:
        return False  # a classifier does not know what its labels were made from

    @property
    def lead(self) -> str:
        return (
            f"Type a question. It goes to the strong LLM, {self.router.strong_id}, where that one is likely needed, "
            f"else to the weak one, {self.router.weak_id}."
        )

    @property
    def slider(self) -> Slider:
        info = "The lower, the more questions go to the strong LLM."
        start = 0.5
        if self.calibration is not None:
            start = round(_on_slider(self.calibration.threshold), DECIMALS)
            info += f" It starts where {self.calibration.share:.0%} of the prompts it was calibrated on do."
        return Slider("Send to the strong LLM from a probability of", info, start, STEP)

    def people(self) -> list[tuple[str, str]]:
        """Return one: nobody's preference counts here."""
        return [("Anybody", OWN_WISH)]

    def examples(self) -> list[str]:
        return list(EXAMPLES)

    def wish(self, who: str) -> float | None:
        return None

    def threshold(self, slider: float) -> Threshold:
        """Return the threshold at a slider: where that starts the calibrated one, with its coin; else `from` it on."""
        if self.calibration is not None and abs(slider - self.slider.start) < STEP / 2:
            return self.calibration.threshold
        return Threshold(slider, 1.0)

    def view(self, prompt: str, who: str, slider: float) -> View:
        """Return what to show; `who` does not count."""
        refuse_empty(prompt)
        threshold = self.threshold(slider)
        need = self.router.need([prompt])
        strong = bool(threshold.strong([prompt], need)[0])
        expected = self.router.expected([prompt])
        pair = Need(self.router.weak_id, self.router.strong_id, float(need[0]), _on_slider(threshold))
        return View(
            llm_id=pair.strong_id if strong else pair.weak_id,
            task_id="",
            confidence=None,
            need=pair,
            preference=None,
            bars=() if expected is None else pair_bars(self.llm_ids, expected[0], strong),
            nearest=(),
            why=why(pair, threshold.coin, strong),
            notes=pair_notes(self.max_tokens, prompt, expected),
        )


def pair_bars(llm_ids: list[str], expected: np.ndarray, strong: bool) -> tuple[Bar, ...]:
    """Return a bar for each of weak and strong, the picked one first, from (2, 2) performance and dollars.

    A cost that is not known is NaN and has no bar.
    """
    costs = [float(cost) if math.isfinite(cost) else None for cost in expected[:, 1]]
    dearest = max((cost for cost in costs if cost is not None), default=0.0)
    found = [
        Bar(
            llm_id,
            min(max(float(performance), 0.0), 1.0),
            None if cost is None else thousand(cost, "dollars"),
            cost / dearest if cost is not None and dearest > 0 else 0.0,
            (place == 1) == strong,
        )
        for place, (llm_id, performance, cost) in enumerate(zip(llm_ids, expected[:, 0], costs, strict=True))
    ]
    return tuple(sorted(found, key=lambda bar: not bar.chosen))


def why(need: Need, coin: float, strong: bool) -> str:
    """Return what decided, in one sentence; `coin`: the share that is sent to the strong LLM at the threshold."""
    threshold = need.threshold or 0.0
    if need.probability == threshold:
        shared = ", where a share goes to each LLM, always the same way for the same text" if 0 < coin < 1 else ""
        place = f"is at the threshold of {{}}{shared}"
    else:
        place = f"is {'above' if strong else 'below'} the threshold of {{}}"
    picked = need.strong_id if strong else need.weak_id
    return (
        f"The probability that {need.strong_id} is needed, {need.probability:.4g}, "
        f"{place.format(f'{threshold:.4g}')}: {picked} is picked."
    )


def pair_notes(max_tokens: int, prompt: str, expected: np.ndarray | None) -> tuple[str, ...]:
    """Return what a reader has to know before the numbers mean anything."""
    found = long_prompt(max_tokens, prompt)
    if expected is None:
        found.append("This classifier was trained on labels: what the LLMs will perform and cost is not known.")
    elif not np.isfinite(expected[0, :, 1]).all():
        found.append("It is not known of both LLMs what they cost.")
    return tuple(found)


def _on_slider(threshold: Threshold) -> float:
    """Return where a threshold stands from 0 to 1; that of never or always, which is outside, at the end."""
    return min(max(threshold.value, 0.0), 1.0)
