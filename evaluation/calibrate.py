"""The threshold that sends a wanted share of your prompts to the strong LLM: `python -m evaluation.calibrate …`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from baselines.load import load_router
from configs.errors import InputError
from data_processing.importers.describe import plural
from data_processing.labelling.prompts import prompt_rows
from data_processing.stage import guarded, tell
from data_processing.workspace import whole
from graph.needs import GraphPair, PairRouter
from graph.router import Router
from graph.threshold import ALWAYS, NEVER, Threshold

EPILOG = """examples:
  python -m evaluation.calibrate --router runs/routellm/router --prompts prompts.txt --strong-model-pct 0.3
  python -m evaluation.calibrate --router runs/binary/router --prompts prompts.jsonl --strong-model-pct 0.3 \\
      --output threshold.json

DIR holds a router of run_exp.py, of whose LLMs two are taken, or a classifier of baselines.binary. FILE has one prompt
per line (.txt), or rows with query (.jsonl, .json, .csv, .parquet): prompts like those to come, at least some hundred.

A prompt that comes several times counts each time: the share is one of calls. Where many prompts have the same need, no
threshold parts them. Those at the threshold then go to the strong LLM with the probability `coin`, by a hash of their
text: the same prompt always goes the same way. README.md says how to route by what is written.

exit codes: 0 done; 2 the input is wrong (one line says what to mend); 130 interrupted.
"""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A threshold that was found on prompts, and the share in [0, 1] of these that goes to the strong LLM."""

    threshold: Threshold
    share: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(argv)

    def work() -> None:
        if not 0 <= options.strong_model_pct <= 1:
            raise InputError(
                f"--strong-model-pct: expected a share from 0 to 1, got {options.strong_model_pct:g}; such as 0.3"
            )
        prompts = [text for text, _ in prompt_rows(options.prompts)]
        pair = load_pair(options.router, options.weak, options.strong)
        found, notes = calibrate(pair, prompts, options.strong_model_pct), repeats(prompts)
        if options.output is not None:
            with whole(options.output) as part:
                part.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            notes = [*notes, f"written: {options.output}"]
        tell([*told(found), *notes])

    return guarded(work)


def load_pair(folder: Path, weak: str | None = None, strong: str | None = None) -> PairRouter:
    """Return the two LLMs of the router in `folder`; of a classifier they are given.

    Raises `InputError` where there is no router, or not these LLMs.
    """
    router = load_router(folder)
    if isinstance(router, Router):
        return GraphPair.of(router, weak, strong)
    for flag, asked, own in (("--weak", weak, router.weak_id), ("--strong", strong, router.strong_id)):
        if asked not in (None, own):
            raise InputError(
                f"{flag}: expected {own!r}, the one this classifier was trained for, got {asked!r}; drop it"
            )
    return router


def repeats(prompts: Sequence[str]) -> list[str]:
    """Return a note on prompts that come again, none where there are none: the hash sends all of one the same way."""
    again = len(prompts) - len(set(prompts))
    return [f"{plural(again, 'repeated prompt')}: each counts, and all of one text go the same way"] if again else []


def read_calibration(path: Path, router: PairRouter) -> Calibration:
    """Return what evaluation.calibrate wrote for this router; `InputError` where it is of another, or is damaged."""
    remedy = "write it with python -m evaluation.calibrate --output"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise InputError(f"{path}: expected a JSON file, got: {err}; {remedy}") from err
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(found).__name__}; {remedy}")
    for key, own in (("weak_id", router.weak_id), ("strong_id", router.strong_id)):
        if found.get(key) != own:
            raise InputError(
                f"{path}: expected {key} {own!r}, that of the router, got {found.get(key)!r}; calibrate this router"
            )
    coin, share = (_fraction(path, key, found.get(key), remedy) for key in ("coin", "asked_share"))
    value = found.get("threshold")
    if value not in (NEVER, ALWAYS):
        value = _fraction(path, "threshold", value, remedy)
    return Calibration(Threshold(value, coin), share)


def _fraction(path: Path, key: str, value: object, remedy: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"{path}: expected {key} to be a number from 0 to 1, got {value!r}; {remedy}")
    return float(value)


def calibrate(pair: PairRouter, prompts: Sequence[str], share: float) -> dict[str, Any]:
    """Return the threshold that sends `share` of the prompts to the strong LLM, and what is expected there.

    Keys: weak_id, strong_id, prompts, asked_share; threshold and coin (see `Threshold`); share_above, share_at: what is
    reached without a coin, just above and at the threshold; mean_need; needed_served: of the prompts expected to need
    the strong LLM, the share that gets it (None where none is). From a router of outcomes also performance and cost_usd
    (a prompt), each {routed, weak, strong}, and saved: 1 − routed / strong of the cost; else None. Raises `InputError`
    without prompts.
    """
    if not len(prompts):
        raise InputError("--prompts: expected at least one prompt, got none; write one per line")
    need = pair.need(prompts)
    threshold = Threshold.for_share(need, share)
    above, at = threshold.reachable(need)
    sent = threshold.expected(need)
    found: dict[str, Any] = {
        "weak_id": pair.weak_id,
        "strong_id": pair.strong_id,
        "prompts": len(prompts),
        "asked_share": share,
        "threshold": threshold.value,
        "coin": threshold.coin,
        "share_above": above,
        "share_at": at,
        "mean_need": float(need.mean()),
        "needed_served": float((sent * need).sum() / need.sum()) if need.sum() > 0 else None,
    }
    return found | _expected(pair.expected(prompts), sent)


def _expected(values: np.ndarray | None, sent: np.ndarray) -> dict[str, Any]:
    """Return performance, cost_usd and saved, from (N, 2, 2) of `PairRouter.expected` and (N,) shares sent."""
    if values is None:
        return {"performance": None, "cost_usd": None, "saved": None}
    mixed = values[:, 0] + sent[:, None] * (values[:, 1] - values[:, 0])
    means = {"routed": mixed, "weak": values[:, 0], "strong": values[:, 1]}
    performance, cost = ({name: float(of[:, k].mean()) for name, of in means.items()} for k in (0, 1))
    # Nothing is free, so nothing but zeros means that nobody knows.
    known = bool(np.isfinite(list(cost.values())).all()) and max(cost.values()) > 0
    saved = 1 - cost["routed"] / cost["strong"] if known and cost["strong"] > 0 else None
    return {"performance": performance, "cost_usd": cost if known else None, "saved": saved}


def told(found: dict[str, Any]) -> list[str]:
    """Return what was found in words."""
    lines = [
        f"{found['strong_id']} for {found['asked_share']:.1%} of {found['prompts']:,} prompts, else {found['weak_id']}",
        _told_threshold(found),
    ]
    if found["needed_served"] is not None:
        lines.append(
            f"{found['mean_need']:.1%} should need the strong one; {found['needed_served']:.1%} of these get it"
        )
    if found["performance"] is None:
        lines.append("expected performance and saving: not known to a classifier that was trained on labels")
    if (performance := found["performance"]) is not None:
        lines.append(
            f"expected performance {performance['routed']:.3f} (always weak {performance['weak']:.3f}, always strong "
            f"{performance['strong']:.3f})"
        )
        if performance["weak"] > performance["strong"]:
            lines.append(f"note: {found['weak_id']} is expected to be the better one; are --weak and --strong swapped?")
        if found["cost_usd"] is None:
            lines.append("expected cost and saving: the costs of these LLMs are not known")
    if (cost := found["cost_usd"]) is not None:
        saving = "" if found["saved"] is None else f"; saved {found['saved']:.1%} of always strong"
        lines.append(
            f"expected cost of 1,000 prompts ${1000 * cost['routed']:.4g} (always weak ${1000 * cost['weak']:.4g}, "
            f"always strong ${1000 * cost['strong']:.4g}){saving}"
        )
    return lines


def _told_threshold(found: dict[str, Any]) -> str:
    if found["threshold"] in (NEVER, ALWAYS):
        return f"threshold: {'none is above it' if found['threshold'] == NEVER else 'all are above it'}, now and later"
    return (
        f"threshold {found['threshold']!r}, coin {found['coin']:.3f} for prompts at it (without a coin: "
        f"{found['share_above']:.1%} above it, {found['share_at']:.1%} with those at it)"
    )


def _parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m evaluation.calibrate",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = out.add_argument
    add("--router", required=True, type=Path, metavar="DIR", help="folder of a trained router")
    add("--prompts", required=True, type=Path, metavar="FILE", help="a sample of your prompts")
    add("--strong-model-pct", required=True, type=float, metavar="SHARE", help="wanted share of calls to the strong "
        "LLM, from 0 to 1")  # fmt: skip
    add("--weak", metavar="ID", help="the weak LLM (default: the cheapest)")
    add("--strong", metavar="ID", help="the strong LLM (default: the best on the known questions)")
    add("--output", type=Path, metavar="FILE", help="JSON file for what was found")
    return out


if __name__ == "__main__":
    sys.exit(main())
