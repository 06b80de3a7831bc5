"""How much log is needed: every policy fitted again on thinner logs, judged on the same test rows.

Two things get thin: how many LLMs' answers are known for each train query, and on how many train queries each user gave
feedback. Live traffic is thin in both.
"""

from __future__ import annotations

import logging
import math

import pandas as pd

from baselines.oracle import OraclePolicy
from configs.schema import Config
from evaluation.study import ALL, Score, Setting, fit, judged_by, row, score, score_oracle, table

LOG = logging.getLogger(__name__)


def thin_logs(setting: Setting) -> pd.DataFrame:
    """Return the study's table: panel = LLMs per query, x = interactions per user, series = policy.

    The reference is the same policy on the configured log, NaN where the main run did not fit it.
    """
    config, study = setting.config, setting.config.evaluate.thin_logs
    full = {name: _full_log(name, setting) for name in study.policies}
    rows = []
    for llms in study.observed_llms_per_query or (config.data.observed_llms_per_query,):
        for interactions in study.interactions_per_user or (config.users.interactions_per_user,):
            thin = thinned(config, llms, interactions)
            prepared = setting.prepared if thin == config else setting.prepare_with(thin)
            for name in study.policies:
                got, reference = full[name], full[name]
                if got is None or (thin != config and name != OraclePolicy.name):
                    got = score(fit(name, setting, prepared, thin), judged_by(setting.prepared, prepared))
                LOG.info("thin logs, %s, %s per user: %s %.4f", panel(llms), interactions or "all", name, got.value)
                against = reference.value if reference else math.nan
                rows.append(row(setting, name, got, panel(llms), interactions or ALL, against))
    return table(rows)


def thinned(config: Config, llms: int | None, interactions: int | None) -> Config:
    """Return `config` with that many LLMs per query and interactions per user."""
    data = config.data.model_copy(update={"observed_llms_per_query": llms})
    users = config.users.model_copy(update={"interactions_per_user": interactions})
    return config.model_copy(update={"data": data, "users": users})


def panel(llms: int | None) -> str:
    """Return e.g. `1 LLM per query`, `4 LLMs per query`, `all LLMs per query`."""
    return f"{llms or 'all'} LLM{'' if llms == 1 else 's'} per query"


def _full_log(name: str, setting: Setting) -> Score | None:
    if name == OraclePolicy.name:
        return score_oracle(setting.prepared)
    return score(setting.fitted[name].policy, setting.prepared) if name in setting.fitted else None
