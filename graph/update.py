"""Teach a trained router without training: `python -m graph.update observe --router DIR --user me ...`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from configs.errors import InputError
from configs.preferences import PREFERENCE_WORDS
from data_processing.tables import read_table
from graph.router import Router

EPILOG = """examples:
  python -m graph.update observe --router runs/default/router --user me --interactions liked.jsonl
      liked.jsonl, one per line: {"query": "What is 17 * 3?", "llm_id": "lantern-max"}; "query_id" and "reward" as well
  python -m graph.update prefer --router runs/default/router --user me "cost first"
  python -m graph.update probes --router runs/default/router --count 50 > probes.jsonl
      questions to ask a new LLM; fill in its "performance" in [0, 1] and "cost_usd", then:
  python -m graph.update add-llm --router runs/default/router --id new-llm --input-price 0.2 --output-price 0.6 \\
      --description "A small, fast model" --probes probes.jsonl
  python -m graph.update remove-llm --router runs/default/router --id new-llm

The router's folder is replaced in one step, or --output names another. Nothing is trained.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 where the input is wrong, or 130 after Ctrl-C."""
    options = _parser().parse_args(arguments)
    command: Callable[[Router, argparse.Namespace], str] = options.command
    try:
        router = Router.load(options.router, device="cpu")
        message = command(router, options)
        if command is not probes:
            target = Path(options.output or options.router)
            replace(router, target)
            message += f"; kept in {target}"
    except InputError as err:
        sys.stderr.write(f"error: {err}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    # Half a character (a lone surrogate) cannot be written; replaced it is JSON's own escape of it.
    sys.stdout.write(message.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
    return 0


def observe(router: Router, options: argparse.Namespace) -> str:
    """Learn from what a user chose."""
    table = read_table(options.interactions)
    router.observe(options.user, table)
    wish = router.wish(options.user)
    if wish.preference is None:
        return f"{options.user}: {len(table)} interactions; {wish.words}"
    return (
        f"{options.user}: {len(table)} interactions; performance now weighs {wish.preference:.2f} and cost "
        f"{1 - wish.preference:.2f} ({wish.source})"
    )


def prefer(router: Router, options: argparse.Namespace) -> str:
    """Keep, or take back, what a user states."""
    router.state_preference(options.user, None if options.preference == "none" else options.preference)
    wish = router.wish(options.user)
    known = wish.words if wish.preference is None else f"performance now weighs {wish.preference:.2f}"
    return f"{options.user}: {known} ({wish.source})"


def add_llm(router: Router, options: argparse.Namespace) -> str:
    """Choose also among a new LLM."""
    table = None
    if options.probes:
        table = read_table(options.probes)
        table = table[[column for column in table.columns if column not in ("task_id",)]]
    fields = {
        "llm_id": options.id,
        "description": options.description,
        "family": options.family,
        "input_price_usd_per_mtok": options.input_price,
        "output_price_usd_per_mtok": options.output_price,
    }
    router.add_llm(fields, table)
    return f"{options.id}: added with {0 if table is None else len(table)} outcomes; now {len(router.llm_ids)} LLMs"


def remove_llm(router: Router, options: argparse.Namespace) -> str:
    """Never choose an LLM again."""
    router.remove_llm(options.id)
    return f"{options.id}: removed; {len(router.llm_ids)} LLMs are left"


def probes(router: Router, options: argparse.Namespace) -> str:
    """Return train queries to ask a new LLM, one JSON object per line, the same share of every task."""
    if options.count < 1:
        raise InputError(f"--count: expected a whole number of 1 or more, got {options.count}; give another")
    table = router.queries.sort_values("query_id", ignore_index=True)
    draw = np.random.default_rng(0).permutation(len(table))
    # By rank within the task, so that any first rows hold every task in its share.
    rank = pd.Series(draw).groupby(table["task_id"]).rank() / table.groupby("task_id")["query_id"].transform("size")
    rows = table.assign(rank=rank).sort_values(["rank", "query_id"]).head(options.count)
    return "\n".join(
        json.dumps({"query_id": row.query_id, "task_id": row.task_id, "query": row.query,
                    "performance": None, "cost_usd": None}, ensure_ascii=False)
        for row in rows.itertuples()
    )  # fmt: skip


def replace(router: Router, folder: Path) -> None:
    """Save the router so that `folder` always holds a whole one: written beside it, then swapped.

    Raises `InputError` where `folder` holds something else than a router, or cannot be written.
    """
    folder = folder.resolve()
    free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not free and not (folder / "manifest.json").is_file():
        raise InputError(f"--output: expected a router or a new folder, got {folder}, which is neither; give another")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as beside:
            draft, old = Path(beside) / "new", Path(beside) / "old"
            router.save(draft)
            try:
                if folder.exists():
                    folder.rename(old)
                draft.rename(folder)
            finally:
                if old.exists() and not folder.exists():  # cut between the two
                    old.rename(folder)
    except OSError as err:
        raise InputError(
            f"--output: expected a folder that can be written, got {folder} ({err.strerror}); give another"
        ) from err


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m graph.update",
        description="Teach a trained router about users and LLMs, without training.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[..., str], about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about)
        sub.add_argument("--router", required=True, type=Path, metavar="DIR", help="the router/ folder of a run")
        if run is not probes:
            sub.add_argument("--output", metavar="DIR", help="where to keep it (default: the router's own folder)")
        sub.set_defaults(command=run)
        return sub

    sub = add("observe", observe, "learn from what a known or new user chose")
    sub.add_argument("--user", required=True, metavar="ID", help="the user's id")
    sub.add_argument(
        "--interactions", required=True, type=Path, metavar="FILE",
        help="table (.jsonl, .csv, .parquet) of llm_id, query or query_id, and perhaps reward",
    )  # fmt: skip
    sub = add("prefer", prefer, "keep a preference that a user states; it wins over what was inferred")
    sub.add_argument("--user", required=True, metavar="ID", help="the user's id")
    sub.add_argument(
        "preference", help=f"weight of performance in [0, 1], one of {', '.join(PREFERENCE_WORDS)}, or none"
    )
    sub = add("add-llm", add_llm, "choose also among a new LLM")
    sub.add_argument("--id", required=True, metavar="ID", help="the new LLM's id")
    sub.add_argument("--description", default="", help="what it is and is good at")
    sub.add_argument("--family", default="", help="its family, such as that of its maker")
    sub.add_argument("--input-price", type=float, metavar="USD", help="US dollars per million input tokens")
    sub.add_argument("--output-price", type=float, metavar="USD", help="US dollars per million output tokens")
    sub.add_argument(
        "--probes", type=Path, metavar="FILE",
        help="table of its outcomes: query_id or query, performance, cost_usd (see the command probes)",
    )  # fmt: skip
    sub = add("remove-llm", remove_llm, "never choose an LLM again")
    sub.add_argument("--id", required=True, metavar="ID", help="the LLM's id")
    sub = add("probes", probes, "print questions to ask a new LLM, one JSON object per line")
    sub.add_argument("--count", type=int, default=50, help="how many (default: 50)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
