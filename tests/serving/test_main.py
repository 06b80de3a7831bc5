"""The command line of the page."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import serving.__main__ as command
from serving.ui import build_help, open_page
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
