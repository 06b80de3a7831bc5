"""The server of simulated LLMs: routes, errors in OpenAI's shape, faults on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

from configs.errors import InputError
from data_processing.llm_client import Completion
from data_processing.simulated.embeddings import EMBEDDINGS, EmbeddingRequest, embeddings_body
from data_processing.simulated.ledger import Ledger
from data_processing.simulated.protocol import (
    ApiError,
    ChatRequest,
    chunk_bodies,
    completion_body,
    model_list,
    read_chat,
    read_object,
    request_key,
    validated,
)
from data_processing.simulated.responder import Responder, too_long
from data_processing.simulated.server import ServerSettings

CLIENT_GONE = 499  # as nginx calls it
SHUTDOWN_S = 0.2  # for replies under way when the server is told to end
EVENT_STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
JSON = "application/json"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def running(settings: ServerSettings) -> AsyncIterator[int]:
    """Serve for as long as the block and yield the port; `InputError` where it is taken or a file cannot be read."""
    service = Service(settings)
    service.ledger.open()
    runner = web.AppRunner(
        service.app(), access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=3600
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
        try:
            await site.start()
        except OSError as err:
            raise InputError(
                f"--port {settings.port}: expected to listen on {settings.host}, got: {err.strerror or err}; "
                "choose another port, or 0 for a free one"
            ) from err
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
        service.ledger.close()


class Service:
    """The handlers of one server."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._responder = Responder(settings)
        self.ledger = Ledger(settings.log)

    def app(self) -> web.Application:
        """Return the application with its routes."""
        app = web.Application(middlewares=[self._guard], client_max_size=self._settings.largest_body_bytes)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/embeddings", self.embeddings)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/v1/models/{model:.+}", self.model)
        app.router.add_get("/health", self.health)
        app.router.add_get("/stats", self.stats)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ask for the key where there is one, and turn every refusal into a body of OpenAI's shape."""
        try:
            self._check_key(request)
            return await handler(request)
        except ApiError as err:
            self.ledger.refused[err.status] += 1
            return web.json_response(err.body, status=err.status, headers=err.headers)
        except ConnectionResetError:  # the client is gone, and nobody will read this
            self.ledger.lost += 1
            return web.Response(status=CLIENT_GONE)
        except web.HTTPRequestEntityTooLarge:
            most = self._settings.largest_body_bytes
            error = ApiError(
                413, f"expected a body of at most {most:,} bytes, got more; send less", "request_too_large"
            )
        except web.HTTPException as err:
            error = ApiError(
                err.status, f"{request.method} {request.path}: {err.reason}; see GET /v1/models", "not_found"
            )
        self.ledger.refused[error.status] += 1
        return web.json_response(error.body, status=error.status)

    def _check_key(self, request: web.Request) -> None:
        key = self._settings.api_key
        given = request.headers.get("Authorization", "")
        if key is None or not request.path.startswith("/v1/"):
            return
        if not hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {key}".encode()):
            message = "expected the header Authorization: Bearer <key> with this server's key, got another or none"
            raise ApiError(401, message, "invalid_api_key", kind="authentication_error")

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        due = asyncio.get_running_loop().time() + self._settings.latency_s
        body = await request.read()
        fault = self._settings.faults.draw(self.ledger.number())
        if fault is not None:
            self.ledger.faults[fault] += 1
        await self._fail(request, fault)
        asked, content = read_chat(body)
        done = self._responder.answer(asked, nonsense=fault == "judge_nonsense")
        if fault == "empty":
            done = Completion("", done.input_tokens, 0, 0.0, finish_reason="stop")
        key = request_key(content)
        frame = {
            "id": f"chatcmpl-{key[:24]}",
            "created": int(time.time()),
            "model": asked.model,
            "system_fingerprint": f"simulated-{self._settings.seed}",
        }
        if self._settings.latency_s:
            # What the work took is part of the wait, as it would be with a real model.
            await asyncio.sleep(due - asyncio.get_running_loop().time())
        send = self._stream if asked.stream else self._whole
        response = await send(request, asked, frame, done, fault)
        if fault not in ("empty", "cut", "malformed"):
            self.ledger.delivered(asked.model, key, done.input_tokens, done.output_tokens)
        return response

    async def _fail(self, request: web.Request, fault: str | None) -> None:
        """Do what a fault does before there is an answer."""
        faults = self._settings.faults
        if fault == "rate_limit":
            headers = {"Retry-After": f"{faults.retry_after_s:g}"}
            raise ApiError(429, "injected: too many requests", "rate_limit_exceeded", None, "requests", headers)
        if fault == "server":
            raise ApiError(500, "injected: internal error", kind="server_error")
        if fault == "context_length":
            raise too_long(self._settings.context_tokens + 1, self._settings.context_tokens)
        if fault == "slow":
            await asyncio.sleep(faults.slow_s)
        if fault == "timeout":
            await asyncio.sleep(faults.hold_s)
            _hang_up(request)

    async def _whole(
        self, request: web.Request, asked: ChatRequest, frame: dict[str, Any], done: Completion, fault: str | None
    ) -> web.StreamResponse:
        text = json.dumps(completion_body(frame, done)).encode()
        if fault == "malformed":
            return await _sent(request, web.Response(body=text[: len(text) // 2], content_type=JSON))
        if fault == "cut":
            response = web.StreamResponse(headers={"Content-Type": JSON, "Content-Length": str(len(text))})
            await response.prepare(request)
            await response.write(text[: len(text) // 2])
            _hang_up(request)
            return response
        return await _sent(request, web.Response(body=text, content_type=JSON))

    async def _stream(
        self, request: web.Request, asked: ChatRequest, frame: dict[str, Any], done: Completion, fault: str | None
    ) -> web.StreamResponse:
        with_usage = asked.stream_options is not None and asked.stream_options.include_usage
        chunks = [json.dumps(chunk) for chunk in chunk_bodies(frame, done, with_usage)]
        response = web.StreamResponse(headers=EVENT_STREAM)
        await response.prepare(request)
        for number, chunk in enumerate(chunks):
            if number > len(chunks) // 2 and fault == "cut":
                _hang_up(request)
                return response
            broken = fault == "malformed" and number == len(chunks) // 2
            await response.write(f"data: {chunk[: len(chunk) // 2] if broken else chunk}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def embeddings(self, request: web.Request) -> web.Response:
        """POST /v1/embeddings."""
        asked = validated(EmbeddingRequest, read_object(await request.read()))
        if self._responder.model(asked.model)["id"] != EMBEDDINGS:
            message = f"model: expected {EMBEDDINGS}, got {asked.model!r}, which chats; ask it at /v1/chat/completions"
            raise ApiError(400, message, "unsupported_model", "model")
        return web.json_response(embeddings_body(asked))

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models."""
        return web.json_response(model_list(self._responder.models()))

    async def model(self, request: web.Request) -> web.Response:
        """GET /v1/models/<name>."""
        return web.json_response(self._responder.model(request.match_info["model"]))

    async def health(self, request: web.Request) -> web.Response:
        """GET /health."""
        return web.json_response({"status": "ok"})

    async def stats(self, request: web.Request) -> web.Response:
        """GET /stats, with ?keys=1 for how often each request was answered."""
        return web.json_response(self.ledger.stats(with_keys=request.query.get("keys") == "1"))


async def _sent(request: web.Request, response: web.Response) -> web.Response:
    """Send the response to its last byte: only then it counts as delivered."""
    await response.prepare(request)
    await response.write_eof()
    return response


def _hang_up(request: web.Request) -> None:
    """Close the connection at once, whatever is still to be sent."""
    if request.transport is not None:
        request.transport.close()
