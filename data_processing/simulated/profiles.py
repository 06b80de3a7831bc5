"""The LLMs of the simulated world: fictional names, prices, skills and manners."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from data_processing.simulated.draws import Draws
from data_processing.simulated.style import Style

ARITHMETIC, EXTRACTIVE, INSTRUCTION, SUMMARY = "arithmetic", "extractive_qa", "instruction", "summarisation"


@dataclasses.dataclass(frozen=True)
class Profile:
    """One simulated LLM.

    `skills` is task id -> quality on an easy plain question of no special topic; `niches` is (task id or "*", topic) ->
    what the topic adds; `slope` is what each further degree of difficulty takes; `casual` is what casual or formal
    talk (anything but plain) takes. Quality is about 0 (all wrong) to 1 (all right). `seconds_per_token` is in seconds.
    """

    llm_id: str
    family: str
    description: str
    input_price_usd_per_mtok: float
    output_price_usd_per_mtok: float
    skills: Mapping[str, float]
    niches: Mapping[tuple[str, str], float]
    slope: float
    casual: float
    seconds_per_token: float
    style: Style

    def skill(self, task_id: str, topic: str, difficulty: int, register: str) -> float:
        """Return the expected quality for a kind of question."""
        niche = self.niches.get((task_id, topic), 0.0) + self.niches.get(("*", topic), 0.0)
        talk = 0.0 if register == "plain" else self.casual
        return self.skills.get(task_id, 0.3) + niche - self.slope * (difficulty - 1) - talk


def _skills(arithmetic: float, extractive: float, instruction: float, summary: float) -> dict[str, float]:
    return {ARITHMETIC: arithmetic, EXTRACTIVE: extractive, INSTRUCTION: instruction, SUMMARY: summary}


def _verbosity(arithmetic: int, extractive: int, instruction: int, summary: int) -> dict[str, int]:
    return {ARITHMETIC: arithmetic, EXTRACTIVE: extractive, INSTRUCTION: instruction, SUMMARY: summary}


NIMBUS = Style(_verbosity(1, 1, 2, 1), layout="bullets", final="sentence", warmth=0.7, paraphrase=0.3)
QUILL = Style(_verbosity(2, 2, 1, 1), layout="plain", final="sentence", warmth=0.15, hedging=0.1, paraphrase=0.1)
ABACUS = Style(_verbosity(2, 0, 0, 0), layout="numbers", final="hashes", paraphrase=0.4)
FORGE = Style(_verbosity(1, 0, 1, 1), layout="markdown", final="boxed", paraphrase=0.3)
OLIVE = Style(_verbosity(2, 1, 1, 2), layout="plain", final="bold", warmth=0.9, paraphrase=0.25)
LANTERN = Style(_verbosity(0, 0, 1, 1), layout="plain", final="angle", hedging=0.05, paraphrase=0.2)
TITAN = Style(
    _verbosity(3, 1, 2, 2),
    layout="numbers",
    final="boxed",
    hedging=0.6,
    paraphrase=0.15,
    refusals={"finance": 0.12, "cooking": 0.02},
)

# The order matters: a world of fewer LLMs takes the first ones, so the first few already differ in price and skill.
PROFILES: tuple[Profile, ...] = (
    Profile(
        llm_id="titan-ultra",
        family="titan",
        description=(
            "A very large reasoning model for hard, many-step problems, above all in science. Thorough, long- "
            "winded and cautious: it qualifies its statements and sometimes declines financial questions."
        ),
        input_price_usd_per_mtok=5.0,
        output_price_usd_per_mtok=10.0,
        skills=_skills(0.80, 0.72, 0.70, 0.66),
        niches={("*", "science"): 0.1, (ARITHMETIC, "finance"): -0.12, ("*", "cooking"): -0.1, ("*", "sport"): -0.05},
        slope=0.04,
        casual=0.02,
        seconds_per_token=0.022,
        style=TITAN,
    ),
    Profile(
        llm_id="nimbus-8b",
        family="nimbus",
        description=(
            "A small, friendly all-rounder for everyday chat and simple requests. Warm tone, bullet lists, quick "
            "replies."
        ),
        input_price_usd_per_mtok=0.06,
        output_price_usd_per_mtok=0.1,
        skills=_skills(0.44, 0.50, 0.52, 0.50),
        niches={("*", "sport"): 0.21, ("*", "cooking"): 0.05, ("*", "history"): -0.1, ("*", "code"): -0.1},
        slope=0.07,
        casual=-0.06,
        seconds_per_token=0.006,
        style=NIMBUS,
    ),
    Profile(
        llm_id="abacus-7b-math",
        family="abacus",
        description=(
            "A compact model tuned on word problems and bookkeeping. It numbers each step of a calculation and is "
            "strongest where money or measurements are counted; terse and plain elsewhere."
        ),
        input_price_usd_per_mtok=0.25,
        output_price_usd_per_mtok=0.5,
        skills=_skills(0.58, 0.42, 0.46, 0.42),
        niches={
            (ARITHMETIC, "finance"): 0.16,
            (ARITHMETIC, "science"): 0.16,
            ("*", "finance"): 0.16,
            ("*", "history"): -0.08,
        },
        slope=0.04,
        casual=0.05,
        seconds_per_token=0.006,
        style=ABACUS,
    ),
    Profile(
        llm_id="quill-pro",
        family="quill",
        description=(
            "A large writing model for polished prose: summaries, notes and advice, at its best with history and sport."
        ),
        input_price_usd_per_mtok=2.5,
        output_price_usd_per_mtok=6.0,
        skills=_skills(0.56, 0.64, 0.72, 0.74),
        niches={("*", "history"): 0.13, (SUMMARY, "sport"): 0.08, ("*", "code"): -0.16, ("*", "science"): -0.05},
        slope=0.04,
        casual=0.0,
        seconds_per_token=0.015,
        style=QUILL,
    ),
    Profile(
        llm_id="lantern-mini",
        family="lantern",
        description=(
            "A small retrieval model that copies exact spans from a text and answers in as few words as possible."
        ),
        input_price_usd_per_mtok=0.3,
        output_price_usd_per_mtok=1.2,
        skills=_skills(0.42, 0.64, 0.48, 0.52),
        niches={("*", "science"): 0.18, ("*", "cooking"): -0.12, ("*", "sport"): -0.08},
        slope=0.05,
        casual=0.03,
        seconds_per_token=0.004,
        style=LANTERN,
    ),
    Profile(
        llm_id="forge-coder-16b",
        family="forge",
        description=(
            "A mid-sized model for programmers: reads source code, logs and technical documents, answers in markdown."
        ),
        input_price_usd_per_mtok=0.7,
        output_price_usd_per_mtok=1.2,
        skills=_skills(0.50, 0.50, 0.48, 0.48),
        niches={("*", "code"): 0.31, ("*", "science"): 0.04, ("*", "cooking"): -0.12, ("*", "history"): -0.08},
        slope=0.05,
        casual=0.06,
        seconds_per_token=0.008,
        style=FORGE,
    ),
    Profile(
        llm_id="olive-34b-chat",
        family="olive",
        description=(
            "A mid-sized conversational model for home life: cooking, fitness and family matters, told warmly and "
            "at ease."
        ),
        input_price_usd_per_mtok=1.0,
        output_price_usd_per_mtok=1.8,
        skills=_skills(0.50, 0.54, 0.58, 0.54),
        niches={("*", "cooking"): 0.28, ("*", "sport"): 0.07, ("*", "finance"): -0.12, ("*", "code"): -0.16},
        slope=0.05,
        casual=-0.04,
        seconds_per_token=0.011,
        style=OLIVE,
    ),
    Profile(
        llm_id="nimbus-70b",
        family="nimbus",
        description=(
            "The large sibling of the nimbus family: a friendly all-rounder with solid reasoning and bullet lists."
        ),
        input_price_usd_per_mtok=0.8,
        output_price_usd_per_mtok=1.4,
        skills=_skills(0.60, 0.62, 0.60, 0.60),
        niches={("*", "sport"): 0.16, ("*", "history"): -0.05, ("*", "code"): -0.08},
        slope=0.05,
        casual=-0.02,
        seconds_per_token=0.013,
        style=NIMBUS,
    ),
    Profile(
        llm_id="lantern-max",
        family="lantern",
        description=(
            "A large retrieval model for long documents: exact spans and faithful short summaries in few words."
        ),
        input_price_usd_per_mtok=1.5,
        output_price_usd_per_mtok=4.5,
        skills=_skills(0.58, 0.76, 0.60, 0.66),
        niches={("*", "science"): 0.1, ("*", "finance"): 0.05, ("*", "cooking"): -0.1},
        slope=0.03,
        casual=0.02,
        seconds_per_token=0.010,
        style=LANTERN,
    ),
    Profile(
        llm_id="quill-7b",
        family="quill",
        description=(
            "A small writing model that drafts readable notes and summaries; loose with numbers, fond of history."
        ),
        input_price_usd_per_mtok=0.12,
        output_price_usd_per_mtok=0.16,
        skills=_skills(0.38, 0.46, 0.56, 0.58),
        niches={("*", "history"): 0.21, (SUMMARY, "sport"): 0.07, ("*", "code"): -0.16},
        slope=0.06,
        casual=0.0,
        seconds_per_token=0.005,
        style=QUILL,
    ),
)


def profiles(count: int, seed: int) -> tuple[Profile, ...]:
    """Return the first `count` profiles; beyond the written ones, seeded variants of them in turn."""
    out = list(PROFILES[:count])
    for i in range(len(PROFILES), count):
        base = PROFILES[i % len(PROFILES)]
        out.append(_variant(base, i // len(PROFILES) + 1, seed))
    return tuple(out)


def _variant(base: Profile, version: int, seed: int) -> Profile:
    """Return a relative of `base`: same family and style, other prices (×0.5 to ×2) and skills (±0.1 or so)."""
    draws = Draws(seed, "variant", base.llm_id, version)
    factor = 0.5 + 1.5 * draws.uniform()
    return dataclasses.replace(
        base,
        llm_id=f"{base.llm_id}-v{version}",
        description=f"{base.description} Release {version}, trained on other data.",
        input_price_usd_per_mtok=round(base.input_price_usd_per_mtok * factor, 3),
        output_price_usd_per_mtok=round(base.output_price_usd_per_mtok * factor, 3),
        skills={task: skill + 0.08 * draws.normal() for task, skill in base.skills.items()},
        niches={place: bonus + 0.06 * draws.normal() for place, bonus in base.niches.items()},
    )
