"""An OpenAI-compatible API over real HTTP whose every reply a test decides, in a thread of this process."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from aiohttp import web

from configs.schema import Endpoint
from data_processing.llm_client import Call

Reply = web.StreamResponse
Handler = Callable[["Api", web.Request, dict[str, Any]], Awaitable[Reply]]


class Api:
    """What was asked, and the script: `handler(api, request, body)` gives each reply."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.under_way = self.most_under_way = 0
        self.url = ""

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][-1]["content"] for body in self.bodies]

    def endpoint(self, **fields: Any) -> Endpoint:
        return Endpoint.model_validate({"name": "api", "base_url": self.url, "retries": 0} | fields)

    async def _handle(self, request: web.Request) -> Reply:
        body = json.loads(await request.read())
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self.handler(self, request, body)
        finally:
            self.under_way -= 1


@contextlib.contextmanager
def serving(handler: Handler) -> Iterator[Api]:
    api = Api(handler)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def main() -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/v1/chat/completions", api._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def answer(text: str | None, usage: tuple[int, int] | None = (10, 5), **message: Any) -> web.Response:
    message = {"role": "assistant", "content": text, **message}
    body: dict[str, Any] = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return web.json_response(body)


def refusal(status: int, message: str, code: str | None = None, **headers: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": code}}, status=status, headers=headers)


async def echo(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
    """Answer each prompt with itself."""
    return answer(f"echo {body['messages'][-1]['content']}")


def script(*replies: Callable[[], Reply] | None) -> Handler:
    """Give these replies in turn, and echoes after them; None: cut the connection in the middle of a reply."""
    turns = iter(replies)

    async def handler(api: Api, request: web.Request, body: dict[str, Any]) -> Reply:
        make = next(turns, lambda: answer("at last"))
        if make is not None:
            return make()
        cut = web.StreamResponse(headers={"Content-Length": "1000"})
        await cut.prepare(request)
        await cut.write(b'{"choices": [')
        assert request.transport is not None
        request.transport.close()
        return cut

    return handler


def call(prompt: str, endpoint: str = "api", llm_id: str = "m", price: float = 1.0, **parameters: Any) -> Call:
    return Call(llm_id, llm_id, endpoint, (("user", prompt),), {"max_tokens": 5, **parameters}, price, price)


def some_calls(number: int, **fields: Any) -> Iterator[Call]:
    return (call(f"question {index}", **fields) for index in range(number))
