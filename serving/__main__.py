"""Open the page: `python -m serving --router runs/default/router`."""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from baselines.load import load_router, router_below
from configs.errors import InputError
from configs.load import load_config
from serving.answer import answering
from serving.desk import Desk
from serving.gradio_page import build_help, build_page, open_page
from serving.load import chooser_of

DONE, WRONG_INPUT, INTERRUPTED = 0, 2, 130
EPILOG = """Train a router first, which takes less than a minute on the simulated world:
  python run_exp.py --config configs/default.yaml
  python -m serving --router runs/default/router

The page shows which LLM the router picks while you type, for whom, how sure it is and what every LLM would bring and
cost. With --config it also has the LLM answer: sections build.endpoints and build.llms of that file say where LLMs are
asked, as for data construction, and the LLMs need the names they have in the router. Without any entry of your own
they are simulated, offline and free:
  python -m serving --router runs/default/router --config configs/default.yaml

A classifier between two LLMs has a page, too, with a slider for the probability from which on the strong one is asked;
--threshold has it start at what evaluation.calibrate found:
  python -m baselines.binary --config configs/routellm.yaml --output runs/binary
  python -m evaluation.calibrate --router runs/binary/router --prompts prompts.txt --strong-model-pct 0.3 \\
      --output threshold.json
  python -m serving --router runs/binary/router --threshold threshold.json

python serving/ui.py and python -m serving.ui are the same command.

Nothing is loaded from, or sent to, anywhere but this machine, apart from the questions that you have answered at an
endpoint. Nothing is kept. Ctrl-C ends it.

exit codes: 2 the input or the configuration is wrong (one line says what to do); 130 ended by Ctrl-C.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C; return the exit code."""
    options = _parser().parse_args(arguments)
    # An ordinary end for a server of simulated LLMs that may run beside it, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _serve(options)
    except InputError as err:
        sys.stderr.write(f"error: {err}\n")
        return WRONG_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE


def _serve(options: argparse.Namespace) -> None:
    config = None if options.config is None else load_config(options.config)
    with contextlib.ExitStack() as stack:
        try:
            router = load_router(options.router, "cpu")
        except InputError as err:
            below = router_below(options.router)
            remedy = "" if below else "make one: python run_exp.py --config configs/default.yaml\n"
            sys.stderr.write(f"no router: {err}\n{remedy}")
            blocks = build_help(str(err), options.router, below)
        else:
            chooser = chooser_of(router, options.threshold)
            answerer = None if config is None else stack.enter_context(answering(config, chooser.llm_ids))
            desk = Desk(chooser, answerer)
            desk.warm()
            blocks = build_page(desk)
        _warn_of_guests(options.host)
        stack.callback(blocks.close, verbose=False)
        sys.stdout.write(f"{open_page(blocks, options.host, options.port or _free_port(options.host))}\n")
        sys.stdout.flush()
        threading.Event().wait()


def _warn_of_guests(host: str) -> None:
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address("127.0.0.1" if host == "localhost" else host).is_loopback:
            return
    sys.stderr.write(
        f"warning: at {host} everyone who reaches this machine can use the page, and ask LLMs at your expense where "
        "--config is given\n"
    )


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.bind((host, 0))
        return int(taken.getsockname()[1])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="A page to try a trained router: type a question, see which LLM it picks, and why.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--router", type=Path, default=Path("runs/default/router"), metavar="DIR",
        help="the router/ folder of a run, or of baselines.binary (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, this machine)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen at; 0: any free one (default: 7860)")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a configuration whose section build says where LLMs are asked"
    )
    parser.add_argument(
        "--threshold", type=Path, metavar="FILE",
        help="where the slider of a two-LLM classifier starts: what evaluation.calibrate --output wrote",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
