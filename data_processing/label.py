"""Label prompts as easy or hard by an LLM: `python -m data_processing.label --config … --prompts … --prompt …`.

The labelling prompt is one that `python -m data_processing.pairwise` makes, or your own with examples as it has them.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from configs.errors import InputError
from configs.schema import Config
from data_processing.asking.ask import Asked, ask_all
from data_processing.cache import ResponseStore
from data_processing.importers.describe import plural
from data_processing.labelling.calls import Given, Labelling, agreement, given, repairs
from data_processing.labelling.labels import LABELS, LabelPrompt
from data_processing.labelling.prompts import read_prompts
from data_processing.llm_client import Call
from data_processing.plan import as_text
from data_processing.responses import told
from data_processing.roster import labelling_llm
from data_processing.simulated.server import endpoints_up
from data_processing.stage import EPILOG, configured, guarded, parser, start_logging, tell
from data_processing.workspace import Workspace, whole

EXAMPLES = """examples:
  python -m data_processing.label --config configs/default.yaml --prompts prompts.txt --prompt runs/mt_bench/prompt.txt
      --output labels.jsonl --dry-run
      what it would cost, and nothing else; offline the simulated labeller is asked, over HTTP on this machine
  python -m data_processing.label --config mine.yaml --prompts data/build/mine/tables/queries.parquet
      --prompt runs/mt_bench/prompt.txt --output labels.jsonl --llm my-llm --max-usd 5

A row of FILE has query, label (that of most repeats), share (of the repeats that say so), votes (repeats that could be
read) and query_id where the prompts have one. Prompts without a majority are left out and counted.

"""


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for. `longest` is in tokens: of longer prompts the first and the last half are shown to the LLM."""

    prompts: Path
    prompt: Path
    output: Path
    llm_id: str | None = None
    repeats: int = 3
    longest: int = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(argv)

    def work() -> None:
        config = configured(options)
        start_logging(config)
        request = Request(
            options.prompts, options.prompt, options.output, options.llm, options.repeats, options.prompt_tokens
        )
        tell(label(config, Workspace.of(config), request, dry_run=options.dry_run))

    return guarded(work)


def label(config: Config, workspace: Workspace, request: Request, *, dry_run: bool = False) -> list[str]:
    """Print what labelling will cost, ask what the store does not have, write the labels and return notes.

    `dry_run` stops after the cost. Raises `InputError` before the first call where something has to be mended, and
    afterwards as `ask_all`; what was answered is stored then, and the same again asks the rest only.
    """
    for flag, value in (("--repeats", request.repeats), ("--prompt-tokens", request.longest)):
        if value < 1:
            raise InputError(f"{flag}: expected 1 or more, got {value}; change it")
    prompt = LabelPrompt.read(request.prompt)
    prompts, notes = read_prompts(request.prompts)
    llm = labelling_llm(config, request.llm_id)
    labelling = Labelling.of(config, llm, prompt, list(prompts), request.repeats, request.longest)
    with _stored(workspace) as store:
        tell([as_text([labelling.cost(store)])])
    cut = sum(text != shown for text, shown in zip(prompts, labelling.shown, strict=True))
    if cut:
        notes.append(f"{plural(cut, 'prompt')} above {request.longest:,} tokens: the LLM is shown both ends")
    if dry_run:
        return notes
    found, asked = _ask(config, workspace, labelling)
    rows = [
        _row(query, query_id, own) for (query, query_id), own in zip(prompts.items(), found, strict=True) if own.label
    ]
    with whole(request.output) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return [*notes, *asked, *_told_labels(found), f"{plural(len(rows), 'labelled prompt')}: {request.output}"]


def _ask(config: Config, workspace: Workspace, labelling: Labelling) -> tuple[list[Given], list[str]]:
    """Return what came of each prompt, and notes on the calls."""
    with ResponseStore(workspace.store) as store, endpoints_up(config, workspace) as live:
        first = _ask_all(live, store, labelling.calls(), len(labelling), "labels", 0.0)
        if not first.answered + first.stored:
            raise _nothing_came(next(labelling.calls()), first, store)
        notes = [told(first, "labelling call")]
        again = list(repairs(labelling.calls(), store))
        if again:
            notes.append(told(_ask_all(live, store, again, len(again), "repairs", first.spent_usd), "repair call"))
        return [given(labelling.calls_of(text), store) for text in labelling.shown], notes


def _ask_all(
    live: Config, store: ResponseStore, calls: Iterable[Call], total: int, name: str, spent_usd: float
) -> Asked:
    most = live.build.max_usd
    left = None if most is None else max(0.0, most - spent_usd)
    endpoints, progress = live.build.endpoints, live.tracking.progress
    return ask_all(calls, store, endpoints, total=total, max_usd=left, label=name, progress=progress)


def _nothing_came(call: Call, asked: Asked, store: ResponseStore) -> InputError:
    kind, message = store.error(call.key) or ("request", "")
    return InputError(
        f"--llm: expected replies of {call.llm_id!r}, but all {asked.failed:,} calls failed, the first with {kind}: "
        f"{message}; mend that and run the same command again"
    )


def _stored(workspace: Workspace) -> contextlib.AbstractContextManager[ResponseStore | None]:
    """Return the store, None where there is none yet: a plan leaves nothing behind."""
    return ResponseStore(workspace.store) if workspace.store.is_file() else contextlib.nullcontext()


def _row(query: str, query_id: str, own: Given) -> Mapping[str, object]:
    row = {"query": query, "label": own.label, "share": round(own.share, 4), "votes": len(own.labels)}
    return {**row, "query_id": query_id} if query_id else row


def _told_labels(found: Sequence[Given]) -> list[str]:
    balance = Counter(own.label for own in found if own.label)
    labelled = balance.total()
    notes = [", ".join(f"{name} {balance[name]:,} ({balance[name] / max(1, labelled):.0%})" for name in LABELS)]
    if (agreed := agreement(found)) is not None:
        unanimous = sum(len(own.labels) > 1 and own.share == 1 for own in found)
        notes.append(
            f"two repeats agree in {agreed[0]:.0%} of the pairs ({agreed[1]:.0%} by chance alone); all repeats of "
            f"{plural(unanimous, 'prompt')} of {len(found):,} agree"
        )
    if labelled and len(balance) == 1:
        notes.append("all prompts got one label: nothing can be learnt from that; look at the examples in the prompt")
    unusable, failed = sum(own.unusable for own in found), sum(own.failed for own in found)
    if unusable or failed:
        notes.append(f"left out: {plural(unusable, 'unusable reply', 'unusable replies')}, {failed:,} that never came")
    if (open_ := len(found) - labelled) > 0:
        notes.append(f"{plural(open_, 'prompt')} left out: no label has a majority")
    return notes


def _parser() -> argparse.ArgumentParser:
    out = parser(__doc__ or "", EXAMPLES + EPILOG)
    add, default = out.add_argument, Request(Path(), Path(), Path())
    add("--prompts", required=True, type=Path, metavar="FILE", help="what to label: .txt with a prompt per line, or "
        ".jsonl, .json, .csv or .parquet with a field query or prompt")  # fmt: skip
    add("--prompt", required=True, type=Path, metavar="FILE", help="the labelling prompt, prompt.txt of "
        "python -m data_processing.pairwise")  # fmt: skip
    add("--output", required=True, type=Path, metavar="FILE", help="JSON Lines to write")
    add("--llm", metavar="ID", help="who labels, described in configs/llms.yaml or data.llms_file (default: the "
        "simulated labeller)")  # fmt: skip
    add("--repeats", type=int, default=default.repeats, metavar="N", help="how often each prompt is labelled, with the "
        "examples in another order (default: %(default)s)")  # fmt: skip
    add("--prompt-tokens", type=int, default=default.longest, metavar="N", help="longest prompt shown, in tokens; of "
        "longer ones the first and the last half (default: %(default)s)")  # fmt: skip
    add("--dry-run", action="store_true", help="print what it would cost, and stop")
    return out


if __name__ == "__main__":
    sys.exit(main())
