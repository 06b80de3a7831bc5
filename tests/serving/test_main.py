"""The command line of the page."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import serving.__main__ as command
from baselines import binary
from serving.gradio_page import build_help, open_page
from tests.baselines.test_binary import CONFIG
from tests.graph.routers import router_of

gradio = pytest.importorskip("gradio", reason="the page needs requirements-serving.txt")


@pytest.fixture(autouse=True)
def usual_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def interrupted(blocks: gradio.Blocks, host: str, port: int) -> str:
    raise KeyboardInterrupt


def test_without_a_router_both_the_terminal_and_the_page_say_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []

    def look(blocks: gradio.Blocks, host: str, port: int) -> str:
        pages.append(str(blocks.get_config_file()["components"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "open_page", look)
    assert command.main(["--router", str(tmp_path / "none")]) == 130
    assert "python run_exp.py --config configs/default.yaml" in capsys.readouterr().err
    assert "python run_exp.py --config configs/default.yaml" in pages[0]


def test_a_router_is_loaded_and_guests_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    router_of().save(tmp_path / "router")
    monkeypatch.setattr(command, "open_page", interrupted)
    assert command.main(["--router", str(tmp_path / "router")]) == 130
    assert capsys.readouterr().err == ""
    assert command.main(["--router", str(tmp_path / "router"), "--host", "0.0.0.0"]) == 130
    assert "everyone who reaches this machine" in capsys.readouterr().err


def test_a_wrong_configuration_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--config", str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match="--port: expected a free port"):
            open_page(build_help("none", Path("none")), "127.0.0.1", taken.getsockname()[1])


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    assert "run_exp.py --config configs/default.yaml" in capsys.readouterr().out


def test_a_router_in_the_folder_below_is_pointed_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []

    def look(blocks: gradio.Blocks, host: str, port: int) -> str:
        pages.append(str(blocks.get_config_file()["components"]))
        raise KeyboardInterrupt

    router_of().save(tmp_path / "router")
    monkeypatch.setattr(command, "open_page", look)
    assert command.main(["--router", str(tmp_path)]) == 130
    assert f"did you mean {tmp_path / 'router'}?" in capsys.readouterr().err
    assert f"Did you mean {tmp_path / 'router'}?" in pages[0]


def test_a_classifier_has_a_page_and_a_threshold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []

    def look(blocks: gradio.Blocks, host: str, port: int) -> str:
        pages.append(str(blocks.get_config_file()["components"]))
        raise KeyboardInterrupt

    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    assert binary.main(["--config", str(tmp_path / "config.yaml"), "--output", str(tmp_path / "out")]) == 0
    router = str(tmp_path / "out" / "router")
    settings = json.loads((tmp_path / "out" / "router" / "settings.json").read_text(encoding="utf-8"))
    ids = {name: settings[name] for name in ("weak_id", "strong_id")}
    found = {"threshold": 0.123, "coin": 1.0, "asked_share": 0.3, "prompts": 9, **ids}
    (tmp_path / "threshold.json").write_text(json.dumps(found), encoding="utf-8")
    monkeypatch.setattr(command, "open_page", look)
    assert command.main(["--router", router, "--threshold", str(tmp_path / "threshold.json")]) == 130
    assert "Send to the strong LLM from a probability of" in pages[0]
    assert "'value': 0.123" in pages[0]
    assert command.main(["--router", router, "--threshold", str(tmp_path / "none.json")]) == 2
    router_of().save(tmp_path / "graph")
    assert command.main(["--router", str(tmp_path / "graph"), "--threshold", "x"]) == 2
    assert "--threshold: expected it for a classifier" in capsys.readouterr().err


@pytest.mark.parametrize("how", [["{root}/serving/ui.py"], ["-m", "serving.ui"]])
def test_the_file_is_the_command_too(how: list[str], tmp_path: Path) -> None:
    root = Path(command.__file__).parent.parent
    script = not how[0].startswith("-")
    done = subprocess.run(
        [sys.executable, *(part.format(root=root) for part in how), "--help"],
        cwd=tmp_path if script else root,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "python serving/ui.py" in done.stdout
