"""Calls per second of the client with its store, against an API on this machine that answers after a set time.

python -m benchmarks.calls --calls 10000 --concurrency 64 --latency 0.02
python -m benchmarks.calls --steps    also: what the HTTP library and the SDK reach by themselves

The ideal is concurrency / latency. The API runs in a process of its own; `raw socket` shows what it can give at most.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import multiprocessing
import multiprocessing.connection
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import httpx2
import openai

from configs.schema import Endpoint
from data_processing.asking.ask import ask_all
from data_processing.asking.transport import AiohttpClient
from data_processing.cache import ResponseStore
from data_processing.llm_client import Call

QUESTION = "Which of the two trains arrives first, and by how many minutes? " * 4
MESSAGE = {"role": "assistant", "content": "The second train, which leaves later but is faster, by 12 minutes. " * 4}
REPLY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 64, "total_tokens": 124},
    }
).encode()
HTTP_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(REPLY), REPLY)
Worker = Callable[[int], Awaitable[None]]


class _Api:
    """Answers every request after the latency, neither earlier nor, as timers of the event loop do, a millisecond late.

    All requests wait equally long, so that those due next are always the first in the queue.
    """

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.due: collections.deque[tuple[float, asyncio.Transport]] = collections.deque()
        self.watching = False

    def asked(self, transport: asyncio.Transport) -> None:
        self.due.append((time.perf_counter() + self.latency_s, transport))
        if not self.watching:
            self.watching = True
            self._look()

    def _look(self) -> None:
        now = time.perf_counter()
        while self.due and self.due[0][0] <= now:
            self.due.popleft()[1].write(HTTP_REPLY)
        self.watching = bool(self.due)
        if self.due:
            left_s = self.due[0][0] - now
            loop = asyncio.get_running_loop()
            # The event loop's timers are up to a millisecond late; the last of it is waited for awake.
            loop.call_later(left_s - 0.0015, self._look) if left_s > 0.002 else loop.call_soon(self._look)


class _Connection(asyncio.Protocol):
    def __init__(self, api: _Api) -> None:
        self.api = api
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            start = head.find(b"content-length:") + len(b"content-length:")
            size = int(head[start:].split(b"\r\n", 1)[0])
            if len(self.buffer) < end + 4 + size:
                return
            self.buffer = self.buffer[end + 4 + size :]
            self.api.asked(self.transport)


def _serve(latency_s: float, port: multiprocessing.connection.Connection) -> None:
    async def main() -> None:
        api = _Api(latency_s)
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(api), "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextlib.contextmanager
def api(latency_s: float) -> Iterator[int]:
    """Yield the port of an API in a process of its own."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(latency_s, theirs), daemon=True)
    process.start()
    try:
        yield mine.recv()
    finally:
        process.terminate()
        process.join()


def calls(number: int) -> Iterator[Call]:
    """Yield that many different calls."""
    for index in range(number):
        yield Call(
            "m",
            "m",
            "local",
            (("user", f"{index}: {QUESTION}"),),
            {"temperature": 0.0, "seed": 0, "max_tokens": 512},
            0.1,
            0.4,
        )


async def _raw(port: int, concurrency: int, each: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(QUESTION), QUESTION.encode())

    async def worker() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(each):
            writer.write(request)
            await reader.readexactly(len(HTTP_REPLY))
        writer.close()

    await asyncio.gather(*(worker() for _ in range(concurrency)))


async def _aiohttp(port: int, concurrency: int, each: int) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def worker() -> None:
            for _ in range(each):
                async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", data=_body()) as reply:
                    json.loads(await reply.read())

        await asyncio.gather(*(worker() for _ in range(concurrency)))


async def _sdk(http: httpx2.AsyncClient | None, port: int, concurrency: int, each: int) -> None:
    url = f"http://127.0.0.1:{port}/v1"
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0, http_client=http) as client:

        async def worker() -> None:
            for _ in range(each):
                await client.chat.completions.create(
                    model="m",
                    messages=[{"role": "user", "content": QUESTION}],
                    temperature=0.0,
                    seed=0,
                    max_tokens=512,
                )

        await asyncio.gather(*(worker() for _ in range(concurrency)))


def _body() -> bytes:
    call = next(calls(1))
    messages = [{"role": role, "content": content} for role, content in call.messages]
    return json.dumps({"model": call.api_model, "messages": messages, **call.parameters}).encode()


def measure_steps(port: int, number: int, concurrency: int, ideal: float) -> None:
    """Print what each layer below the client reaches by itself."""
    each = number // concurrency
    unlimited = httpx2.Limits(max_connections=None, max_keepalive_connections=None)

    async def sdk_own() -> None:
        await _sdk(openai.DefaultAsyncHttpxClient(limits=unlimited), port, concurrency, each)

    async def sdk_aiohttp() -> None:
        await _sdk(openai.DefaultAioHttpClient(limits=unlimited), port, concurrency, each)

    async def sdk_ours() -> None:
        await _sdk(AiohttpClient(f"http://127.0.0.1:{port}", 60.0), port, concurrency, each)

    steps: dict[str, Callable[[], Awaitable[None]]] = {
        "raw socket": lambda: _raw(port, concurrency, each),
        "aiohttp": lambda: _aiohttp(port, concurrency, each),
        "SDK on httpx2": sdk_own,
        "SDK on its aiohttp": sdk_aiohttp,
        "SDK on AiohttpClient": sdk_ours,
    }
    for name, step in steps.items():
        start, cpu = time.perf_counter(), time.process_time()
        asyncio.run(_awaited(step))
        _print(name, each * concurrency, time.perf_counter() - start, time.process_time() - cpu, ideal)


async def _awaited(step: Callable[[], Awaitable[None]]) -> None:
    await step()


def measure_client(port: int, number: int, concurrency: int, ideal: float) -> None:
    """Print what `ask_all` with a store reaches, and how its memory grows."""
    endpoint = Endpoint(name="local", base_url=f"http://127.0.0.1:{port}/v1", concurrency=concurrency)
    memory: list[float] = []

    def watched() -> Iterator[Call]:
        for index, call in enumerate(calls(number)):
            if index % (number // 5) == 0:
                memory.append(_resident_mib())
            yield call

    with tempfile.TemporaryDirectory() as folder, ResponseStore(Path(folder) / "store.sqlite") as store:
        start, cpu = time.perf_counter(), time.process_time()
        asked = ask_all(watched(), store, [endpoint], total=number, progress="off")
        _print("client and store", asked.answered, time.perf_counter() - start, time.process_time() - cpu, ideal)
        memory.append(_resident_mib())
    shown = ", ".join(f"{mib:.1f}" for mib in memory)
    print(f"  MiB at every fifth of the {number:,} calls: {shown}; {asked.failed} failed")


def _resident_mib() -> float:
    """Return the resident size of this process, in MiB (Linux only)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _print(name: str, number: int, seconds: float, cpu_s: float, ideal: float) -> None:
    rate = number / seconds
    print(
        f"{name:22} {rate:7,.0f} calls/s  {rate / ideal:6.1%} of the ideal  {cpu_s:6.2f} s of CPU "
        f"({cpu_s / number * 1e6:,.0f} us a call)",
        flush=True,
    )


def main() -> None:
    """Measure and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds after which the API answers")
    parser.add_argument("--steps", action="store_true", help="also measure the layers below by themselves")
    args = parser.parse_args()
    ideal = args.concurrency / args.latency
    with api(args.latency) as port:
        print(f"ideal: {ideal:,.0f} calls/s")
        if args.steps:
            measure_steps(port, args.calls, args.concurrency, ideal)
        measure_client(port, args.calls, args.concurrency, ideal)


if __name__ == "__main__":
    main()
