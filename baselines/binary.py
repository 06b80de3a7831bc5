"""Train a classifier that says which prompts need a strong LLM: `python -m baselines.binary …`.

From labelled prompts (what data_processing.pairwise and data_processing.label write), or, without --labels, from the
outcomes of the configuration's data: label 1 where the strong LLM's answer was right and the weak one's was not.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from baselines.binary_plot import draw
from baselines.binary_policy import BinaryPolicy
from baselines.binary_router import BinaryRouter
from baselines.classifier import quality, reliability
from baselines.labelled import read_labels, train_on_labels
from configs.errors import InputError
from configs.load import load_config
from configs.schema import Config
from data_processing.labelling.labels import INFERIOR, SUPERIOR
from data_processing.sources import load_data
from data_processing.splits import split_queries
from data_processing.stage import guarded, start_logging, tell
from data_processing.workspace import whole
from graph.device import limited_threads
from graph.encoder import make_encoder
from graph.needs import needed
from graph.records import RoutingData
from graph.routing_data import prepare

PLOT_DPI = 130
EPILOG = f"""examples:
  python -m baselines.binary --labels runs/mt_bench/questions.jsonl --config configs/default.yaml --output runs/binary
  python -m baselines.binary --config configs/routellm.yaml --output runs/binary

A row of FILE has query and label ({INFERIOR} or {SUPERIOR}). Of the configuration data.split, seed, section encoder
and train.device count; with encoder.training=contrastive the encoder's top layers are fine-tuned, too.

written into DIR:
  router/            the classifier; for python -m evaluation.calibrate --router DIR/router
  quality.json       AUROC, F1, Brier score, calibration error on the test split
  reliability.png    whether the probabilities keep their word there

exit codes: 0 done; 2 the input is wrong (one line says what to mend); 130 interrupted.
"""


@dataclasses.dataclass(frozen=True)
class Trained:
    """A router, and on its test split the probabilities (N,), labels (N,) in [0, 1], and notes."""

    router: BinaryRouter
    probability: np.ndarray
    label: np.ndarray
    notes: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(argv)

    def work() -> None:
        config = load_config(options.config, options.set or ())
        start_logging(config)
        tell(run(config, options.output, options.labels))

    return guarded(work)


def run(config: Config, output: Path, labels: Path | None = None) -> list[str]:
    """Train, write what `EPILOG` lists into `output`, and return notes."""
    trained = from_outcomes(config) if labels is None else from_labels(config, labels)
    hard = (trained.label > 0.5).astype(float)
    measured = quality(trained.probability, hard)
    trained.router.save(output / "router")
    mean, share, count = (part.tolist() for part in reliability(trained.probability, hard))
    content = {
        "weak_id": trained.router.weak_id,
        "strong_id": trained.router.strong_id,
        "test_prompts": len(hard),
        **{name: value if np.isfinite(value) else None for name, value in measured.items()},
        "reliability": {"probability": mean, "share": share, "count": count},
    }
    with whole(output / "quality.json") as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with whole(output / "reliability.png") as part:
        draw(trained.probability, hard).savefig(part, format="png", dpi=PLOT_DPI)
    return [*trained.notes, *_table(measured, len(hard)), f"written: {output}/router, quality.json, reliability.png"]


def from_labels(config: Config, path: Path) -> Trained:
    """Return the router of labelled prompts, judged on those it has not seen."""
    table, notes = read_labels(path)
    router, unseen = train_on_labels(table, config)
    test = table[unseen]
    return Trained(router, router.need(list(test["query"])), test["label"].to_numpy(), notes)


def from_outcomes(config: Config) -> Trained:
    """Return the router of the data's outcomes, judged on the test split as it reads it: from the text alone."""
    dataset = load_data(config)
    splits = split_queries(dataset.dataset.queries, config.data.split, config.seed, dataset.test_query_ids)
    encoder = make_encoder(config.encoder, config.train.device)
    prepared = prepare(dataset.dataset, splits, config, encoder, config.seed)
    with limited_threads(config.train.threads):
        policy = BinaryPolicy(config.seed).fit(prepared.train, prepared.validation)
    if policy.weak_id == policy.strong_id:
        raise InputError(f"data: expected two LLMs with outcomes, got {policy.weak_id!r} alone; give another data.path")
    _need_two_classes(prepared.train, policy)
    router = BinaryRouter.of_policy(policy, prepared.features, config.encoder, prepared.train)
    test = prepared.test
    rows, outcomes = policy.answered_by_both(test)
    if not len(rows):
        raise InputError("data: expected test queries that both LLMs answered, got none; give more data")
    texts = [test.queries.texts[row] for row in rows]
    note = f"weak {router.weak_id}, strong {router.strong_id}"
    return Trained(router, router.need(texts), needed(*outcomes.T), [note])


def _need_two_classes(train: RoutingData, policy: BinaryPolicy) -> None:
    """Raise `InputError` where the strong LLM is needed on no train query, or on all: there is nothing to learn."""
    label = needed(*policy.answered_by_both(train)[1].T)
    if not len(label) or label.max() == label.min():
        got = "none that both answered" if not len(label) else f"{len(label):,} that all have the same {label[0]:g}"
        raise InputError(
            f"data: expected train queries of which some need {policy.strong_id} rather than {policy.weak_id} and "
            f"others do not, got {got}; give harder queries, or two LLMs that differ"
        )


def _table(measured: dict[str, float], count: int) -> list[str]:
    return [
        f"test split: {count:,} prompts, {measured['positives']:.1%} of them need the strong one",
        f"AUROC {measured['auroc']:.3f}   F1 {measured['f1']:.3f} at 0.5, at best {measured['best_f1']:.3f} "
        f"at {measured['best_cut']:.2f}   Brier {measured['brier']:.3f}   calibration error {measured['ece']:.3f}",
    ]


def _parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        prog="python -m baselines.binary",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = out.add_argument
    add("--config", "--config_file", dest="config", required=True, type=Path, metavar="FILE", help="the experiment")
    add("--set", action="append", metavar="KEY=VALUE", help="change one key, e.g. --set seed=1; repeatable")
    add("--labels", type=Path, metavar="FILE", help="labelled prompts: JSON Lines, JSON, CSV or Parquet "
        "(default: labels from the outcomes of the configuration's data)")  # fmt: skip
    add("--output", required=True, type=Path, metavar="DIR", help="folder for what is written; made where needed")
    return out


if __name__ == "__main__":
    sys.exit(main())
