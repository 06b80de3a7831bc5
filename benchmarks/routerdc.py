"""RouterDC alone on its five training sets: accuracy per set, as the paper counts it, on queries held back.

ROUTER_DATASETS=... python -m benchmarks.routerdc --splits 3 --set encoder.contrastive.side_dim=0

Train, validation and held-back queries are split off each set by query id (data.split); the separate test files are not
looked at. Beside `contrastive` stand the best single LLM and each set's best LLM, both chosen on train queries, and the
graph router over the same encoder, for a user who asks for performance alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from configs.load import load_config
from configs.schema import project_root
from data_processing.sources import load_data
from data_processing.splits import split_queries
from graph.encoder import make_encoder
from graph.graph_policy import GraphPolicy
from graph.routing_data import prepare
from graph.tuned_encoder import similarities, tuned_part

ROWS = ("best single", "set means", "contrastive", "graph", "oracle")


def per_set(accuracy: np.ndarray, choice: np.ndarray, tasks: np.ndarray) -> np.ndarray:
    """Return the mean accuracy of the chosen LLMs, one number per set, sets in order of their names."""
    chosen = accuracy[np.arange(len(choice)), choice]
    return np.array([chosen[tasks == task].mean() for task in np.unique(tasks)])


def main() -> None:
    """Train on each split and print mean accuracies over the splits."""
    args = _parser().parse_args()
    torch.set_num_threads(args.threads)
    keys = ["encoder.training=contrastive", "data.scores=counted", *(args.set or ())]
    config = load_config(args.config, keys)
    dataset = load_data(config).dataset
    encoder = make_encoder(config.encoder, config.train.device)
    found: dict[str, list[np.ndarray]] = {name: [] for name in ROWS}
    for seed in range(config.seed, config.seed + args.splits):
        begun = time.perf_counter()
        split = split_queries(dataset.queries, config.data.split, seed, None)
        prepared = prepare(dataset, split, config, encoder, seed)
        parts = []
        for data in (prepared.train, prepared.test):
            tasks = np.array([prepared.task_of[name] for name in data.queries.query_ids])
            parts.append((tasks, data.performance))
        (train_tasks, train), (tasks, test) = parts
        means = {task: train[train_tasks == task].mean(axis=0) for task in np.unique(train_tasks)}
        graph = GraphPolicy(config.graph, config.train, seed).fit(prepared.train, prepared.validation)
        tuned = tuned_part(prepared.features.encoder)
        width = prepared.test.queries.blocks[0]
        x = prepared.test.queries.embeddings
        choices = {
            "best single": np.full(len(tasks), np.mean(list(means.values()), axis=0).argmax()),
            "set means": np.array([means[task].argmax() for task in tasks]),
            "contrastive": similarities(tuned.learned, x[:, :width], x[:, width:]).argmax(axis=1),
            "graph": graph.outcomes(prepared.test.queries)[..., 0].argmax(axis=1),
            "oracle": test.argmax(axis=1),
        }
        for name, choice in choices.items():
            found[name].append(per_set(test, choice, tasks))
        print(f"split {seed}: step {tuned.tuning.chosen_step} kept, {time.perf_counter() - begun:.0f} s; "
              + ", ".join(f"{name} {100 * found[name][-1].mean():.2f}" for name in ROWS), flush=True)  # fmt: skip
        if args.looks:
            for row in tuned.tuning.history:
                print("   ", {name: round(value, 4) for name, value in row.items()})
    print(f"{'':12s} {' '.join(f'{task[:9]:>9s}' for task in np.unique(tasks))}   average  (std over splits)")
    for name, values in found.items():
        table = 100 * np.array(values)
        spread = table.mean(axis=1).std(ddof=1) if len(table) > 1 else 0.0
        print(f"{name:12s} {' '.join(f'{value:9.1f}' for value in table.mean(axis=0))}  {table.mean():8.2f}"
              f"  ({spread:.2f})")  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=project_root() / "configs" / "routerdc.yaml", type=Path, metavar="FILE")
    parser.add_argument("--splits", default=3, type=int)
    parser.add_argument("--threads", default=2, type=int)
    parser.add_argument("--looks", action="store_true", help="print every look at validation")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE")
    return parser


if __name__ == "__main__":
    main()
