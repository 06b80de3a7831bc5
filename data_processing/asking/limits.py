"""How fast one endpoint is asked: requests and tokens per minute, and the pauses it asks for."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import time
from collections.abc import Awaitable, Callable

WINDOW_S = 60.0


@dataclasses.dataclass
class Reservation:
    """One request within the last minute: when it began and the tokens it takes, first guessed, then known."""

    at_s: float
    tokens: float


class RateLimits:
    """A sliding window: at most so many requests and tokens begin within any 60 seconds. None: no limit.

    A window instead of a bucket that refills, because a bucket lets twice the limit through in its first minute.
    `clock` and `sleep` are for tests.
    """

    def __init__(
        self,
        requests_per_minute: int | None,
        tokens_per_minute: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self.clock, self.sleep = clock, sleep
        self.recent: collections.deque[Reservation] = collections.deque()
        self.tokens = 0.0  # the sum over `recent`
        self.paused_until_s = 0.0
        self.turn = asyncio.Lock()  # first come, first served

    async def reserve(self, tokens: float) -> Reservation:
        """Wait until a request of so many tokens may begin, and count it."""
        limited = self.requests_per_minute is not None or self.tokens_per_minute is not None
        if not limited and self.clock() >= self.paused_until_s:
            return Reservation(0.0, tokens)
        async with self.turn:
            while (wait_s := self._wait_s(tokens)) > 0:
                await self.sleep(wait_s)
            mine = Reservation(self.clock(), tokens)
            if limited:
                self.recent.append(mine)
                self.tokens += tokens
        return mine

    def correct(self, mine: Reservation, tokens: float) -> None:
        """Put the tokens that a request took in place of those that were guessed."""
        if self.recent and mine.at_s >= self.recent[0].at_s:  # else it has left the window
            self.tokens += tokens - mine.tokens
        mine.tokens = tokens

    def pause(self, seconds: float) -> None:
        """Let no request begin for so long: the endpoint asked for it, and it means all requests."""
        self.paused_until_s = max(self.paused_until_s, self.clock() + seconds)

    def _wait_s(self, tokens: float) -> float:
        """Return the seconds until the next look; 0 where a request may begin."""
        now = self.clock()
        if now < self.paused_until_s:
            return self.paused_until_s - now
        while self.recent and self.recent[0].at_s <= now - WINDOW_S:
            self.tokens -= self.recent.popleft().tokens
        if not self.recent:  # also a request of more tokens than the limit begins here; it would wait for ever
            self.tokens = 0.0
            return 0.0
        full = self.requests_per_minute is not None and len(self.recent) >= self.requests_per_minute
        if self.tokens_per_minute is not None:
            full = full or self.tokens + tokens > self.tokens_per_minute
        # Never 0 for a full window: the difference of two clock readings may round to it.
        return max(self.recent[0].at_s + WINDOW_S - now, 1e-3) if full else 0.0
