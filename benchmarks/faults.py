"""Does data construction survive a bad network and sudden death? Tables after faults and kill -9, against a clean run.

    python -m benchmarks.faults --queries 1000 --llms 10 --faults 0.2 --kills 5

A server of simulated LLMs fails a share of its requests in every way it knows, while `data_processing.build` is killed
at random moments and started again, then run until no call is left that failed. Its tables must equal those of a build
that nothing befell (all columns but the measured latency), and no answer may have been paid twice except those that
were on their way at a kill.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd

from configs.schema import project_root
from data_processing.simulated.faults import Faults, evenly
from data_processing.simulated.server import ServerSettings, serving

TABLES = ("tasks", "queries", "llms", "outcomes", "users", "interactions")
MEASURED = ["latency_s"]  # what the clock says differs between any two runs
MOST_RUNS = 25
POLL_S = 0.02


@dataclasses.dataclass(frozen=True)
class Ordeal:
    """How much is asked, and what befalls it. `kills` are spread at random over the answers."""

    queries: int = 1000
    llms: int = 10
    fault_rate: float = 0.2
    kills: int = 5
    concurrency: int = 64
    timeout_s: float = 2.0
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of it. `paid_twice` answers were delivered again; so many as were `in_flight` at a kill are excused."""

    different: list[str]
    errors_scored: int
    runs: int
    calls: int
    requests: int
    faults: dict[str, int]
    paid_twice: int
    in_flight: int
    clean_seconds: float
    seconds: float

    @property
    def survived(self) -> bool:
        """Return whether the tables are equal, nothing was paid twice without excuse and no error was scored."""
        return not self.different and not self.errors_scored and self.paid_twice <= self.in_flight


def endure(ordeal: Ordeal, folder: Path) -> Outcome:
    """Build once in peace and once under the ordeal, below `folder`; return how the two compare."""
    start = time.perf_counter()
    with serving(ServerSettings(llms=ordeal.llms)) as url:
        _finish(_start(ordeal, url, folder / "clean"))
        calls = _stats(url)["delivered"]
    clean_seconds = time.perf_counter() - start
    rates = evenly(ordeal.fault_rate)
    faults = Faults(rates, ordeal.seed, hold_s=2 * ordeal.timeout_s, slow_s=ordeal.timeout_s / 4, retry_after_s=0.2)
    with serving(ServerSettings(llms=ordeal.llms, faults=faults)) as url:
        errors_scored = 0
        draw = random.Random(ordeal.seed)
        for moment in sorted(draw.uniform(0, 0.95) * calls for _ in range(ordeal.kills)):
            _kill_at(moment, _start(ordeal, url, folder / "ordeal"), url)
        runs, failed = ordeal.kills, 1
        while failed and runs < ordeal.kills + MOST_RUNS:
            _finish(_start(ordeal, url, folder / "ordeal"))
            failed, scored = _failures(folder / "ordeal")
            errors_scored += scored
            runs += 1
        stats = _stats(url)
    return Outcome(
        _different(folder / "clean", folder / "ordeal"),
        errors_scored,
        runs,
        calls,
        stats["requests"],
        stats["faults"],
        stats["repeated"],
        ordeal.kills * ordeal.concurrency,
        clean_seconds,
        time.perf_counter() - start - clean_seconds,
    )


def _start(ordeal: Ordeal, url: str, folder: Path) -> subprocess.Popen[bytes]:
    endpoint = (
        f"{{name: simulated, base_url: '{url}', concurrency: {ordeal.concurrency}, timeout_s: {ordeal.timeout_s}}}"
    )
    keys = {
        "build.folder": folder,
        "build.endpoints": f"[{endpoint}]",
        "data.simulated.queries": ordeal.queries,
        "data.simulated.llms": ordeal.llms,
        "tracking.log_level": "warning",
        "tracking.progress": "off",
    }
    sets = [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "data_processing.build", "--config", "configs/default.yaml", *sets]
    return subprocess.Popen(command, cwd=project_root(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _finish(process: subprocess.Popen[bytes]) -> None:
    _, told = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the build ended with {process.returncode}: {told.decode(errors='replace')[-2000:]}")


def _kill_at(answers: float, process: subprocess.Popen[bytes], url: str) -> None:
    """Kill the build, without a chance to clean up, once the server has given so many answers."""
    while process.poll() is None and _stats(url)["delivered"] < answers:
        time.sleep(POLL_S)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.communicate()


def _stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/stats", timeout=60) as reply:
        return json.load(reply)


def _failures(folder: Path) -> tuple[int, int]:
    """Return how many outcomes are errors, and how many of those have a performance or a cost all the same."""
    outcomes = pd.read_parquet(_tables(folder) / "outcomes.parquet")
    failed = outcomes[outcomes["error"] != ""]
    return len(failed), int(failed[["performance", "cost_usd"]].notna().any(axis=1).sum())


def _different(one: Path, other: Path) -> list[str]:
    """Return the names of the tables that differ, or are missing in one of the folders."""
    return [name for name in TABLES if not _equal(_tables(one) / f"{name}.parquet", _tables(other) / f"{name}.parquet")]


def _equal(one: Path, other: Path) -> bool:
    if not (one.is_file() and other.is_file()):
        return False
    first, second = (pd.read_parquet(path).drop(columns=MEASURED, errors="ignore") for path in (one, other))
    return first.equals(second)


def _tables(folder: Path) -> Path:
    return folder / "default" / "tables"


def main() -> int:
    """Run the command line; return 0 where the tables are equal and nothing was paid twice without excuse, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=Ordeal.queries)
    parser.add_argument("--llms", type=int, default=Ordeal.llms)
    parser.add_argument("--faults", type=float, default=Ordeal.fault_rate, help="share of the requests that fail")
    parser.add_argument("--kills", type=int, default=Ordeal.kills)
    parser.add_argument("--seed", type=int, default=Ordeal.seed)
    args = parser.parse_args()
    ordeal = Ordeal(args.queries, args.llms, args.faults, args.kills, seed=args.seed)
    with tempfile.TemporaryDirectory() as folder:
        outcome = endure(ordeal, Path(folder))
    for name, value in dataclasses.asdict(outcome).items():
        print(f"{name:15} {value}")
    print("survived" if outcome.survived else "FAILED")
    return 0 if outcome.survived else 1


if __name__ == "__main__":
    sys.exit(main())
