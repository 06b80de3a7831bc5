"""The studies of a run: which were asked for, whether they can be done, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from configs.errors import InputError
from configs.schema import Config
from data_processing.tables import Dataset
from evaluation.ablation import ablation, check_ablations
from evaluation.evaluate import Fitted
from evaluation.new_llms import chosen_llms, new_llms
from evaluation.new_users import held_out, new_users
from evaluation.results import GRAPH
from evaluation.study import Setting
from evaluation.thin_logs import thin_logs
from graph.routing_data import PreparedData

STUDIES: dict[str, Callable[[Setting], pd.DataFrame]] = {
    "thin_logs": thin_logs,
    "ablation": ablation,
    "new_users": new_users,
    "new_llms": new_llms,
}
NEED_GRAPH = ("ablation", "new_users", "new_llms")  # they compare with the graph router of the main run


def asked_for(config: Config) -> list[str]:
    """Return the names of the studies that the configuration asks for, in the order of `STUDIES`."""
    wanted = config.evaluate
    asked = {
        "thin_logs": wanted.thin_logs.observed_llms_per_query or wanted.thin_logs.interactions_per_user,
        "ablation": wanted.ablations,
        "new_users": wanted.new_users.users or wanted.new_users.fraction,
        "new_llms": wanted.new_llms.llms,
    }
    return [name for name in STUDIES if asked[name]]


def check_studies(config: Config, dataset: Dataset) -> None:
    """Raise `InputError` for a study that cannot be done, before anything is trained."""
    asked = asked_for(config)
    for name in asked:
        if name in NEED_GRAPH and GRAPH not in config.evaluate.policies:
            key = "ablations" if name == "ablation" else name
            raise InputError(
                f"evaluate.{key}: expected {GRAPH!r} among evaluate.policies, got "
                f"{', '.join(config.evaluate.policies)}; add it"
            )
    if "ablation" in asked:
        check_ablations(config)
    if "new_users" in asked:
        held_out(config.evaluate.new_users, list(dataset.users["user_id"]), config.seed)
    if "new_llms" in asked:
        chosen_llms(config.evaluate.new_llms.llms, list(dataset.llms["llm_id"]))


def run_studies(
    config: Config,
    prepare_with: Callable[[Config], PreparedData],
    prepared: PreparedData,
    fitted: dict[str, Fitted],
    seed: int,
    repeat: int,
    progress: bool = False,
) -> dict[str, pd.DataFrame]:
    """Return study -> table of one repeat, for every study that was asked for; nothing where none was.

    `prepare_with` prepares the same dataset, users and split under another configuration (the encoder may differ).
    `prepared` and `fitted` are those of the main run. Raises `KeyboardInterrupt` where Ctrl-C cut a training.
    """
    setting = Setting(config, prepare_with, prepared, fitted, seed, repeat, progress)
    return {name: STUDIES[name](setting) for name in asked_for(config)}


def gather(repeats: Sequence[dict[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Return study -> the tables of all repeats under one another."""
    names = dict.fromkeys(name for repeat in repeats for name in repeat)
    return {
        name: pd.concat([repeat[name] for repeat in repeats if name in repeat], ignore_index=True) for name in names
    }
