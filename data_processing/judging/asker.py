"""Asking the judge within one budget, first a few questions that show whether it can judge at all."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from configs.errors import InputError
from configs.schema import Config, Endpoint
from data_processing.asking.ask import Asked, ask_all
from data_processing.cache import ResponseStore
from data_processing.judging.judgements import READ, REPAIRED, UNUSABLE
from data_processing.judging.plan import Asking, JudgePlan
from data_processing.judging.replies import Judge
from data_processing.llm_client import Call
from data_processing.roster import AskedLLM

TRIED = 20  # askings that are tried before all others
UNREADABLE = 10  # of them, each with its repair, that show a judge to be none where nothing else could be read
SHOWN_CHARACTERS = 120
FIRST, REPAIRS = "judgements", "repairs"  # questions of the two kinds, as the progress bar names them


@dataclasses.dataclass
class Asker:
    """Asks within one budget. `early`: answers and US dollars, by kind, of calls asked before all of their kind."""

    live: Config
    endpoints: Sequence[Endpoint]
    store: ResponseStore
    spent_usd: float = 0.0
    early: dict[str, tuple[int, float]] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(lambda: (0, 0.0))
    )

    def ask(self, calls: Iterable[Call], total: int, kind: str) -> Asked:
        """Ask all calls of a kind; the counts are with those of `early`."""
        asked = self._ask(calls, total, kind, self.live.tracking.progress)
        answered, usd = self.early[kind]
        return dataclasses.replace(
            asked, answered=asked.answered + answered, stored=asked.stored - answered, spent_usd=asked.spent_usd + usd
        )

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
        self._ask_early([call], FIRST)
        if not self._refused(call):
            return True
        self._ask_early([plain], FIRST)
        return self.store.get(plain.key) is None

    def try_out(self, judge: Judge, plan: JudgePlan) -> None:
        """Ask a few questions of many personas, so that a judge that cannot judge is not paid for all of them.

        Raises `InputError` where no call brings a reply, and where replies and repairs can none of them be read.
        """
        tried = plan.sample(TRIED)
        calls = [judge.call(asking) for asking in tried]
        asked = self._ask_early(calls, FIRST)
        if not asked.answered + asked.stored:
            kind, message = self.store.error(calls[0].key) or ("request", "")
            raise InputError(
                f"build.judge.llm: expected replies of {judge.llm.llm_id!r}, but all {asked.failed:,} calls failed, "
                f"the first with {kind}: {message}; mend that and run the same command again"
            )
        unread = [asking for asking in tried if judge.unread(asking, self.store)]
        if len(unread) < UNREADABLE or any(judge.reply(asking, self.store).state == READ for asking in tried):
            return
        self._ask_early(list(judge.repairs(unread, self.store)), REPAIRS)
        replies = [judge.reply(asking, self.store) for asking in unread]
        unusable = [reply for reply in replies if reply.state == UNUSABLE]
        if len(unusable) < UNREADABLE or any(reply.state == REPAIRED for reply in replies):
            return
        raise InputError(
            f"build.judge.llm: expected replies of {judge.llm.llm_id!r} that name one answer, got none among the first "
            f"{len(unusable)} and their repairs, such as {unusable[0].text[:SHOWN_CHARACTERS]!r}; name another LLM, or "
            "raise build.judge.max_tokens where replies are cut"
        )

    def _ask_early(self, calls: Sequence[Call], kind: str) -> Asked:
        asked = self._ask(calls, len(calls), kind, "off")
        answered, usd = self.early[kind]
        self.early[kind] = (answered + asked.answered, usd + asked.spent_usd)
        return asked

    def _ask(self, calls: Iterable[Call], total: int, kind: str, progress: str) -> Asked:
        most = self.live.build.max_usd
        left = None if most is None else max(0.0, most - self.spent_usd)
        asked = ask_all(calls, self.store, self.endpoints, total=total, max_usd=left, label=kind, progress=progress)
        self.spent_usd += asked.spent_usd
        return asked

    def _refused(self, call: Call) -> bool:
        error = self.store.error(call.key)
        return error is not None and error[0] == "request"
