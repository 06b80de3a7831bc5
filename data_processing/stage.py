"""The command line that every stage of data construction shares."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from configs.errors import InputError
from configs.load import load_config
from configs.schema import Config
from data_processing.workspace import Workspace

DONE, WRONG_INPUT, INTERRUPTED = 0, 2, 130
EPILOG = """Everything lies in <build.folder>/<name>/. A stage may be run again at any time: what an LLM has answered is
kept in responses.sqlite there and never asked, nor paid, a second time. Ctrl-C keeps what came back.

exit codes: 0 done; 2 the input or the configuration is wrong, or the budget is used up (one line says what to do); 130
interrupted, with what came back kept.
"""


@dataclasses.dataclass(frozen=True)
class Done:
    """What a stage has to say, a line each, and what it spent in this process, in US dollars."""

    notes: Sequence[str]
    spent_usd: float = 0.0


Run = Callable[[Config, Workspace], Done]


def parser(description: str, epilog: str = EPILOG) -> argparse.ArgumentParser:
    """Return the options that all stages take."""
    out = argparse.ArgumentParser(
        prog=f"python -m data_processing.{Path(sys.argv[0]).stem}",  # a file's name alone starts nothing
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out.add_argument(
        "--config", "--config_file", dest="config", required=True, type=Path, metavar="FILE",
        help="the experiment; its section `build` says what is asked of whom, see configs/default.yaml",
    )  # fmt: skip
    out.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="change one key, e.g. --set build.queries_per_task=20"
    )
    out.add_argument(
        "--max-usd", type=float, metavar="USD",
        help="most US dollars that this command may spend (build.max_usd): no call is begun that could exceed it",
    )  # fmt: skip
    return out


def configured(options: argparse.Namespace) -> Config:
    """Return the configuration that the options of `parser` ask for."""
    budget = [] if options.max_usd is None else [f"build.max_usd={options.max_usd}"]
    return load_config(options.config, [*(options.set or ()), *budget])


def stage_main(run: Run, description: str, argv: Sequence[str] | None = None) -> int:
    """Run one stage from the command line, print its notes, and return the exit code."""
    options = parser(description).parse_args(argv)

    def work() -> None:
        config = configured(options)
        start_logging(config)
        tell(run(config, Workspace.of(config)).notes)

    return guarded(work)


def guarded(work: Callable[[], None]) -> int:
    """Do the work; return the exit code, with one line on stderr where a person has to do something."""
    try:
        work()
    except InputError as err:
        sys.stderr.write(f"error: {err}\n")
        return WRONG_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: what came back is kept; run the same command again to go on\n")
        return INTERRUPTED
    return DONE


def start_logging(config: Config) -> None:
    """Log to stderr from `tracking.log_level` on."""
    logging.basicConfig(level=config.tracking.log_level.upper(), format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    # At "info" these two write a line for every call.
    for name in ("httpx", "httpx2", "openai"):
        logging.getLogger(name).setLevel(logging.WARNING)


def tell(notes: Sequence[str]) -> None:
    """Print notes, one line each; half a character that came from an LLM is written as its escape."""
    for note in notes:
        sys.stdout.write(note.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
    sys.stdout.flush()
