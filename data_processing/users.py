"""The users of an experiment, and what they did: each chose, for some train queries, the answer they liked best.

As the last stage of a build it writes both as tables: `python -m data_processing.users --config …`.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from configs.errors import InputError
from configs.schema import Config, Users
from data_processing.importers.describe import plural
from data_processing.judging.judged import check_judged
from data_processing.judging.judgements import FILE, chosen, read_judgements
from data_processing.personas import make_personas, persona_users
from data_processing.stage import Done, stage_main
from data_processing.tables import conform, empty
from data_processing.workspace import Workspace

TIE_BREAK = 1e-6


def make_users(config: Users) -> pd.DataFrame:
    """Return one user of kind 'preference' per value of `users.preferences`; the id tells nothing of the value."""
    width = len(str(len(config.preferences)))
    return conform(
        "users",
        pd.DataFrame(
            {
                "user_id": [f"user_{number:0{width}d}" for number in range(1, len(config.preferences) + 1)],
                "kind": "preference",
                "preference": [float(value) for value in config.preferences],
            }
        ),
    )


def simulate_interactions(
    users: pd.DataFrame,
    query_ids: list[str],
    llm_ids: list[str],
    performance: np.ndarray,
    cost: np.ndarray,
    config: Users,
    seed: int,
) -> pd.DataFrame:
    """Return the interactions of `users` with train queries: each picks the LLM of highest reward among those observed.

    Shapes: `performance` and `cost` (Q, L), rows as `query_ids`, columns as `llm_ids`, NaN where unobserved. At most
    `interactions_per_user` queries per user, drawn without replacement; a query without any outcome is skipped. The
    reward is kept only under `feedback: reward`; under `feedback: choice` the user reveals nothing but the choice.
    """
    seen = np.flatnonzero(np.isfinite(performance + cost).any(axis=1))
    parts = []
    for user_id, preference in zip(users["user_id"], users["preference"].to_numpy(dtype=float), strict=True):
        rng = np.random.default_rng([seed, *str(user_id).encode()])
        count = min(config.interactions_per_user or len(seen), len(seen))
        rows = np.sort(rng.choice(seen, size=count, replace=False))
        reward = preference * performance[rows] - (1 - preference) * cost[rows]
        # Of equally good answers a user takes the cheaper one, so that a tie does not depend on the order of LLMs.
        best = np.nanargmax(reward - TIE_BREAK * cost[rows], axis=1) if len(rows) else np.empty(0, dtype=int)
        parts.append(
            pd.DataFrame(
                {
                    "user_id": str(user_id),
                    "query_id": [query_ids[row] for row in rows],
                    "llm_id": [llm_ids[column] for column in best],
                    "reward": reward[np.arange(len(rows)), best] if config.feedback == "reward" else np.nan,
                }
            )
        )
    return conform("interactions", pd.concat(parts, ignore_index=True))


def thinned_interactions(interactions: pd.DataFrame, config: Users, share: float, seed: int) -> pd.DataFrame:
    """Return a user's log as long as the configuration allows, and dealt out anew where users are `shuffled`.

    `share`: the size of this split relative to the train split, by which `interactions_per_user` is scaled. Which
    interactions stay depends on seed and ids, not on the order of rows.
    """
    if config.interactions_per_user is None and not config.shuffled:
        return interactions
    order = interactions.sort_values(["user_id", "query_id"], ignore_index=True)
    rng = np.random.default_rng([seed, 2])
    if config.interactions_per_user is not None:
        most = int(np.ceil(config.interactions_per_user * share))
        draw = pd.Series(rng.random(len(order))).groupby(order["user_id"]).rank()
        order = order[(draw <= most).to_numpy()].reset_index(drop=True)
    if config.shuffled:
        order = order.assign(user_id=rng.permutation(order["user_id"].to_numpy()))
        order = order.drop_duplicates(["user_id", "query_id"], ignore_index=True)
    return order


def run(config: Config, workspace: Workspace) -> Done:
    """Write the tables `users` and `interactions` of a build.

    Users with preferences have no interactions: what they choose follows from rewards, and the main job derives it.
    Raises `InputError` where the judgements are not there, hold no choice, or are of other personas or answers.
    """
    if config.users.strategy != "llm_as_judge":
        users, interactions = make_users(config.users), empty("interactions")
        told = "what they choose follows from their preferences"
    else:
        users, interactions = persona_users(make_personas(config.users)), chosen(read_judgements(workspace))
        outcomes = workspace.read("outcomes", "score")
        _check_chosen(interactions, users, outcomes, workspace)
        check_judged(config, outcomes, workspace)
        told = f"{plural(len(interactions), 'choice')} of {interactions['user_id'].nunique():,} of them"
    workspace.write("users", users)
    workspace.write("interactions", interactions)
    return Done([f"{plural(len(users), 'user')}; {told}"])


def _check_chosen(
    interactions: pd.DataFrame, users: pd.DataFrame, outcomes: pd.DataFrame, workspace: Workspace
) -> None:
    where, remedy = workspace.folder / FILE, "run again: python -m data_processing.judge"
    if interactions.empty:
        # Without any, the main job would let the rule-based judge choose.
        raise InputError(
            f"{where}: expected choices, got none that could be read; mend the judge (build.judge), {remedy}"
        )
    known = {
        "a persona of the configuration": (users, ["user_id"]),
        "an answer of table 'outcomes'": (outcomes, ["query_id", "llm_id"]),
    }
    for what, (table, columns) in known.items():
        strange = ~pd.MultiIndex.from_frame(interactions[columns]).isin(pd.MultiIndex.from_frame(table[columns]))
        if strange.any():
            got = " + ".join(interactions.loc[strange, columns].iloc[0])
            raise InputError(f"{where}: expected {what}, got {got!r}, from an earlier build; {remedy}")


if __name__ == "__main__":
    sys.exit(stage_main(run, __doc__ or ""))
