"""Which answers judgements were made of, so that those of other answers are not trained on."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd

from configs.errors import InputError
from configs.schema import Config
from data_processing.judging.judgements import FILE
from data_processing.judging.report import FILE as STATISTICS
from data_processing.personas import make_personas
from data_processing.workspace import Workspace

COLUMNS = ["query_id", "llm_id", "response", "performance", "cost_usd"]  # of `outcomes`, what judging goes by
USERS = {"interactions_per_user", "self_agreement", "persona_seed"}  # settings that it goes by, beside the personas


def judged_digest(config: Config, outcomes: pd.DataFrame) -> str:
    """Return sha256, in hex, over all that judgements follow from: answers, personas and settings of the judge.

    The order of rows counts for nothing.
    """
    personas = [[persona.user_id, persona.description] for persona in make_personas(config.users)]
    settings = [personas, config.users.model_dump(include=USERS), config.build.judge.model_dump()]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    rows = pd.util.hash_pandas_object(outcomes[COLUMNS], index=False).to_numpy(dtype=np.uint64)
    digest.update(np.sort(rows).tobytes())
    return digest.hexdigest()


def check_judged(config: Config, outcomes: pd.DataFrame, workspace: Workspace) -> None:
    """Raise `InputError` where the judgements of a workspace are of other answers, personas or settings."""
    if _recorded(workspace) != judged_digest(config, outcomes):
        raise InputError(
            f"{workspace.folder / FILE}: expected judgements of these answers, got those of others (answers, personas "
            "or build.judge have changed since); run again: python -m data_processing.judge (what the judge was asked "
            "before is not asked again)"
        )


def _recorded(workspace: Workspace) -> str | None:
    """Return the digest that `judge.json` holds, None where it holds none: it is damaged, or of an older version."""
    try:
        return json.loads((workspace.folder / STATISTICS).read_text(encoding="utf-8")).get("judged")
    except (OSError, ValueError, AttributeError):
        return None
