"""Seconds and memory from data to a trained router, for more and more users who each judged every train query.

python -m benchmarks.scale_users --users 10 100 1000 10000
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import resource
import sys
import time

import torch

from configs.schema import Config, Data, Evaluate, Graph, SimulatedWorld, Train, Users
from data_processing.personas import make_personas, persona_users
from data_processing.rule_judge import RuleJudge
from data_processing.simulated import build_world
from data_processing.splits import split_queries
from data_processing.users import make_users
from graph.encoder import make_encoder
from graph.graph_policy import GraphPolicy
from graph.routing_data import prepare

STAGES = ("users, choices", "features", "training")


def measure(users: int, queries: int, llms: int, strategy: str, threads: int) -> dict[str, float]:
    """Return seconds per stage, seconds in all, the process's peak memory in GB, and the number of interactions."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    config = _config(users, queries, llms, strategy, threads)
    dataset = build_world(queries, llms, 0)
    judge = None
    if strategy == "llm_as_judge":
        personas = make_personas(config.users)
        dataset = dataclasses.replace(dataset, users=persona_users(personas))
        judge = RuleJudge.of(dataset, personas, config.users.self_agreement, config.users.persona_seed)
    else:
        dataset = dataclasses.replace(dataset, users=make_users(config.users))
    marks = [time.perf_counter()]
    encoder = make_encoder(config.encoder, "cpu")
    prepared = prepare(dataset, split_queries(dataset.queries, config.data.split, 0), config, encoder, 0, False, judge)
    marks.append(time.perf_counter())
    GraphPolicy(config.graph, config.train, 0).fit(prepared.train, prepared.validation)
    marks.append(time.perf_counter())
    stages = dict(zip(STAGES, [marks[0] - start, marks[1] - marks[0], marks[2] - marks[1]], strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gigabytes = peak / (1e9 if sys.platform == "darwin" else 1e6)  # macOS counts bytes, Linux KiB
    return stages | {"all": marks[2] - start, "GB": gigabytes, "interactions": len(prepared.train.interactions)}


def _config(users: int, queries: int, llms: int, strategy: str, threads: int) -> Config:
    spread = tuple(round(number / max(users - 1, 1), 6) for number in range(users))
    people = {"strategy": strategy} | ({"personas": users} if strategy == "llm_as_judge" else {"preferences": spread})
    return Config(
        data=Data(simulated=SimulatedWorld(queries=queries, llms=llms)),
        users=Users.model_validate(people),
        graph=Graph(),
        train=Train(threads=threads),
        evaluate=Evaluate(),
    )


def main() -> None:
    """Measure each number of users in a process of its own, so that memory is its own, and print a line for each."""
    args = _parser().parse_args()
    print(
        f"{args.queries} queries x {args.llms} LLMs, {args.strategy}, {args.threads} thread(s); seconds, and GB at peak"
    )
    print(
        f"{'users':>7} {'interactions':>13} " + " ".join(f"{stage:>15}" for stage in STAGES) + f" {'all':>8} {'GB':>6}"
    )
    last: tuple[int, dict[str, float]] | None = None
    for users in args.users:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(measure, (users, args.queries, args.llms, args.strategy, args.threads))
            pool.close()  # and wait, so that the process cleans up after itself
            pool.join()
        line = f"{users:7d} {found['interactions']:13,.0f} " + " ".join(f"{found[stage]:15.2f}" for stage in STAGES)
        line += f" {found['all']:8.2f} {found['GB']:6.2f}"
        if last is not None:
            line += f"   {users / last[0]:g} x users: {found['all'] / last[1]['all']:.2f} x time"
        print(line, flush=True)
        last = (users, found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=[10, 100, 1000, 10000])
    parser.add_argument("--queries", type=int, default=240)
    parser.add_argument("--llms", type=int, default=10)
    parser.add_argument("--strategy", choices=("llm_as_judge", "multi_cost_efficiency"), default="llm_as_judge")
    parser.add_argument("--threads", type=int, default=1)
    return parser


if __name__ == "__main__":
    main()
