"""What a user nobody has seen gets: users are left out of training, then added with a few of their interactions."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from configs.errors import InputError, did_you_mean
from configs.schema import NewUsers
from evaluation.study import Setting, fit, fit_graph, nested_draw, row, score, table
from graph.records import RoutingData
from graph.routing_data import PreparedData

LOG = logging.getLogger(__name__)
PANEL, FLOOR = "new users", "best_single"


def new_users(setting: Setting) -> pd.DataFrame:
    """Return the study's table: x = interactions of each new user that are added, without a gradient step.

    Series: `graph`, and the best single LLM of the population without them. All are scored on the new users alone, and
    the reference is the router that was trained with them.
    """
    study, prepared = setting.config.evaluate.new_users, setting.prepared
    users = held_out(study, list(prepared.true_users["user_id"]), setting.seed)
    reference = score(setting.graph, prepared, users).value
    without = without_users(prepared, users)
    graph = fit_graph(setting, without)
    floor = score(fit(FLOOR, setting, without), prepared, users)
    rows = []
    for shots in study.shots:
        drawn = few_interactions(prepared.train.interactions, users, shots, setting.seed)
        knowing = graph.observed(without.train, drawn) if len(drawn) else graph
        got = score(knowing, prepared, users)
        LOG.info("new users: %d interactions each %.4f, trained with them %.4f", shots, got.value, reference)
        rows.append(row(setting, graph.name, got, PANEL, shots, reference))
        rows.append(row(setting, FLOOR, floor, PANEL, shots, reference))
    return table(rows)


def held_out(study: NewUsers, users: Sequence[str], seed: int) -> list[str]:
    """Return the ids of the new users, sorted: those named, or a random share that `seed` draws.

    Raises `InputError` for an unknown id, or where not at least one user goes and one stays.
    """
    known = sorted(users)
    for user in study.users:
        if user not in known:
            raise InputError(
                f"evaluate.new_users.users: expected ids of users, got {user!r}{did_you_mean(user, known)}; the "
                f"{len(known)} users are {', '.join(known[:10])}{', …' if len(known) > 10 else ''}; mend the id"
            )
    if study.users:
        chosen = sorted(set(study.users))
    else:
        count = round(study.fraction * len(known))
        chosen = sorted(np.random.default_rng([seed, 2]).permutation(known)[:count].tolist())
    if not 0 < len(chosen) < len(known):
        raise InputError(
            f"evaluate.new_users: expected at least one user to hold out and one to keep, got {len(chosen)} of "
            f"{len(known)}; change evaluate.new_users.{'users' if study.users else 'fraction'}"
        )
    return chosen


def without_users(prepared: PreparedData, users: Sequence[str]) -> PreparedData:
    """Return `prepared` with neither these users nor their interactions in train and validation."""
    train, validation = (_without(data, users) for data in (prepared.train, prepared.validation))
    return dataclasses.replace(prepared, train=train, validation=validation)


def few_interactions(interactions: pd.DataFrame, users: Sequence[str], count: int, seed: int) -> pd.DataFrame:
    """Return `count` random interactions of each user (all where there are fewer), those of fewer among those of more.

    The draw depends on the ids and `seed`, not on the order of rows.
    """
    parts = []
    for user in users:
        own = interactions[interactions["user_id"] == user]
        drawn = nested_draw(list(own["query_id"]), seed, user)[:count]
        parts.append(own[own["query_id"].isin(drawn)])
    return pd.concat(parts, ignore_index=True)


def _without(data: RoutingData, users: Sequence[str]) -> RoutingData:
    stays = ~data.users["user_id"].isin(list(users))
    kept = ~data.interactions["user_id"].isin(list(users))
    return dataclasses.replace(
        data,
        users=data.users[stays].reset_index(drop=True),
        interactions=data.interactions[kept].reset_index(drop=True),
    )
