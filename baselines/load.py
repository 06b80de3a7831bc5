"""From a folder to the router in it: one that knows users, or a classifier between two LLMs."""

from __future__ import annotations

import json
from pathlib import Path

from baselines.binary_router import KIND, BinaryRouter
from configs.errors import InputError
from graph.router import Router

MANIFEST = "manifest.json"


def load_router(folder: Path, device: str = "auto") -> Router | BinaryRouter:
    """Return the router in `folder`; `InputError` where there is none, with the folder below that has one."""
    below = router_below(folder)
    if below is not None:
        raise InputError(f"{folder}: expected a router folder with {MANIFEST}, found none; did you mean {below}?")
    if kind_of(folder) == KIND:
        return BinaryRouter.load(folder, device)
    return Router.load(folder, device)


def router_below(folder: Path) -> Path | None:
    """Return `folder`/router where the router lies there and not in `folder` itself: the output folder of a run."""
    below = folder / "router"
    return below if not (folder / MANIFEST).is_file() and (below / MANIFEST).is_file() else None


def kind_of(folder: Path) -> str | None:
    """Return the kind of the artifact in `folder`; None where its manifest cannot be read, which loading will tell."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest.get("kind") if isinstance(manifest, dict) else None
