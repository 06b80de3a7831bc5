"""From raw questions to tables to train on: all stages of data construction in one command.

    python -m data_processing.build --config configs/default.yaml --dry-run

unify → responses → score → judge → users. What asking will cost is printed before anything is spent.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from configs.errors import InputError
from configs.schema import Config
from data_processing import judge, responses, score, unify, users
from data_processing.asking.openai_client import key_problems
from data_processing.build_report import Report, Timed
from data_processing.llm_client import BudgetReachedError
from data_processing.plan import as_text, plan
from data_processing.roster import all_asked, asked_llms, endpoints_of
from data_processing.stage import EPILOG, Run, configured, guarded, parser, start_logging, tell
from data_processing.workspace import Workspace

# In this order; the first costs nothing, and the plan needs the questions it finds.
STAGES: dict[str, Run] = {
    "unify": unify.run,
    "responses": responses.run,
    "score": score.run,
    "judge": judge.run,
    "users": users.run,
}
EXAMPLES = """examples:
  python -m data_processing.build --config configs/default.yaml
      offline: simulated LLMs answer over HTTP on this machine; the tables lie in data/build/default/tables
  python -m data_processing.build --config configs/default.yaml --dry-run
      what it would cost, and nothing else
  python run_exp.py --config configs/default.yaml --set data.source=tables --set data.path=data/build/default/tables
      train on what was built

"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(argv)

    def work() -> None:
        config = configured(options)
        start_logging(config)
        build(config, Workspace.of(config), dry_run=options.dry_run)

    return guarded(work)


def build(config: Config, workspace: Workspace, *, dry_run: bool = False) -> None:
    """Run all stages; `dry_run` stops after the plan and writes nothing.

    Raises `InputError` where something has to be mended first.
    """
    llms = asked_llms(config)  # first: a missing price stops here
    problems = key_problems(endpoints_of(config, all_asked(config, llms)))
    if dry_run:
        tables, notes = unify.unified(config)
        notes += [f"the run itself will stop: {problem}" for problem in problems]
        tell([*notes, as_text(plan(config, tables["queries"], llms, workspace.store))])
        tell(["dry run: nothing was asked, nothing was written"])
        return
    if problems:
        raise InputError(problems[0])
    done = {"unify": _run("unify", config, workspace)}
    queries = workspace.read("queries", "unify")
    costs = plan(config, queries, llms, workspace.store)
    tell([as_text(costs)])
    for name in list(STAGES)[1:]:
        spent = sum(each.done.spent_usd for each in done.values())
        try:
            done[name] = _run(name, _with_what_is_left(config, spent), workspace)
        except BudgetReachedError as err:
            if not spent:
                raise
            raise BudgetReachedError(
                f"{err}; ${spent:.6g} of ${config.build.max_usd:g} went to earlier stages"
            ) from err
    report = Report(config, len(queries), len(llms), costs, done)
    path = report.write(workspace)
    tell([f"${report.spent_usd:.4f} spent; tables: {workspace.tables}; report: {path}"])


def _run(name: str, config: Config, workspace: Workspace) -> Timed:
    start = time.perf_counter()
    tell([f"== {name}"])
    done = STAGES[name](config, workspace)
    tell([f"  {note}" for note in done.notes])
    return Timed(done, time.perf_counter() - start)


def _with_what_is_left(config: Config, spent: float) -> Config:
    """Return the configuration with a budget for the next stage that all stages together stay within."""
    if config.build.max_usd is None:
        return config
    build = config.build.model_copy(update={"max_usd": max(0.0, config.build.max_usd - spent)})
    return config.model_copy(update={"build": build})


def _parser() -> argparse.ArgumentParser:
    out = parser(__doc__ or "", EXAMPLES + EPILOG)
    out.add_argument(
        "--dry-run", action="store_true",
        help="read the questions, print what each stage would cost in calls, tokens and dollars, and stop",
    )  # fmt: skip
    return out


if __name__ == "__main__":
    sys.exit(main())
