"""A small built world to judge, and judges with known tastes."""

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from configs.schema import Build, Config, Endpoint, Judging, Tracking, Users
from data_processing.judging.prompt import parse_prompt
from data_processing.simulated import build_world
from data_processing.tables import Dataset
from data_processing.workspace import Workspace
from tests.data_processing.scripted_llm import Body


def world(folder: Path, queries: int = 12, llms: int = 4) -> Workspace:
    """Return a workspace with the tables up to `outcomes`."""
    workspace, dataset = Workspace(folder / "test"), _built(queries, llms)
    for name in ("tasks", "queries", "llms", "outcomes"):
        workspace.write(name, getattr(dataset, name))
    return workspace


@functools.cache
def _built(queries: int, llms: int) -> Dataset:
    return build_world(queries, llms, 0)


def config(folder: Path, url: str, users: Users | None = None, **judging: Any) -> Config:
    """Return a configuration whose judge is at `url`; it stands for a judge that is paid."""
    return Config(
        name="test",
        users=users or Users(strategy="llm_as_judge"),
        build=Build(
            folder=str(folder),
            endpoints=(Endpoint(name="simulated", base_url=url, retries=0),),
            judge=Judging(**judging),
        ),
        tracking=Tracking(progress="off"),
    )


def favourite(persona: str, answers: tuple[str, ...]) -> int:
    """Return the place of the answer that this persona likes best, wherever it stands."""
    liking = [hashlib.sha256(f"{persona}\x1f{answer}".encode()).hexdigest() for answer in answers]
    return liking.index(max(liking))


def by_taste(body: Body) -> str:
    """Answer as a judge that goes by the texts and the persona, and by nothing else."""
    persona, shown = body["messages"][0]["content"], body["messages"][1]["content"]
    return json.dumps({"choice": favourite(persona, parse_prompt(shown).answers) + 1})
