"""From a configuration to its dataset with its users, and to the judge who chooses for them."""

from __future__ import annotations

import dataclasses

from configs.errors import InputError
from configs.schema import Config, Users
from data_processing.importers import LoadedData, load_source
from data_processing.personas import make_personas, persona_users
from data_processing.rule_judge import RuleJudge
from data_processing.simulated import build_world
from data_processing.tables import Dataset
from data_processing.users import make_users


def load_data(config: Config) -> LoadedData:
    """Return the dataset of the configuration with its users, and refuse one that cannot be learnt from."""
    if config.data.source == "simulated":
        world = config.data.simulated
        loaded = LoadedData(build_world(world.queries, world.llms, world.seed), None)
    else:
        loaded = load_source(config.data)
    if loaded.dataset.users.empty:
        judged = config.users.strategy == "llm_as_judge"
        users = persona_users(make_personas(config.users)) if judged else make_users(config.users)
        loaded = LoadedData(dataclasses.replace(loaded.dataset, users=users), loaded.test_query_ids)
    check_users(loaded.dataset, config.users.strategy)
    return loaded


def make_judge(data: Dataset, users: Users) -> RuleJudge | None:
    """Return who chooses for the personas; None where users have preferences or the data bring what was chosen."""
    if users.strategy != "llm_as_judge" or not data.interactions.empty:
        return None
    personas = make_personas(users)
    if set(data.users["user_id"]) != {persona.user_id for persona in personas}:
        raise InputError(
            f"{data.name}: expected a table 'interactions' with what its users chose, got none; add it, or leave out "
            "the table 'users' to have the personas of users.personas choose"
        )
    return RuleJudge.of(data, personas, users.self_agreement, users.persona_seed)


def check_users(data: Dataset, strategy: str) -> None:
    """Raise `InputError` where the data cannot serve the strategy: rewards need performances and preferences, judged
    users are personas."""
    if data.outcomes["performance"].isna().all():
        raise InputError(f"{data.name}: expected performances in table 'outcomes', got none; score the answers first")
    kind = "persona" if strategy == "llm_as_judge" else "preference"
    other = data.users.loc[data.users["kind"] != kind, "user_id"].tolist()
    if other:
        remedy = {
            "preference": "add a column 'preference', or set users.strategy to llm_as_judge where all are personas",
            "persona": "make all of them personas, or set users.strategy to multi_cost_efficiency",
        }[kind]
        raise InputError(
            f"{data.name}: expected users of kind {kind!r} for users.strategy {strategy}, got another kind for "
            f"{len(other)} of {len(data.users)}, the first being {other[0]!r}; {remedy}"
        )
