"""An OpenAI-compatible server whose every answer is a function of the request, for tests over real HTTP."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

Body = dict[str, Any]
# The text of the answer, or an HTTP status above 399 with the message of the error.
Answer = Callable[[Body], str | tuple[int, str]]


@contextlib.contextmanager
def scripted_llm(answer: Answer) -> Iterator[tuple[str, list[Body]]]:
    """Yield the base URL of the server and the list of the requests it got so far."""
    requests: list[Body] = []

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        requests.append(body)
        said = answer(body)
        if not isinstance(said, str):
            status, message = said
            return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=status)
        message = {"role": "assistant", "content": said}
        return web.json_response(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
            }
        )

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", complete)
    with _running(app) as port:
        yield f"http://127.0.0.1:{port}/v1", requests


@contextlib.contextmanager
def _running(app: web.Application) -> Iterator[int]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(app)

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner.addresses[0][1]

    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
