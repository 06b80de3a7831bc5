"""The main job: one configuration in, a trained router and an honest report out.

    python run_exp.py --config configs/default.yaml

config → tables → splits → features and graph → every policy trained → test split opened once → report, router
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from configs.errors import InputError
from configs.load import dump_config, load_config
from configs.schema import Config
from data_processing.importers import LoadedData
from data_processing.sources import load_data, make_judge
from data_processing.splits import split_queries
from evaluation.evaluate import Fitted, check_policies, evaluate, fit_policies
from evaluation.report import write_report
from evaluation.results import RepeatResult, Results
from evaluation.studies import check_studies, gather, run_studies
from evaluation.summary import write_metrics
from evaluation.wording import verdict
from graph.encoder import make_encoder
from graph.graph_policy import GraphPolicy
from graph.query_map import trained_map
from graph.router import Router
from graph.routing_data import PreparedData, prepare

LOG = logging.getLogger("run_exp")
DONE, WRONG_INPUT, INTERRUPTED = 0, 2, 130
# In this order: what marks a finished run goes first.
RESULT_FILES = (
    "metrics.json",
    "metrics.partial.json",
    "report.html",
    "report.md",
    "policies.csv",
    "per_user.csv",
    "per_task.csv",
    "decisions.parquet",
    "strong_weak.csv",
    "deferral.csv",
)
EPILOG = """examples:
  python run_exp.py --config configs/default.yaml
      offline, within a minute: a simulated world, every baseline, a report in runs/default/report.html
  ROUTER_DATASETS=/data python run_exp.py --config configs/routerbench.yaml --set evaluate.repeats=10
  python run_exp.py --config configs/default.yaml --set name=mine --set data.source=tables --set data.path=my.csv

exit codes: 0 done; 2 the input or the configuration is wrong (one line says what to mend); 130 interrupted, with what
was finished kept (metrics.partial.json instead of metrics.json).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        config = load_config(options.config, options.set or ())
        folder = prepare_folder(Path(options.output or config.output.folder) / config.name)
        start_logging(folder, config.tracking.log_level)
        return run(config, folder)
    except InputError as err:
        sys.stderr.write(f"error: {err}\n")
        return WRONG_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: no result was finished, so there is none to keep\n")
        return INTERRUPTED


def run(config: Config, folder: Path) -> int:
    """Run the experiment into `folder`; return the exit code."""
    start = time.perf_counter()
    (folder / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    progress = config.tracking.progress == "on" or (config.tracking.progress == "auto" and sys.stderr.isatty())
    loaded = load_data(config)
    seeds = [config.seed + repeat for repeat in range(config.evaluate.repeats)]
    # All splits at once: an empty one is found before anything is trained, not after hours of finished repeats.
    splits = [split_queries(loaded.dataset.queries, config.data.split, s, loaded.test_query_ids) for s in seeds]
    check_policies(config)
    check_studies(config, loaded.dataset)
    encoder = make_encoder(config.encoder, config.train.device)
    judge = make_judge(loaded.dataset, config.users)
    LOG.info("%s", describe(loaded))

    repeats: list[RepeatResult] = []
    studies: list[dict[str, pd.DataFrame]] = []
    best_router: Router | None = None
    query_map: pd.DataFrame | None = None
    beliefs = pd.DataFrame({"user_id": [], "inferred_preference": [], "taste": []})
    interrupted = False
    try:
        for repeat, seed in enumerate(seeds):

            def prepare_with(other: Config, split: pd.Series = splits[repeat], seed: int = seed) -> PreparedData:
                same = other.encoder == config.encoder
                reader = encoder if same else make_encoder(other.encoder, other.train.device)
                return prepare(loaded.dataset, split, other, reader, seed, progress, judge)

            prepared = prepare_with(config)
            fitted = fit_policies(prepared, config, seed, progress)
            repeats.append(evaluate(prepared, fitted, config, repeat))
            LOG.info("repeat %d of %d: %s", repeat + 1, config.evaluate.repeats, headline(repeats[-1]))
            if repeat == 0 and config.encoder.training == "contrastive" and config.output.plots:
                query_map = trained_map(prepared, config, seed, progress)
            if repeat == 0 and "graph" in fitted:
                best_router = make_router(prepared, fitted["graph"], config, loaded)
                beliefs = inferred(best_router, prepared)
            if any(isinstance(item.policy, GraphPolicy) and item.policy.interrupted for item in fitted.values()):
                raise KeyboardInterrupt
            studies.append(run_studies(config, prepare_with, prepared, fitted, seed, repeat, progress))
    except KeyboardInterrupt:
        if not repeats:
            raise
        interrupted = True
        LOG.warning("interrupted: the %d finished repeat(s) are kept", len(repeats))

    if best_router is not None:
        best_router.save(folder / "router")
    results = collect(loaded, config, repeats, beliefs, interrupted, gather(studies), query_map)
    metrics = write_report(
        results,
        folder,
        plots=config.output.plots,
        html=config.output.html,
        plot_dpi=config.output.plot_dpi,
        resamples=config.evaluate.bootstrap,
        seed=config.seed,
    )
    LOG.info("%s", verdict(metrics))
    LOG.info("report: %s (%.0f s)", folder / ("report.html" if config.output.html else "report.md"),
             time.perf_counter() - start)  # fmt: skip
    # Last, in one step: a folder with metrics.json is a finished run.
    write_metrics(metrics, folder / ("metrics.partial.json" if interrupted else "metrics.json"))
    return INTERRUPTED if interrupted else DONE


def describe(loaded: LoadedData) -> str:
    """Return one line on the size of the data, and the notes of the import under it."""
    data = loaded.dataset
    sizes = f"{len(data.queries)} queries, {len(data.tasks)} tasks, {len(data.llms)} LLMs, {len(data.users)} users"
    return "\n  ".join([f"{data.name}: {sizes}, {len(data.outcomes)} outcomes", *data.notes])


def headline(result: RepeatResult) -> str:
    """Return the mean reward of each policy (accuracy where users have none), best first."""
    measure = "reward" if result.decisions["reward"].notna().any() else "best"
    means = result.decisions.groupby("policy", observed=True)[measure].mean().sort_values(ascending=False)
    return ", ".join(f"{name} {value:.4f}" for name, value in means.items())


def make_router(prepared: PreparedData, graph: Fitted, config: Config, loaded: LoadedData) -> Router:
    """Return the router that is kept: that of the first repeat, whose test split it has not seen."""
    assert isinstance(graph.policy, GraphPolicy)
    queries = prepared.train.queries
    table = pd.DataFrame({"query_id": queries.query_ids, "query": queries.texts, "task_id": queries.task_ids})
    data = loaded.dataset
    about = {"dataset": data.name, "cost_kind": data.cost_kind, "simulated": data.simulated}
    return Router(graph.policy, prepared.features, config.encoder, table, about, prepared.scaler, prepared.train.llms)


def inferred(router: Router, prepared: PreparedData) -> pd.DataFrame:
    """Return what the router believes of each user: user_id, inferred_preference (NaN for personas), taste in words."""
    users = list(prepared.true_users["user_id"])
    wishes = [router.wish(user) for user in users]
    alphas = [np.nan if wish.preference is None else wish.preference for wish in wishes]
    words = [wish.words for wish in wishes]
    return pd.DataFrame({"user_id": users, "inferred_preference": alphas, "taste": words})


def collect(
    loaded: LoadedData,
    config: Config,
    repeats: list[RepeatResult],
    beliefs: pd.DataFrame,
    interrupted: bool,
    studies: dict[str, pd.DataFrame],
    query_map: pd.DataFrame | None,
) -> Results:
    """Return what the report needs."""
    data = loaded.dataset
    notes = data.notes
    if interrupted:
        notes = (f"interrupted: {len(repeats)} of {config.evaluate.repeats} repeats, the last perhaps cut", *notes)
    users = data.users[["user_id", "kind", "preference"]]
    return Results(
        dataset=data.name,
        simulated=data.simulated,
        cost_kind=data.cost_kind,
        notes=notes,
        config_yaml=dump_config(config),
        users=users.merge(beliefs, on="user_id", how="left", validate="one_to_one"),
        llms=data.llms,
        repeats=repeats,
        studies=studies,
        query_map=query_map,
    )


def prepare_folder(folder: Path) -> Path:
    """Make the run's folder and take away what an earlier run left, so that nothing old can look like a result."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in RESULT_FILES:
            (folder / name).unlink(missing_ok=True)
        for name in ("plots", "studies", "router"):
            if (folder / name).exists():
                shutil.rmtree(folder / name)
        (folder / "log.txt").write_text("", encoding="utf-8")
    except OSError as err:
        raise InputError(
            f"output.folder: expected a folder that can be written, got {folder} ({err.strerror}); "
            "give another with --output DIR"
        ) from err
    return folder


def start_logging(folder: Path, level: str) -> None:
    """Log to stderr and to log.txt of the run."""
    form = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")
    handlers: list[logging.Handler] = [logging.StreamHandler(), logging.FileHandler(folder / "log.txt")]
    for handler in handlers:
        handler.setFormatter(form)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train the personalised LLM router and compare it with every baseline and the oracle.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", "--config_file", dest="config", required=True, type=Path, metavar="FILE",
        help="the experiment; every key is explained in configs/default.yaml",
    )  # fmt: skip
    parser.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="change one key, e.g. --set train.epochs=10; repeatable"
    )
    parser.add_argument("--output", metavar="DIR", help="folder of runs (default: output.folder, that is runs/)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
