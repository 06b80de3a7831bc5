"""Requests and tokens per minute, by a clock that only waiting moves."""

import asyncio

import pytest

from data_processing.asking.limits import RateLimits


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def starts(limits: RateLimits, clock: Clock, tokens: list[float]) -> list[float]:
    """Return when each of these requests may begin, in seconds after the first look."""
    begin = clock.now_s

    async def go() -> list[float]:
        times = []
        for number in tokens:
            await limits.reserve(number)
            times.append(clock.now_s - begin)
        return times

    return asyncio.run(go())


def limited(requests: int | None = None, tokens: int | None = None) -> tuple[RateLimits, Clock]:
    clock = Clock()
    return RateLimits(requests, tokens, clock, clock.sleep), clock


def test_no_more_requests_than_the_limit_begin_within_any_minute() -> None:
    limits, clock = limited(requests=3)
    times = starts(limits, clock, [0.0] * 10)
    assert times[:3] == [0, 0, 0]
    assert all(later - earlier >= 60 for earlier, later in zip(times, times[3:], strict=False))
    assert times[-1] < 181, "waiting longer than the limit asks for"


def test_tokens_are_limited_apart_from_requests() -> None:
    limits, clock = limited(requests=100, tokens=1000)
    times = starts(limits, clock, [600, 300, 300, 100])
    assert times[:2] == [0, 0]
    assert times[2] == pytest.approx(60, abs=0.1)


def test_tokens_that_were_not_used_are_given_back() -> None:
    limits, clock = limited(tokens=1000)

    async def go() -> float:
        first = await limits.reserve(900)
        limits.correct(first, 100)
        await limits.reserve(900)
        return clock.now_s

    assert asyncio.run(go()) == 1000.0


def test_a_correction_after_the_minute_changes_nothing() -> None:
    limits, clock = limited(tokens=1000)

    async def go() -> None:
        first = await limits.reserve(900)
        clock.now_s += 61
        await limits.reserve(10)
        limits.correct(first, 100)
        assert limits.tokens == 10

    asyncio.run(go())


def test_a_request_above_the_limit_of_tokens_is_let_through_alone() -> None:
    limits, clock = limited(tokens=1000)
    assert starts(limits, clock, [10, 5000])[1] == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize("requests", [None, 50])
def test_a_pause_holds_all_requests(requests: int | None) -> None:
    limits, clock = limited(requests=requests)
    limits.pause(7.0)
    limits.pause(2.0)  # a shorter one does not end a longer one
    assert starts(limits, clock, [0.0, 0.0]) == [7.0, 7.0]


def test_first_come_first_served() -> None:
    limits, _ = limited(requests=1)
    order: list[int] = []

    async def ask(number: int) -> None:
        await limits.reserve(0.0)
        order.append(number)

    async def go() -> None:
        await asyncio.gather(*(ask(number) for number in range(5)))

    asyncio.run(go())
    assert order == [0, 1, 2, 3, 4]
