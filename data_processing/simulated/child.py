"""The server's process: reads its settings from its input, tells its port, and ends when its input does."""

from __future__ import annotations

import asyncio
import json
import sys
import threading

import pydantic

from configs.errors import InputError
from data_processing.simulated.app import running
from data_processing.simulated.server import ServerSettings


async def main() -> None:
    """Serve until the parent closes the pipe, or is no more."""
    settings = pydantic.TypeAdapter(ServerSettings).validate_json(sys.stdin.buffer.readline())
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def watch() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    try:
        async with running(settings) as port:
            _tell({"port": port})
            threading.Thread(target=watch, daemon=True).start()
            await ended.wait()
    except InputError as err:
        _tell({"error": str(err)})


def _tell(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
