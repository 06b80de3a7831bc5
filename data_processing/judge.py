"""Let each persona choose among the answers, read by a judging LLM: `python -m data_processing.judge --config …`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from configs.errors import InputError
from configs.schema import Config, Endpoint
from data_processing.asking.ask import Asked, ask_all
from data_processing.cache import ResponseStore
from data_processing.importers.describe import plural
from data_processing.judging.judgements import READ, judgement_table, write_judgements
from data_processing.judging.plan import Asking, JudgePlan
from data_processing.judging.replies import Judge
from data_processing.judging.report import statistics, told_statistics, write_statistics
from data_processing.judging.shown_answers import shown_answers
from data_processing.llm_client import Call
from data_processing.personas import make_personas, persona_users
from data_processing.responses import told
from data_processing.roster import AskedLLM, endpoints_of, judge_llm
from data_processing.rule_judge import RuleJudge
from data_processing.simulated.server import endpoints_up
from data_processing.stage import Done, stage_main
from data_processing.tables import Dataset, empty
from data_processing.workspace import Workspace


def run(config: Config, workspace: Workspace) -> Done:
    """Judge what has not been judged; write `judgements.parquet` and `judge.json`.

    A query with fewer than two distinct answers is not judged: where nothing can be chosen, nothing is learnt of a
    taste. Raises `InputError` where there is nothing to judge, or where no call of the judge brought a reply.
    """
    if config.users.strategy != "llm_as_judge":
        note = f"nothing to judge: under users.strategy {config.users.strategy} users weigh performance and cost"
        return Done([note])
    if config.build.judge.by == "rules":
        table, done = _by_rules(config, workspace), Done(["the rule-based judge chose, and no LLM was asked"])
        about: dict = {"by": "rules", "llm_id": None, "structured": False}
    else:
        table, done, about = _by_llm(config, workspace)
    found = {**about, **statistics(table)}
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
        asker = _Asker(live, endpoints_of(live, [llm]), store)
        judge = Judge(llm, config.build.judge, asker.takes_format(next(plan.askings()), llm))
        asked = asker.ask(map(judge.call, plan.askings()), plan.count_askings(), "judgements")
        _check_replies(asked, judge.call(next(plan.askings())), store)
        notes = [told(asker.with_probe(asked), "judge call")]
        unread = [asking for asking in plan.askings() if judge.unread(asking, store)]
        if unread:
            notes.append(told(asker.ask(judge.repairs(unread, store), len(unread), "repairs"), "repair call"))
        table = judgement_table([judge.row(judgement, store) for judgement in plan])
    if config.build.judge.structured and not judge.structured:
        notes.append(f"{llm.llm_id}: its endpoint refuses response_format, so replies were asked for in words only")
    if len(plan.answers) < len(queries):
        lost = plural(len(queries) - len(plan.answers), "query", "queries")
        notes.append(f"{lost} not judged: fewer than two different answers to choose from")
    return table, Done(notes, asker.spent_usd), {"by": "llm", "llm_id": llm.llm_id, "structured": judge.structured}


@dataclasses.dataclass
class _Asker:
    """Asks within one budget."""

    live: Config
    endpoints: Sequence[Endpoint]
    store: ResponseStore
    spent_usd: float = 0.0
    probed: int = 0  # calls that `takes_format` asked and had answered

    def ask(self, calls: Iterable[Call], total: int, label: str, progress: str | None = None) -> Asked:
        most = self.live.build.max_usd
        asked = ask_all(
            calls,
            self.store,
            self.endpoints,
            total=total,
            max_usd=None if most is None else max(0.0, most - self.spent_usd),
            label=label,
            progress=progress or self.live.tracking.progress,
        )
        self.spent_usd += asked.spent_usd
        return asked

    def takes_format(self, asking: Asking, llm: AskedLLM) -> bool:
        """Return whether to send `response_format`: not where a call is refused with it and answered without.

        One call finds out, so that an endpoint that does not know it need not refuse all of them first.
        """
        judging = self.live.build.judge
        if not judging.structured:
            return False
        call, plain = (Judge(llm, judging, structured).call(asking) for structured in (True, False))
        if self._refused(call) and self.store.get(plain.key) is not None:
            return False  # as an earlier run found out
        self.probed += self.ask([call], 1, "judgements", "off").answered
        if not self._refused(call):
            return True
        self.probed += self.ask([plain], 1, "judgements", "off").answered
        return self.store.get(plain.key) is None

    def with_probe(self, asked: Asked) -> Asked:
        """Return the counts of the first questions with those that `takes_format` asked of them in this run."""
        answered, stored = asked.answered + self.probed, asked.stored - self.probed
        return dataclasses.replace(asked, answered=answered, stored=stored, spent_usd=self.spent_usd)

    def _refused(self, call: Call) -> bool:
        error = self.store.error(call.key)
        return error is not None and error[0] == "request"


def _check_replies(asked: Asked, call: Call, store: ResponseStore) -> None:
    if asked.answered + asked.stored:
        return
    kind, message = store.error(call.key) or ("request", "")
    raise InputError(
        f"build.judge.llm: expected replies of {call.llm_id!r}, but all {asked.failed:,} calls failed, the first with "
        f"{kind}: {message}; mend that and run the same command again"
    )


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
