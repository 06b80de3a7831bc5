"""Let each persona choose among the answers, read by a judging LLM: `python -m data_processing.judge --config …`."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from configs.errors import InputError
from configs.schema import Config
from data_processing.cache import ResponseStore
from data_processing.importers.describe import plural
from data_processing.judging.asker import FIRST, REPAIRS, Asker
from data_processing.judging.judged import judged_digest
from data_processing.judging.judgements import READ, judgement_table, write_judgements
from data_processing.judging.plan import JudgePlan
from data_processing.judging.replies import Judge
from data_processing.judging.report import FILE as STATISTICS
from data_processing.judging.report import statistics, told_statistics, write_statistics
from data_processing.judging.shown_answers import shown_answers
from data_processing.personas import make_personas, persona_users
from data_processing.responses import told
from data_processing.roster import endpoints_of, judge_llm
from data_processing.rule_judge import RuleJudge
from data_processing.simulated.server import endpoints_up
from data_processing.stage import Done, stage_main
from data_processing.tables import Dataset, empty
from data_processing.workspace import Workspace


def run(config: Config, workspace: Workspace) -> Done:
    """Judge what has not been judged; write `judgements.parquet` and `judge.json`.

    A query with fewer than two distinct answers is not judged: where nothing can be chosen, nothing is learnt of a
    taste. Raises `InputError` where there is nothing to judge, or where the judge does not reply or cannot be read.
    """
    if config.users.strategy != "llm_as_judge":
        note = f"nothing to judge: under users.strategy {config.users.strategy} users weigh performance and cost"
        return Done([note])
    digest = judged_digest(config, workspace.read("outcomes", "score"))  # before judging, which may take hours
    if config.build.judge.by == "rules":
        table, done = _by_rules(config, workspace), Done(["the rule-based judge chose, and no LLM was asked"])
        about: dict = {"by": "rules", "llm_id": None, "structured": False}
    else:
        table, done, about = _by_llm(config, workspace)
    found = {**about, "judged": digest, **statistics(table)}
    (workspace.folder / STATISTICS).unlink(missing_ok=True)  # never the digest of other judgements, whatever comes now
    write_judgements(workspace, table)
    write_statistics(workspace, found)
    return Done([*done.notes, *told_statistics(found)], done.spent_usd)


def _by_llm(config: Config, workspace: Workspace) -> tuple[pd.DataFrame, Done, dict]:
    llm = judge_llm(config)
    queries, outcomes = workspace.read("queries", "unify"), workspace.read("outcomes", "score")
    answers = shown_answers(queries, outcomes, config.build.judge.answer_tokens)
    plan = JudgePlan.of(config, answers)
    if not len(plan):
        raise InputError(
            f"{workspace.tables / 'outcomes.parquet'}: expected a query with two different answers to choose from, got "
            "none; have more LLMs answer (build.llms), then run: python -m data_processing.responses, then score"
        )
    with ResponseStore(workspace.store) as store, endpoints_up(config, workspace) as live:
        asker = Asker(live, endpoints_of(live, [llm]), store)
        judge = Judge(llm, config.build.judge, asker.takes_format(next(plan.askings()), llm))
        asker.try_out(judge, plan)
        notes = [told(asker.ask(map(judge.call, plan.askings()), plan.count_askings(), FIRST), "judge call")]
        unread = [asking for asking in plan.askings() if judge.unread(asking, store)]
        if unread:
            notes.append(told(asker.ask(judge.repairs(unread, store), len(unread), REPAIRS), "repair call"))
        table = judgement_table([judge.row(judgement, store) for judgement in plan])
    if config.build.judge.structured and not judge.structured:
        notes.append(f"{llm.llm_id}: its endpoint refuses response_format, so replies were asked for in words only")
    if len(plan.answers) < len(queries):
        lost = plural(len(queries) - len(plan.answers), "query", "queries")
        notes.append(f"{lost} not judged: fewer than two different answers to choose from")
    return table, Done(notes, asker.spent_usd), {"by": "llm", "llm_id": llm.llm_id, "structured": judge.structured}


def _by_rules(config: Config, workspace: Workspace) -> pd.DataFrame:
    personas = make_personas(config.users)
    dataset = Dataset(
        config.name,
        llms=workspace.read("llms", "unify"),
        tasks=workspace.read("tasks", "unify"),
        queries=workspace.read("queries", "unify"),
        outcomes=workspace.read("outcomes", "score"),
        users=persona_users(personas),
        interactions=empty("interactions"),
        cost_kind="computed",
    )
    judge = RuleJudge.of(dataset, personas, config.users.self_agreement, config.users.persona_seed)
    choices = judge.interactions()
    counts = np.bincount(judge.texts.row, minlength=len(judge.query_ids))
    texts = choices["query_id"].map(dict(zip(judge.query_ids, counts, strict=True)))
    pairs = zip(choices[texts > 1].itertuples(), texts[texts > 1], strict=True)
    return judgement_table(
        [
            (row.user_id, row.query_id, row.llm_id, None, count, READ, "", None, None, "", "", 0, 0, 0.0)
            for row, count in pairs
        ]
    )


if __name__ == "__main__":
    sys.exit(stage_main(run, __doc__ or ""))
