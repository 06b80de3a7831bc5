"""What no router can pass that knows task and user alone: the best LLM per user and task, chosen on the test split.

python -m benchmarks.ceilings --config configs/routerbench.yaml
python -m benchmarks.ceilings --config configs/judge.yaml --set users.personas=100

Hindsight makes it too high for any honest router; how much a router could win beyond task means is what lies above it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from configs.load import load_config
from data_processing.sources import load_data, make_judge
from data_processing.splits import split_queries
from evaluation.evaluate import test_truth
from graph.encoder import make_encoder
from graph.routing_data import prepare

ROWS = (
    "oracle",
    "per user and task, in hindsight",
    "per task, in hindsight",
    "per user, in hindsight",
    "persona's noise",
)


def ceilings(truth: np.ndarray, tasks: np.ndarray) -> list[float]:
    """Return the mean worth of the oracle and of the best single LLM per (user, task), per task and per user.

    Shapes: `truth` (U, N, L) what each LLM is worth, NaN where unobserved; `tasks` (N,).
    """
    seen = np.isfinite(truth).any(axis=2)
    filled = np.where(np.isfinite(truth), truth, -np.inf)
    found = [float(filled.max(axis=2)[seen].mean())]
    everyone = np.zeros(len(tasks), dtype=int)
    for groups, personal in ((tasks, True), (tasks, False), (everyone, True)):
        earned = np.zeros(truth.shape[:2])
        for group in np.unique(groups):
            rows = groups == group
            part = truth[:, rows]
            mean = np.nanmean(part, axis=1) if personal else np.nanmean(part, axis=(0, 1))[None].repeat(len(part), 0)
            order = np.argsort(-np.nan_to_num(mean, nan=-np.inf), axis=1)
            # The best of those that were observed on the query.
            ranked = np.take_along_axis(part, np.broadcast_to(order[:, None], part.shape), axis=2)
            first = np.isfinite(ranked).argmax(axis=2)
            earned[:, rows] = np.take_along_axis(ranked, first[..., None], axis=2)[..., 0]
        found.append(float(earned[seen].mean()))
    return found


def main() -> None:
    """Print mean and spread of each ceiling over the configuration's repeats."""
    args = _parser().parse_args()
    config = load_config(args.config, args.set or ())
    loaded = load_data(config)
    judge, encoder = make_judge(loaded.dataset, config.users), make_encoder(config.encoder, config.train.device)
    table = []
    for seed in range(config.seed, config.seed + config.evaluate.repeats):
        split = split_queries(loaded.dataset.queries, config.data.split, seed, loaded.test_query_ids)
        prepared = prepare(loaded.dataset, split, config, encoder, seed, judge=judge)
        rows, truth = test_truth(prepared)
        tasks = np.array([prepared.task_of[prepared.test.queries.query_ids[row]] for row in rows])
        noise = np.nan
        if prepared.ceiling is not None:
            noise = float(prepared.ceiling[:, rows][np.isfinite(truth).any(axis=2)].mean())
        table.append([*ceilings(truth, tasks), noise])
    what = "accuracy" if judge is not None else "reward"
    print(f"{loaded.dataset.name}: mean {what} over {len(table)} repeats")
    for name, values in zip(ROWS, np.array(table).T, strict=True):
        if np.isfinite(values).all():
            print(f"{name:35s} {values.mean():.4f} ± {values.std(ddof=1) if len(values) > 1 else 0.0:.4f}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE")
    return parser


if __name__ == "__main__":
    main()
