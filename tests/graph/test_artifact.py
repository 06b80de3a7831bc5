"""An artifact comes back as it was written, and anything else than what was written is refused by name."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import InputError
from graph.artifact import FORMAT_VERSION, file_sha256, load_artifact, save_artifact

SETTINGS: dict[str, Any] = {"b": [1, 2.5, None, True], "a": {"ü": "东京 🦊\n"}}
ARRAYS = {
    "x": np.arange(6, dtype=np.float32).reshape(2, 3),
    "turned": np.arange(6).reshape(2, 3).T,
    "none": np.zeros((0, 5), dtype=np.float32),
    "rows": np.array([3, -1]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_artifact(tmp_path / "a", "thing", SETTINGS, ARRAYS)
    return tmp_path / "a"


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_round_trip(folder: Path) -> None:
    settings, arrays = load_artifact(folder, "thing")
    assert settings == SETTINGS
    assert arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], value)
        assert arrays[name].dtype == value.dtype


def test_the_folder_is_sorted_json_safetensors_and_a_manifest(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["arrays.safetensors", "manifest.json", "settings.json"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format_version"] == FORMAT_VERSION
    assert manifest["kind"] == "thing"
    assert {"numpy", "torch", "torch-geometric"} <= manifest["libraries"].keys()
    assert manifest["sha256"] == {name: file_sha256(folder / name) for name in ("arrays.safetensors", "settings.json")}
    for name in ("manifest.json", "settings.json"):
        text = (folder / name).read_text(encoding="utf-8")
        assert text == json.dumps(json.loads(text), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_half_of_a_character_can_be_kept(tmp_path: Path) -> None:
    """Broken JSON in a source gives lone surrogates; a run must not die of one when it saves."""
    save_artifact(tmp_path, "thing", {"query": "\ud800 half"}, {})
    assert load_artifact(tmp_path, "thing")[0] == {"query": "\ud800 half"}


def test_writing_over_an_artifact_replaces_it(folder: Path) -> None:
    save_artifact(folder, "thing", {"new": 1}, {})
    assert load_artifact(folder, "thing") == ({"new": 1}, {})


@pytest.mark.parametrize("name", ["arrays.safetensors", "settings.json"])
@pytest.mark.parametrize("how", ["flipped", "truncated", "empty", "missing"])
def test_damage_is_found_and_named(folder: Path, name: str, how: str) -> None:
    file = folder / name
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        file.write_bytes({"flipped": flipped, "truncated": content[:-1], "empty": b""}[how])
    with pytest.raises(InputError, match=f"{name}: expected sha256"):
        load_artifact(folder, "thing")


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, "1", None])
def test_another_format_version_is_refused(folder: Path, version: Any) -> None:
    change(folder / "manifest.json", format_version=version)
    with pytest.raises(InputError, match=f"expected format_version {FORMAT_VERSION}, got {version!r}"):
        load_artifact(folder, "thing")


def test_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="expected a 'router' artifact, got 'thing'"):
        load_artifact(folder, "router")


def test_no_manifest_is_no_artifact(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"expected a router folder with manifest\.json, found none"):
        load_artifact(folder, "thing")
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="expected a router folder"):
        load_artifact(folder, "thing")


@pytest.mark.parametrize("content", [b"", b"{", b"\x00", b"\xff"])
def test_a_manifest_that_is_no_json_is_refused(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(InputError, match=r"manifest\.json: expected JSON"):
        load_artifact(folder, "thing")


@pytest.mark.parametrize("text", ["[]", "null", '{"format_version": 1, "kind": "thing"}', '{"sha256": {}}'])
def test_a_manifest_of_another_shape_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json: expected"):
        load_artifact(folder, "thing")


def test_a_manifest_that_leaves_a_file_out_vouches_for_nothing(folder: Path) -> None:
    change(folder / "manifest.json", sha256={})
    (folder / "settings.json").write_text('{"swapped": true}')
    with pytest.raises(InputError, match=r"manifest\.json: expected"):
        load_artifact(folder, "thing")


def test_a_save_that_did_not_finish_is_no_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("graph.artifact.save_file", full)
    with pytest.raises(OSError, match="no space"):
        save_artifact(tmp_path, "thing", SETTINGS, ARRAYS)
    with pytest.raises(InputError, match="expected a router folder"):
        load_artifact(tmp_path, "thing")
