"""Seconds per training epoch of the graph router on random data of a given shape, and the memory it takes.

python -m benchmarks.train_epoch --queries 1260 --users 9 --llms 11 --tasks 3 --epochs 10
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import sys
import time

import numpy as np
import pandas as pd
import torch
from torch_geometric import typing as accelerators

from configs.schema import Graph, Train, Users
from data_processing.tables import conform
from data_processing.users import simulate_interactions
from graph.build import attach, build_graph, itself
from graph.device import resolve_device
from graph.model import GraphModel
from graph.preference import Preferences
from graph.records import Queries, RoutingData
from graph.train import loss_of, preference_weights, supervision, train_epoch

BLOCKS = (384, 64, 14)  # text, style and counts, as graph.features makes them with the default encoder
# PersonalizedRouter's published code, measured on CPU with 2 threads on 1260 queries x 9 users x 11 LLMs.
REFERENCE_SECONDS = 0.75
REFERENCE_SHAPE = (1260, 9, 11)
VALIDATION_SHARE = 8  # one validation query per this many train queries, as in the default split


def random_data(queries: int, users: int, llms: int, tasks: int, seed: int) -> RoutingData:
    """Return random data: unit feature blocks, performance 0 or 1, uniform costs; every user chose on every query."""
    rng = np.random.default_rng(seed)
    llm_ids = [f"llm-{number}" for number in range(llms)]
    query_ids = [f"query-{number}" for number in range(queries)]
    performance = rng.integers(0, 2, size=(queries, llms)).astype(float)
    cost = rng.random((queries, llms))
    people = conform(
        "users",
        pd.DataFrame(
            {
                "user_id": [f"user-{number}" for number in range(users)],
                "kind": "preference",
                "preference": np.linspace(0.2, 1.0, users),
            }
        ),
    )
    return RoutingData(
        llms=conform("llms", pd.DataFrame({"llm_id": llm_ids, "family": [f"family-{i % 4}" for i in range(llms)]})),
        llm_embeddings=_unit(rng, llms, BLOCKS[0]),
        tasks=conform("tasks", pd.DataFrame({"task_id": [f"task-{number}" for number in range(tasks)]})),
        task_embeddings=_unit(rng, tasks, BLOCKS[0]),
        queries=Queries(
            tuple(query_ids),
            tuple(f"task-{number}" for number in rng.integers(tasks, size=queries)),
            tuple(query_ids),
            np.hstack([_unit(rng, queries, width) for width in BLOCKS]),
            BLOCKS,
        ),
        performance=performance,
        cost=cost,
        cost_usd=cost / 100,
        users=people[["user_id", "kind"]].assign(preference=np.nan),
        interactions=simulate_interactions(people, query_ids, llm_ids, performance, cost, Users(), seed),
    )


def time_epochs(train: RoutingData, validation: RoutingData, epochs: int, device: torch.device) -> list[float]:
    """Return the seconds of each epoch: a pass over the train queries and the loss on the validation queries."""
    config = Train()
    start = time.perf_counter()
    graph = build_graph(train, Graph(), seed=0).to(str(device))
    target = attach(graph, validation.queries)
    print(f"graph                {time.perf_counter() - start:8.2f} s", flush=True)
    start = time.perf_counter()
    weights = preference_weights(Preferences.fit(train).mean(train.user_ids))
    print(f"users' preferences   {time.perf_counter() - start:8.2f} s", flush=True)
    truth = supervision(train, graph.usd_scale, weights, device)
    validation_truth = supervision(validation, graph.usd_scale, weights, device)
    model = GraphModel(len(graph.blocks), len(graph.topic_sizes), Graph()).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(0)
    seconds = []
    own = itself(graph)
    for _ in range(epochs):
        start = time.perf_counter()
        train_epoch(model, graph, own, truth, optimizer, generator, config)
        model.eval()
        with torch.no_grad():  # float() waits for an accelerator, so the clock stops after the work
            float(loss_of(model(graph, target), validation_truth, slice(None), config.outcome_weight))
        seconds.append(time.perf_counter() - start)
    return seconds


def peak_memory_mib() -> float:
    """Return the largest resident size of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)  # macOS counts bytes, Linux KiB


def main() -> None:
    """Time the epochs and print a few lines."""
    args = _parser().parse_args()
    torch.set_num_threads(args.threads)
    train = random_data(args.queries, args.users, args.llms, args.tasks, seed=0)
    validation = random_data(max(1, args.queries // VALIDATION_SHARE), args.users, args.llms, args.tasks, seed=1)
    print(
        f"{args.queries} queries x {args.users} users x {args.llms} LLMs, {args.tasks} tasks; {args.device}, "
        f"{args.threads} threads; torch {torch.__version__}, Python {platform.python_version()}; "
        f"torch-scatter {'on' if accelerators.WITH_TORCH_SCATTER else 'off'}, "
        f"pyg-lib {'on' if accelerators.WITH_PYG_LIB else 'off'}",
        flush=True,
    )
    seconds = time_epochs(train, validation, args.epochs, resolve_device(args.device))
    median = statistics.median(seconds)
    print(
        f"epoch, median        {median:8.3f} s  (min {min(seconds):.3f}, max {max(seconds):.3f}, {args.epochs} epochs)"
    )
    print(f"peak memory          {peak_memory_mib():8.0f} MiB")
    print(f"against reference    {args.reference_seconds / median:8.1f} x as fast as {args.reference_seconds:g} s")
    if (args.queries, args.users, args.llms) != REFERENCE_SHAPE:
        print("the reference was measured on 1260 x 9 x 11: the ratio mixes two shapes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=1260)
    parser.add_argument("--users", type=int, default=9)
    parser.add_argument("--llms", type=int, default=11)
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--reference-seconds",
        type=float,
        default=REFERENCE_SECONDS,
        help="seconds per epoch to compare with (default: PersonalizedRouter's published code on 1260 x 9 x 11, CPU)",
    )
    return parser


def _unit(rng: np.random.Generator, rows: int, width: int) -> np.ndarray:
    vectors = rng.normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
