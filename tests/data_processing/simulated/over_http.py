"""What the tests of the server share: a server in this process, and short ways to ask it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai

from data_processing.simulated.app import running
from data_processing.simulated.server import ServerSettings

PROMPT = "Give three tips on choosing climbing shoes, addressed to a small team."
SAID = [{"role": "user", "content": PROMPT}]
MODEL = "simulated/nimbus-8b"


@contextlib.contextmanager
def hosted(settings: ServerSettings) -> Iterator[str]:
    """Serve from a thread of this process, which starts sooner than a process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = running(settings)
    try:
        port = asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
        yield f"http://127.0.0.1:{port}/v1"
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def ask(client: openai.OpenAI, **changes: Any) -> Any:
    return client.chat.completions.create(**{"model": MODEL, "messages": SAID, "temperature": 0, **changes})


def get(url: str, path: str) -> Any:
    with urllib.request.urlopen(url.removesuffix("/v1") + path, timeout=10) as reply:
        return json.load(reply)
