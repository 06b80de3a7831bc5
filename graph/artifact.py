"""A router on disk: sorted JSON, safetensors, and a manifest with versions and checksums. Never a pickle."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from configs.errors import InputError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
FILES = ("arrays.safetensors", "settings.json")
LIBRARIES = ("numpy", "scikit-learn", "torch", "torch-geometric", "transformers")


def save_artifact(folder: Path, kind: str, settings: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write `settings.json`, `arrays.safetensors` and, last, `manifest.json` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    # Half a character (a lone surrogate, as broken sources have) is no UTF-8; replaced it reads as JSON's own escape.
    (folder / "settings.json").write_text(text, encoding="utf-8", errors="backslashreplace")
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / "arrays.safetensors")
    manifest = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "libraries": {name: version(name) for name in LIBRARIES},
        "sha256": {name: file_sha256(folder / name) for name in FILES},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_artifact(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return (settings, arrays) after checking kind, format version and every checksum; `InputError` otherwise."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(
            f"{folder}: expected a router folder with manifest.json, found none; run run_exp.py to make one"
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: expected JSON, got: {err}; train the router again") from err
    if not isinstance(manifest, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(manifest).__name__}; train the router again")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{path}: expected format_version {FORMAT_VERSION}, got {manifest.get('format_version')!r}; "
            "train the router again with this version"
        )
    if manifest.get("kind") != kind:
        raise InputError(f"{path}: expected a {kind!r} artifact, got {manifest.get('kind')!r}; give the right folder")
    checksums = manifest.get("sha256")
    if not isinstance(checksums, dict) or sorted(checksums) != sorted(FILES):
        raise InputError(f"{path}: expected the sha256 of {' and '.join(FILES)}, got {checksums!r}; train again")
    for name, expected in checksums.items():
        file = folder / name
        if not file.is_file() or file_sha256(file) != expected:
            raise InputError(f"{file}: expected sha256 {expected[:12]}…, the file is missing or changed; train again")
    return json.loads((folder / "settings.json").read_text(encoding="utf-8")), load_file(folder / "arrays.safetensors")


def artifact_kind(folder: Path) -> str | None:
    """Return the kind of the artifact in `folder`; None where its manifest cannot be read, which loading will tell."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest.get("kind") if isinstance(manifest, dict) else None


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
