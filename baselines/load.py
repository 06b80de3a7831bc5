"""From a folder to the router in it: one that knows users, or a classifier between two LLMs."""

from __future__ import annotations

from pathlib import Path

from baselines.binary_router import KIND, BinaryRouter
from configs.errors import InputError
from graph.artifact import MANIFEST, artifact_kind
from graph.router import Router


def load_router(folder: Path, device: str = "auto") -> Router | BinaryRouter:
    """Return the router in `folder`; `InputError` where there is none, with the folder below that has one."""
    below = router_below(folder)
    if below is not None:
        raise InputError(f"{folder}: expected a router folder with {MANIFEST}, found none; did you mean {below}?")
    if artifact_kind(folder) == KIND:
        return BinaryRouter.load(folder, device)
    return Router.load(folder, device)


def router_below(folder: Path) -> Path | None:
    """Return `folder`/router where the router lies there and not in `folder` itself: the output folder of a run."""
    below = folder / "router"
    return below if not (folder / MANIFEST).is_file() and (below / MANIFEST).is_file() else None
