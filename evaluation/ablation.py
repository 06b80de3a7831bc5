"""What each part is worth: the graph router without it, or another router, against the full model on the same rows."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from baselines.contrastive import ContrastivePolicy
from baselines.oracle import OraclePolicy
from configs.errors import InputError
from configs.load import with_overrides
from configs.schema import Config, Variant
from evaluation.study import Setting, fit, judged_by, row, score, table
from graph.contrastive_model import need_transformer

LOG = logging.getLogger(__name__)

FULL = "full model"
# What a variant may change. The rest (source, split, seed, who the users are) is fixed before the variants are made, so
# a change of it would have no effect and the row would be a lie.
CHANGEABLE = (
    "data.observed_llms_per_query",
    "data.use_tasks",
    "data.cost_scaling",
    "users.interactions_per_user",
    "users.feedback",
    "users.preference_stated",
    "users.shuffled",
    "encoder.",
    "graph.",
    "train.",
)


def ablation(setting: Setting) -> pd.DataFrame:
    """Return the study's table: one series per variant, the full model first; the reference is the full model."""
    full = score(setting.graph, setting.prepared)
    rows = [row(setting, FULL, full, reference=full.value)]
    for variant in setting.config.evaluate.ablations:
        config = varied(setting.config, variant)
        prepared = setting.prepare_with(config) if variant.set else setting.prepared
        got = score(fit(variant.policy, setting, prepared, config), judged_by(setting.prepared, prepared))
        LOG.info("ablation: %s %.4f, the full model %.4f", variant.name, got.value, full.value)
        rows.append(row(setting, variant.name, got, reference=full.value))
    return table(rows)


def check_ablations(config: Config) -> None:
    """Raise `InputError` for a variant that is wrong, changes what has no effect, or has the name of another."""
    names = [FULL]
    for variant in config.evaluate.ablations:
        changed = varied(config, variant)
        if variant.policy == OraclePolicy.name:
            raise InputError(
                f"evaluate.ablations, {variant.name!r}: expected a policy that is fitted, got 'oracle'; choose another"
            )
        if variant.policy == ContrastivePolicy.name:
            need_transformer(changed.encoder)
        if variant.name in names:
            raise InputError(
                f"evaluate.ablations: expected different names, none of them {FULL!r}, got {variant.name!r} again; "
                "rename it"
            )
        names.append(variant.name)


def varied(config: Config, variant: Variant) -> Config:
    """Return `config` with the variant's changes; raise `InputError` for one that is wrong or has no effect."""
    where = f"evaluate.ablations, {variant.name!r}"
    changed = with_overrides(config, variant.set, where)
    before, after = _leaves(config.model_dump()), _leaves(changed.model_dump())
    for key in sorted(before):
        if before[key] != after[key] and not key.startswith(CHANGEABLE):
            raise InputError(
                f"{where}: expected keys of {', '.join(name.rstrip('.') for name in CHANGEABLE)}, got {key}, which is "
                "the same for all variants; make it an experiment of its own"
            )
    return changed


def _leaves(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> value of every key that is not a section."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
