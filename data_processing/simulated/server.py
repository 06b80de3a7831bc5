"""A local OpenAI-compatible server of simulated LLMs, in a process of its own.

    with serving(ServerSettings()) as base_url:
        client = openai.OpenAI(base_url=base_url, api_key="none")

The server's world has one seed. At temperature 0 an answer to a question of the simulated world is the one that
`build_world` of that seed has in its tables, whatever seed a request names; at any other temperature the request's seed
draws the LLM's luck anew. The same request always gets the same answer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pydantic

from configs.errors import InputError
from configs.schema import Config, project_root
from data_processing.simulated.faults import Faults
from data_processing.simulated.profiles import PROFILES
from data_processing.tables import find_table
from data_processing.workspace import Workspace

SIMULATED = "simulated"  # the base_url of an endpoint that is started for the occasion
END_S = 5.0  # a server that is told to end and does not within this time is killed


@dataclasses.dataclass(frozen=True)
class ServerSettings:
    """What a server serves.

    `llms` is how many of `profiles`, `seed` the world's; `answer_key` is a file or folder for `AnswerKey.of`. Every
    answer is held back for `latency_s` seconds. Prompts longer than `context_tokens` and bodies above
    `largest_body_bytes` are refused. `port` 0 is a free one. `log` is a file to which each answer delivered is
    appended. `judge_position_bias` and `judge_wordy` are those of `SimulatedJudge`.
    """

    llms: int = len(PROFILES)
    seed: int = 0
    answer_key: Path | None = None
    faults: Faults = dataclasses.field(default_factory=Faults)
    latency_s: float = 0.0
    context_tokens: int = 32768
    largest_body_bytes: int = 32 * 2**20
    api_key: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    log: Path | None = None
    judge_position_bias: float = 0.0
    judge_wordy: float = 0.0


@contextlib.contextmanager
def serving(settings: ServerSettings) -> Iterator[str]:
    """Run a server in a child process and yield its address, such as `http://127.0.0.1:43210/v1`.

    It is ready when the address is there, and gone when the block is left, or this process has died, however it died.
    Raises `InputError` where it cannot start: the port is taken, the answer key cannot be read.
    """
    path = os.pathsep.join(filter(None, [str(project_root()), os.environ.get("PYTHONPATH")]))
    child = subprocess.Popen(
        [sys.executable, "-m", "data_processing.simulated.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        # Ctrl-C in a terminal goes to the whole foreground group: this process decides when the server ends.
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield f"http://{settings.host}:{_started(child.stdin, child.stdout, settings)}/v1"
    finally:
        _end(child)


def _started(told: IO[bytes], tells: IO[bytes], settings: ServerSettings) -> int:
    """Tell the child its settings and return the port on which it listens."""
    # Settings may hold a key, which on the command line any user of the machine could read.
    with contextlib.suppress(BrokenPipeError):  # a child that died at once: said below
        told.write(pydantic.TypeAdapter(ServerSettings).dump_json(settings) + b"\n")
        told.flush()
    reply = json.loads(tells.readline() or b'{"error": "the server of simulated LLMs died at its start"}')
    if "error" in reply:
        raise InputError(reply["error"])
    return int(reply["port"])


def _end(child: subprocess.Popen[bytes]) -> None:
    # The end of its input tells the child to end; it sees the same where this process dies.
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()  # type: ignore[union-attr]
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()  # type: ignore[union-attr]


@contextlib.contextmanager
def endpoints_up(config: Config, workspace: Workspace) -> Iterator[Config]:
    """Yield the configuration with a real address for each endpoint whose base_url is `simulated`.

    A server runs for as long as the block where there is such an endpoint, of the simulated world of the configuration.
    Where the workspace has its questions already, their ground truths are its answer key.
    """
    endpoints = config.build.endpoints
    if all(endpoint.base_url != SIMULATED for endpoint in endpoints):
        yield config
        return
    world = config.data.simulated
    keyed = find_table(workspace.tables, "queries") and find_table(workspace.tables, "tasks")
    settings = ServerSettings(
        # Never fewer than the written ones: an LLM of the configuration may be any of them.
        llms=max(world.llms, len(PROFILES)),
        seed=world.seed,
        answer_key=workspace.tables.resolve() if keyed else None,
    )
    with serving(settings) as base_url:
        up = tuple(
            endpoint.model_copy(update={"base_url": base_url}) if endpoint.base_url == SIMULATED else endpoint
            for endpoint in endpoints
        )
        yield config.model_copy(update={"build": config.build.model_copy(update={"endpoints": up})})
