"""Asks what the store lacks, many calls at once, and stores what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Sequence

from configs.errors import InputError
from configs.schema import Endpoint
from data_processing.asking.budget import Budget
from data_processing.asking.openai_client import OpenAIClient
from data_processing.asking.progress import Asked, Tally
from data_processing.asking.trouble import Trouble
from data_processing.cache import Outcome, ResponseStore
from data_processing.llm_client import BudgetReachedError, Call, CallError, Completion

LOG = logging.getLogger(__name__)
CHUNK = 256  # calls that are looked up and claimed at once
# Calls that are claimed and wait at most, so that memory does not grow with their number. It lets one endpoint lag
# behind the others by this many calls; where it lags further they wait for it, as the end of the run has to anyway.
WINDOW = 2048
# Windows of other processes that are read past, to find calls that nobody asks yet.
OTHERS = 4
# What came back is committed together every so often. A kill loses at most this much, as it loses the calls under way,
# and a commit of its own for every answer costs 2.5 times the CPU: 50 us instead of 20 us a call.
SAVE_S = 0.02
SAVE_AT = 64
COLLECT_AT = (100_000, 50, 50)  # objects more than before, and generations of them, at which cycles are looked for
LOOK_S = 0.2  # between two looks at what another process is asking

__all__ = ["Asked", "ask_all"]


def ask_all(
    calls: Iterable[Call],
    store: ResponseStore,
    endpoints: Sequence[Endpoint],
    *,
    total: int | None = None,
    max_usd: float | None = None,
    label: str = "calls",
    progress: str = "auto",
) -> Asked:
    """Ask every call that the store has no answer to, former failures too, and store answers and errors.

    Equal calls are asked once. Two processes may do this at once with one store: each call is asked by one of them.
    Calls are read as they are needed; `total` is their number, for the bar and messages. No call begins that could
    bring what this run spends above `max_usd`.

    Raises, always after what came back is stored: `BudgetReachedError`; `InputError` where a key is missing or refused,
    an endpoint is not reached or knows no such model, a call has no greatest cost under a budget, or the store cannot
    be written; `KeyboardInterrupt`. Other failures are stored and counted.
    """
    with _rare_collections():
        return asyncio.run(_Run(store, endpoints, total, max_usd, label, progress).finish(calls))


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for garbage cycles seldom, and not among what is there already.

    At its usual pace that takes a tenth of the time of a call, to find next to nothing. Both settings are global, so
    they are put back.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*COLLECT_AT)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class _Run:
    def __init__(
        self,
        store: ResponseStore,
        endpoints: Sequence[Endpoint],
        total: int | None,
        max_usd: float | None,
        label: str,
        progress: str,
    ) -> None:
        self.store = store
        self.client = OpenAIClient(endpoints)
        self.budget = Budget(max_usd)
        self.trouble = Trouble(endpoints)
        self.tally = Tally(total, label, progress)
        self.since_s = time.time()  # failures from now on are of this run and are not retried in it
        self.queues: dict[str, asyncio.Queue[Call | None]] = {}  # by endpoint: a slow one holds up no other
        self.workers: dict[str, int] = {}
        self.waiting = 0  # calls that are claimed and not done
        self.room = asyncio.Event()
        self.elsewhere: dict[str, Call] = {}  # calls that another process is asking
        self.unsaved: list[Outcome] = []
        self.stop: InputError | None = None

    async def finish(self, calls: Iterable[Call]) -> Asked:
        try:
            async with self.client:
                await self._ask(iter(calls))
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            try:
                self._save()
            finally:
                self.tally.bar.close()
                self.store.release_claims()
        if self.stop is not None:
            raise self.stop
        if self.budget.reached:
            raise self._budget_reached()
        return self.tally.asked(self.budget.spent_usd)

    async def _ask(self, calls: Iterator[Call]) -> None:
        async with asyncio.TaskGroup() as group:
            saver = group.create_task(self._save_regularly())
            async with asyncio.TaskGroup() as askers:
                await self._read(calls, askers)
                for endpoint, queue in self.queues.items():
                    for _ in range(self.workers[endpoint]):
                        queue.put_nowait(None)
            saver.cancel()

    @property
    def _stopping(self) -> bool:
        return self.stop is not None or self.budget.reached

    async def _read(self, calls: Iterator[Call], askers: asyncio.TaskGroup) -> None:
        """Hand calls to the workers of their endpoints, as far as they are to be asked here."""
        while not self._stopping and (chunk := list(itertools.islice(calls, CHUNK))):
            await self._until_room()
            keyed = {call.key: call for call in chunk}
            self.tally.add_stored(len(chunk) - len(keyed))
            self._claim(keyed, askers)
            while len(self.elsewhere) >= OTHERS * WINDOW and not self._stopping:
                await self._look_elsewhere(askers)
        if self.elsewhere:
            LOG.info("%d calls are being asked by another process; waiting for it", len(self.elsewhere))
        while self.elsewhere and not self._stopping:
            await self._look_elsewhere(askers)

    async def _until_room(self) -> None:
        while self.waiting >= WINDOW and not self._stopping:
            self.room.clear()
            await self.room.wait()

    async def _look_elsewhere(self, askers: asyncio.TaskGroup) -> None:
        await asyncio.sleep(LOOK_S)
        await self._until_room()
        for chunk in _split(self.elsewhere, CHUNK):
            self._claim(chunk, askers)

    def _claim(self, keyed: dict[str, Call], askers: asyncio.TaskGroup) -> None:
        for key, state in self.store.claim(list(keyed), self.since_s).items():
            if state == "elsewhere":
                self.elsewhere[key] = keyed[key]
                continue
            self.elsewhere.pop(key, None)
            failure = self.store.error(key) if state == "failed" else None
            if failure is not None:
                self.tally.add_failed(*failure)
            elif state == "own":
                self.waiting += 1
                self._queue(keyed[key], askers).put_nowait(keyed[key])
            else:
                self.tally.add_stored(1)

    def _queue(self, call: Call, askers: asyncio.TaskGroup) -> asyncio.Queue[Call | None]:
        if call.endpoint not in self.queues:
            queue = self.queues[call.endpoint] = asyncio.Queue()
            self.workers[call.endpoint] = self.client.concurrency_of(call)
            for _ in range(self.workers[call.endpoint]):
                askers.create_task(self._work(queue))
        return self.queues[call.endpoint]

    async def _work(self, queue: asyncio.Queue[Call | None]) -> None:
        while (call := await queue.get()) is not None:
            if not self._stopping:
                await self._ask_one(call)
            self.waiting -= 1
            self.room.set()

    async def _ask_one(self, call: Call) -> None:
        reserved_usd = await self.budget.admit(call)
        if reserved_usd is None:
            return
        failed_usd = 0.0

        def billed(input_tokens: int, output_tokens: int) -> bool:
            nonlocal failed_usd
            failed_usd += call.cost_of(input_tokens, output_tokens)
            return self.budget.charge(call.cost_of(input_tokens, output_tokens))

        result: Completion | CallError
        try:
            result = await self.client.ask(call, billed)
        except CallError as err:
            result = err
        self.budget.settle(reserved_usd, call.cost_usd(result) if isinstance(result, Completion) else 0.0)
        self.unsaved.append(Outcome(call, result, failed_usd))
        if len(self.unsaved) >= SAVE_AT:
            self._save()
        if self.stop is None and (reason := self.trouble.after(call, result)) is not None:
            self.stop = reason
            self.client.retrying = False  # what is under way may still be answered, and has been paid then

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(SAVE_S)
            self._save()
            self.store.heartbeat()

    def _save(self) -> None:
        if self.unsaved:
            outcomes = self.unsaved
            self.store.put_all(outcomes)  # where it fails they stay, for the last try as the run ends
            self.unsaved = []
            self.tally.add(outcomes, self.budget.spent_usd)

    def _budget_reached(self) -> BudgetReachedError:
        total = self.tally.total
        left = "some calls are" if total is None else f"{total - self.tally.done:,} of {total:,} calls are"
        return BudgetReachedError(
            f"build.max_usd: expected to finish within ${self.budget.max_usd:g}, got to ${self.budget.spent_usd:.6g} "
            f"and the next call might exceed it; {left} left, what was answered is stored; run again with a higher "
            "--max-usd, or the same (it counts what one run spends)"
        )


def _split(keyed: dict[str, Call], size: int) -> list[dict[str, Call]]:
    keys = list(keyed)
    return [{key: keyed[key] for key in keys[start : start + size]} for start in range(0, len(keys), size)]


def _first(group: BaseExceptionGroup) -> BaseException:
    """Return the first single exception of a group; the others are of the same cause, such as a full disk."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
