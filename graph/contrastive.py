"""Train RouterDC, the contrastive query encoder, and measure a trained one: `python -m graph.contrastive`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from configs.catalogue import task_spelling
from configs.errors import InputError
from configs.load import dump_config, load_config
from configs.schema import Config
from data_processing.importers import LoadedData
from data_processing.sources import load_data, make_judge
from data_processing.splits import split_queries
from graph.contrastive_model import ContrastiveModel, learned_of, need_transformer, similarities_of
from graph.embedding_cache import QueryEncoder
from graph.encoder import make_encoder
from graph.finetuning.checkpoint import place
from graph.query_map import save_query_map, trained_map
from graph.records import RoutingData
from graph.routerdc_accuracy import NUMBERS, ScoreSet, accuracy_table, as_text, kinds_of, read_score_sets
from graph.routing_data import PreparedData, prepare
from graph.tuned_encoder import HISTORY, tuned_part, unwrapped

LOG = logging.getLogger(__name__)
DONE, WRONG_INPUT, INTERRUPTED = 0, 2, 130
RESULTS = ("validation.csv", "history.csv", "clusters.csv", "clusters.png")
EPILOG = """examples:
  python -m graph.contrastive --config configs/routerdc.yaml
      trains on all training sets of the configuration; validation queries are split off them
  python -m graph.contrastive --config configs/routerdc.yaml --set encoder.trainable_layers=1 --output runs/short
  python -m graph.contrastive --config configs/routerdc.yaml --resume
      goes on where a training was cut off
  python -m graph.contrastive evaluate --checkpoint runs/routerdc/encoder --data gsm8k-test.json mbpp.json

exit codes: 0 done; 2 the input or the configuration is wrong (one line says what to mend); 130 interrupted.
"""
EVALUATE_EPILOG = """examples:
  python -m graph.contrastive evaluate --checkpoint runs/routerdc/encoder --data tests/
  python -m graph.contrastive evaluate --checkpoint runs/routerdc/encoder --data mbpp.json --json
  python -m graph.contrastive evaluate --checkpoint runs/routerdc/encoder --data mine/ --scores a.json=multi_attempt

A file is a RouterDC score list, named after its task (mmlu_test.json). Tasks that the encoder was trained on are
in-distribution, others out-of-distribution; each kind has a table and an average over files of its own. Accuracy: a
score that is a probability counts as correct above 0, a share of right attempts (multi_attempt) counts as it is. Which
it is, --scores says, else the name of a known task, else the values do (marked "?"). Rows where an LLM has no score are
left out.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    try:
        if options.command == "evaluate":
            return evaluate(options)
        if options.config is None:
            parser.error("expected --config FILE to train, or the word evaluate")
        return train(options)
    except InputError as err:
        sys.stderr.write(f"error: {err}\n")
        return WRONG_INPUT
    except KeyboardInterrupt as err:
        sys.stderr.write(f"interrupted{err}\n")
        return INTERRUPTED


def train(options: argparse.Namespace) -> int:
    """Train as the configuration says, write everything into the run's folder, print what validation says.

    Results of an earlier training there go when those of this one are written. Raises `KeyboardInterrupt`, which says
    what is kept, where Ctrl-C cut the training.
    """
    config = load_config(options.config, options.set or ())
    config = config.model_copy(update={"encoder": config.encoder.model_copy(update={"training": "contrastive"})})
    need_transformer(config.encoder)
    progress = config.tracking.progress == "on" or (config.tracking.progress == "auto" and sys.stderr.isatty())
    loaded = load_data(config)
    encoder = make_encoder(config.encoder, config.train.device)
    LOG.info("encoder: %s", unwrapped(encoder)[0].source.key)  # looks for it before anything is deleted
    folder = _folder(Path(options.output or config.output.folder) / config.name, options.resume)
    try:
        prepared = _trained(loaded, config, encoder, folder / "training", progress)
    except KeyboardInterrupt as err:
        kept = any((folder / "training").glob("step-*"))
        raise KeyboardInterrupt(
            f": kept in {folder / 'training'} until the last look at validation; go on with --resume"
            if kept
            else " before the first look at validation after a step: nothing of this training is kept; start it again"
        ) from err
    table, single = _results(prepared, loaded, config, folder, progress)
    chosen = tuned_part(prepared.features.encoder).tuning.chosen_step
    _write(as_text(table, "validation", single, hindsight=False))
    _write(f"\nkept: step {chosen}; encoder: {folder / 'encoder'}; picture: {folder / 'clusters.png'}")
    return DONE


def _trained(
    loaded: LoadedData, config: Config, encoder: QueryEncoder, checkpoint: Path, progress: bool
) -> PreparedData:
    """Return the splits of the configuration, featurised by the encoder that was trained on them."""
    data = loaded.dataset
    splits = split_queries(data.queries, config.data.split, config.seed, loaded.test_query_ids)
    LOG.info("%s: %d queries, %d tasks, %d LLMs", data.name, len(data.queries), len(data.tasks), len(data.llms))
    judge = make_judge(data, config.users)
    return prepare(data, splits, config, encoder, config.seed, progress, judge, checkpoint=checkpoint)


def _results(
    prepared: PreparedData, loaded: LoadedData, config: Config, folder: Path, progress: bool
) -> tuple[pd.DataFrame, str]:
    """Write all results in the place of earlier ones, then delete the state; return what `validation_table` does."""
    table, single = validation_table(prepared, loaded)
    clusters = trained_map(prepared, config, config.seed, progress)
    for name in RESULTS:
        (folder / name).unlink(missing_ok=True)
    place(folder / "encoder", ContrastiveModel.of(prepared, config.encoder).save)
    # Not config.yaml, which is that of run_exp.py where it wrote its results into the same folder.
    (folder / "contrastive.yaml").write_text(dump_config(config), encoding="utf-8")
    history = tuned_part(prepared.features.encoder).tuning.history
    pd.DataFrame(history, columns=HISTORY).to_csv(folder / "history.csv", index=False)
    table.to_csv(folder / "validation.csv", index=False)
    clusters.to_csv(folder / "clusters.csv", index=False)
    save_query_map(clusters, folder / "clusters.png", config.output.plot_dpi)
    shutil.rmtree(folder / "training", ignore_errors=True)
    return table, single


def validation_table(prepared: PreparedData, loaded: LoadedData) -> tuple[pd.DataFrame, str]:
    """Return accuracies on the validation queries of each task, and the best single LLM; both told on train queries."""
    metrics = dict(zip(loaded.dataset.tasks["task_id"], loaded.dataset.tasks["metric"], strict=True))
    held_out, known = (score_sets(data, prepared.task_of, metrics) for data in (prepared.validation, prepared.train))
    learned = learned_of(prepared.features.encoder)
    similarities = [similarities_of(learned, prepared.validation.queries.take(rows)) for rows, _ in held_out]
    return accuracy_table([item for _, item in held_out], similarities, [item for _, item in known])


def score_sets(
    data: RoutingData, task_of: dict[str, str], metrics: dict[str, str]
) -> list[tuple[np.ndarray, ScoreSet]]:
    """Return (rows, set) of each task of one split, rows without any score left out."""
    tasks = np.array([task_of[query_id] for query_id in data.queries.query_ids], dtype=object)
    seen = np.isfinite(data.performance).any(axis=1)
    found = []
    for task in sorted(set(tasks[seen])):
        rows = np.flatnonzero(seen & (tasks == task))
        texts = tuple(data.queries.texts[row] for row in rows)
        scores = data.performance[rows]
        found.append((rows, ScoreSet(task, task, metrics[task], texts, tuple(data.llm_ids), scores)))
    return found


def evaluate(options: argparse.Namespace) -> int:
    """Print the accuracy of a checkpoint on each file."""
    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: expected a CUDA device, found none; give --device cpu or auto")
    model = ContrastiveModel.load(options.checkpoint, options.device)
    sets = [_as_trained(item, model) for item in read_score_sets(options.data, model.llm_ids, kinds_of(options.scores))]
    progress = sys.stderr.isatty()
    similarities = [model.similarities([item.task_id] * len(item.texts), item.texts, progress) for item in sets]
    report: dict[str, object] = {"checkpoint": str(options.checkpoint), "llms": list(model.llm_ids)}
    texts = []
    for kind, inside in (("in-distribution", True), ("out-of-distribution", False)):
        places = [place for place, item in enumerate(sets) if (item.task_id in model.task_ids) == inside]
        if not places:
            continue
        some = [sets[place] for place in places]
        table, single = accuracy_table(some, [similarities[place] for place in places])
        average = {name: float(table[name].mean()) for name in NUMBERS}
        files = table.assign(scores_told_by=[item.told_by for item in some]).to_dict("records")
        report[kind] = {"files": files, "average": average, "best_single_llm": single}
        guessed = [item.name for item in some if item.told_by == "values"]
        texts.append(as_text(table, kind, single, hindsight=True, guessed=guessed))
    as_json = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
    _write(as_json if options.json else "\n\n".join(texts))
    return DONE


def _as_trained(item: ScoreSet, model: ContrastiveModel) -> ScoreSet:
    """Return the set with its task as training spelt it: arc-challenge and arc_challenge are one task."""
    if item.task_id in model.task_ids:
        return item
    spelt = {task_spelling(task_id): task_id for task_id in model.task_ids}
    return dataclasses.replace(item, task_id=spelt.get(task_spelling(item.task_id), item.task_id))


def _folder(folder: Path, resume: bool) -> Path:
    """Return the run's folder, made, without the state of an earlier training where it is not resumed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        state = folder / "training"
        if resume and not state.exists():
            LOG.info("nothing to resume in %s: training from the start", folder)
        if state.exists() and not resume:
            shutil.rmtree(state)
    except OSError as err:
        raise InputError(
            f"output.folder: expected a folder that can be written, got {folder} ({err.strerror}); "
            "give another with --output DIR"
        ) from err
    return folder


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m graph.contrastive",
        description="Fine-tune the query encoder on which LLMs answer which queries well (RouterDC), alone.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the experiment; see configs/default.yaml")
    parser.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="change one key, e.g. --set seed=1; repeatable"
    )
    parser.add_argument("--output", metavar="DIR", help="folder of runs (default: output.folder, that is runs/)")
    parser.add_argument("--resume", action="store_true", help="go on with the training that was cut off in that folder")
    commands = parser.add_subparsers(dest="command", metavar="evaluate")
    measured = commands.add_parser(
        "evaluate",
        help="measure a trained encoder on score files; see evaluate --help",
        description="Print the accuracy of a trained encoder on each file, beside the best LLMs and the oracle.",
        epilog=EVALUATE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    measured.add_argument("--checkpoint", required=True, type=Path, metavar="DIR", help="the folder encoder/ of a run")
    measured.add_argument(
        "--data", required=True, type=Path, nargs="+", metavar="FILE", help="RouterDC score lists, or folders of them"
    )
    measured.add_argument(
        "--scores",
        action="append",
        default=[],
        metavar="[FILE=]KIND",
        help="what scores are, of all files or of one: probability or multi_attempt; repeatable",
    )
    measured.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute")
    measured.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser


if __name__ == "__main__":
    sys.exit(main())
