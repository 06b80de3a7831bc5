import hashlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.constants
import huggingface_hub.file_download
import huggingface_hub.utils._http
import pytest

from configs.errors import InputError
from data_processing.questions.hub import hub_file
from tests.data_processing.hub_server import COMMIT, Hub, hub_up

CONTENT = b'[{"q": "Who?", "a": "Ada"}]' * 500


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_up({"data/test.json": CONTENT, "load.py": b"raise SystemExit"}) as hub:
        point_to(hub.url, monkeypatch)
        yield hub


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what HF_ENDPOINT does before huggingface_hub is imported; its waits between attempts take no time."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    unhurried = SimpleNamespace(sleep=lambda seconds: None, time=time.time)
    for module in (huggingface_hub.utils._http, huggingface_hub.file_download):
        monkeypatch.setattr(module, "time", unhurried)


def refusal(*arguments: object) -> str:
    with pytest.raises(InputError) as err:
        hub_file(*arguments)  # type: ignore[arg-type]
    assert "\n" not in str(err.value)
    return str(err.value)


def test_a_file_is_downloaded_once_and_then_needs_no_network(hub: Hub, tmp_path: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = hub_file("me/set", COMMIT, "data/test.json", digest, tmp_path)
    assert path.read_bytes() == CONTENT
    assert hub_file("me/set", "main", "data/test.json", digest, tmp_path).read_bytes() == CONTENT
    assert hub.requests == ["data/test.json"]


def test_what_is_there_is_used_without_a_network(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [hub_file("me/set", revision, "data/test.json", None, tmp_path) for revision in (COMMIT, "main")]
    point_to(closed_port(), monkeypatch)
    assert [hub_file("me/set", name, "data/test.json", None, tmp_path) for name in (COMMIT, "main")] == paths


def test_a_branch_that_moved_is_downloaded_anew(hub: Hub, tmp_path: Path) -> None:
    hub_file("me/set", "main", "data/test.json", None, tmp_path)
    hub.files["data/test.json"], hub.commit = b"[]", "f" * 40
    assert hub_file("me/set", "main", "data/test.json", None, tmp_path).read_bytes() == b"[]"
    assert hub_file("me/set", COMMIT, "data/test.json", None, tmp_path).read_bytes() == CONTENT


def test_a_connection_cut_halfway_leaves_no_half_file(hub: Hub, tmp_path: Path) -> None:
    hub.cut = True
    path = hub_file("me/set", "main", "data/test.json", hashlib.sha256(CONTENT).hexdigest(), tmp_path)
    assert path.read_bytes() == CONTENT
    assert hub.requests == ["data/test.json"] * 2


def test_another_sha256_is_refused_with_both(hub: Hub, tmp_path: Path) -> None:
    message = refusal("me/set", "main", "data/test.json", "0" * 64, tmp_path)
    for part in (
        "data/test.json of dataset 'me/set' at 'main'",
        "0" * 64,
        hashlib.sha256(CONTENT).hexdigest(),
        "delete",
    ):
        assert part in message


def test_what_the_hub_lacks_is_named(hub: Hub, tmp_path: Path) -> None:
    message = refusal("me/set", "main", "test.json", None, tmp_path)
    assert "found none (did you mean 'data/test.json'?); the dataset has data/test.json" in message
    assert "expected a dataset, found none (or it is private)" in refusal("you/set", "main", "x.json", None, tmp_path)
    assert "expected this revision, found none" in refusal("me/set", "v9", "data/test.json", None, tmp_path)
    assert "owner/name" in refusal("me/../set", "main", "x.json", None, tmp_path)


def test_a_script_is_never_fetched(hub: Hub, tmp_path: Path) -> None:
    assert "expected a file of rows (.json" in refusal("me/set", "main", "load.py", None, tmp_path)
    del hub.files["data/test.json"]
    message = refusal("me/set", "main", "data/test.json", None, tmp_path)
    assert "found a loading script only, which is not run" in message
    assert "load.py" not in hub.requests


def test_without_a_network_the_remedy_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_to(closed_port(), monkeypatch)
    message = refusal("me/set", "main", "data/test.json", None, tmp_path)
    assert "Connection refused; check the network; without a network, download it elsewhere" in message
    assert "give `file` instead of `hub`" in message


def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"
