"""Serve simulated LLMs over the OpenAI API on this machine, for tests and for a first look without any key.

They are made up: names, prices, skills and answers. They answer the questions of the simulated world (data.source
simulated), and those of an answer key, right or wrong as their profile says; to anything else they reply that they are
simulated.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from configs.errors import InputError
from data_processing.simulated.faults import KINDS, Faults, read_rates
from data_processing.simulated.server import ServerSettings

DONE, WRONG_INPUT, INTERRUPTED = 0, 2, 130
EPILOG = """example:
  python -m data_processing.simulated --serve --port 8001
  curl http://127.0.0.1:8001/v1/chat/completions -H 'Content-Type: application/json' -d '{
    "model": "simulated/nimbus-8b", "temperature": 0,
    "messages": [{"role": "user",
                  "content": "Give three tips on choosing climbing shoes, addressed to a small team."}]}'

addresses:
  POST /v1/chat/completions   GET /v1/models   POST /v1/embeddings   GET /health
  GET  /stats                 what was served; /stats?keys=1 how often each request was answered
models: simulated/<llm_id> as GET /v1/models lists them, simulated/judge, simulated/labeller,
  simulated/hashing-embeddings

kinds of faults, drawn anew for every request, so that each passes when the same is asked again:
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not options.serve:
        parser.error("expected --serve, the one thing to do here; see --help for an example")
    try:
        settings = _settings(options)
        # Imported late, so that --help and wrong options are answered at once.
        from data_processing.simulated.app import running

        async def serve() -> None:
            ended = asyncio.Event()
            with contextlib.suppress(NotImplementedError):  # a platform without signals of this kind
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
            async with running(settings) as port:
                address = f"http://{settings.host}:{port}/v1"
                sys.stdout.write(f"{settings.llms} simulated LLMs and a judge at {address}; Ctrl-C ends\n")
                sys.stdout.flush()
                await ended.wait()

        asyncio.run(serve())
    except InputError as err:
        sys.stderr.write(f"error: {err}\n")
        return WRONG_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _parser() -> argparse.ArgumentParser:
    kinds = "\n".join(f"  {kind:<16}{text}" for kind, text in KINDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m data_processing.simulated",
        description=__doc__,
        epilog=EPILOG + kinds,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = ServerSettings()
    add = parser.add_argument
    add("--serve", action="store_true", help="start the server")
    add("--host", default=default.host, help="address to listen on (default: %(default)s, this machine only)")
    add("--port", type=int, default=8001, help="port, 0 for a free one (default: %(default)s)")
    add("--llms", type=int, default=default.llms, help="number of LLMs (default: %(default)s)")
    add("--seed", type=int, default=default.seed, help="seed of the world, as data.simulated.seed (default: 0)")
    add("--answer-key", type=Path, metavar="PATH", help="file with query, ground_truth, metric (and task_id), or a "
        "folder with the tables queries and tasks: questions the LLMs then answer as their skill says")  # fmt: skip
    add("--api-key-env", metavar="NAME", help="environment variable with the key to ask for (default: no key)")
    add("--latency", type=float, default=0.0, metavar="S", help="seconds before each answer (default: 0)")
    add("--context-tokens", type=int, default=default.context_tokens, metavar="N",
        help="longest prompt of every model, in tokens (default: %(default)s)")  # fmt: skip
    add("--log", type=Path, metavar="FILE", help="append a line of JSON for each answer delivered")
    add("--faults", type=float, default=0.0, metavar="RATE", help="share of requests that fail, in all ways alike")
    add("--fault", action="append", default=[], metavar="KIND=RATE", help="share of requests that fail in one way")
    add("--fault-seed", type=int, default=0, metavar="N", help="seed of the faults (default: 0)")
    add("--judge-position-bias", type=float, default=0.0, metavar="X", help="what the judge likes the first answer "
        "shown better than the last (default: 0; likings of answers differ by about 1)")  # fmt: skip
    add("--judge-wordy", type=float, default=0.0, metavar="RATE", help="share of the judge's replies with words around "
        "the number, where JSON is not asked for")  # fmt: skip
    return parser


def _settings(options: argparse.Namespace) -> ServerSettings:
    for name, least, most in (
        ("port", 0, 65535),
        ("llms", 1, 1000),
        ("latency", 0, 3600),
        ("context_tokens", 1, 10**9),
    ):
        value = getattr(options, name)
        if not least <= value <= most:
            flag = name.replace("_", "-")
            raise InputError(f"--{flag}: expected a number from {least} to {most}, got {value:g}; change it")
    if not 0 <= options.judge_wordy <= 1:
        raise InputError(f"--judge-wordy: expected a share in [0, 1], got {options.judge_wordy:g}; change it")
    key = None
    if options.api_key_env is not None:
        key = os.environ.get(options.api_key_env, "").strip()
        if not key:
            raise InputError(
                f"--api-key-env: expected a key in the environment variable {options.api_key_env}, got none; "
                f"export {options.api_key_env}=<key>"
            )
    return ServerSettings(
        llms=options.llms,
        seed=options.seed,
        answer_key=options.answer_key,
        faults=Faults(read_rates(options.faults, options.fault), options.fault_seed),
        latency_s=options.latency,
        context_tokens=options.context_tokens,
        api_key=key,
        host=options.host,
        port=options.port,
        log=options.log,
        judge_position_bias=options.judge_position_bias,
        judge_wordy=options.judge_wordy,
    )


if __name__ == "__main__":
    sys.exit(main())
