"""Ask every LLM every question, and keep the answers: `python -m data_processing.responses --config …`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from configs.schema import Answers, Config
from data_processing.asking.ask import Asked, ask_all
from data_processing.cache import ResponseStore
from data_processing.importers.describe import plural
from data_processing.llm_client import Call
from data_processing.one_line import one_line
from data_processing.roster import AskedLLM, all_asked, endpoints_of, unified_llms
from data_processing.simulated.server import endpoints_up
from data_processing.stage import Done, stage_main
from data_processing.workspace import Workspace

LONGEST_MESSAGE = 200  # characters of why a call failed


def run(config: Config, workspace: Workspace) -> Done:
    """Ask what the store does not have.

    Raises `InputError` before the first call where prices lack, or where the tables are of other LLMs or tasks.
    """
    queries, llms = workspace.read("queries", "unify"), unified_llms(config, workspace)
    # The judge is asked later, but a price or key that it lacks is better known before answers are paid for.
    keyed = all_asked(config, llms)
    with ResponseStore(workspace.store) as store, endpoints_up(config, workspace) as live:
        asked = ask_all(
            answer_calls(queries["query"].tolist(), llms, config.build.answers),
            store,
            endpoints_of(live, keyed),
            total=len(queries) * len(llms),
            max_usd=config.build.max_usd,
            label="answers",
            progress=config.tracking.progress,
        )
    return Done([told(asked, "answer")], asked.spent_usd)


def answer_calls(queries: Sequence[str], llms: Sequence[AskedLLM], answers: Answers) -> Iterator[Call]:
    """Yield the call for every (query, LLM), query by query, so that a run that is cut short has whole questions."""
    for query in queries:
        for llm in llms:
            yield answer_call(llm, query, answers)


def answer_call(llm: AskedLLM, query: str, answers: Answers) -> Call:
    """Return the call that asks `llm` one question."""
    system = () if answers.system_prompt is None else (("system", answers.system_prompt),)
    sent: dict[str, Any] = {
        "temperature": answers.temperature,
        "seed": answers.seed,
        llm.endpoint.max_tokens_name: answers.max_tokens,
    }
    return llm.call((*system, ("user", query)), {name: value for name, value in sent.items() if value is not None})


def usual_tokens(config: Config) -> float:
    """Return the length that an answer is taken to have before it is there: that of the main job, within the limit."""
    usual, longest = float(config.data.output_tokens), config.build.answers.max_tokens
    return usual if longest is None else min(usual, longest)


def told(asked: Asked, what: str) -> str:
    """Return one line on what came back, and what to do about what did not."""
    kept = f", {asked.stored:,} of them kept from before" if asked.stored else ""
    line = f"{plural(asked.answered + asked.stored, what)}{kept}; ${asked.spent_usd:.4f} spent in {asked.seconds:.0f} s"
    if not asked.failed:
        return line
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(asked.errors.items()))
    said = "; ".join(f"{kind}: {one_line(asked.messages[kind], LONGEST_MESSAGE)}" for kind in sorted(asked.messages))
    return (
        f"{line}; {plural(asked.failed, 'call')} failed ({kinds}): run the same command again to retry them; the first "
        f"of each kind: {said}"
    )


if __name__ == "__main__":
    sys.exit(stage_main(run, __doc__ or ""))
