"""The command line of the server."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data_processing.simulated.__main__ import main
from tests.data_processing.simulated.over_http import get

ROOT = Path(__file__).resolve().parents[3]


def command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "data_processing.simulated", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_command_serves_until_it_is_ended(number: signal.Signals, code: int) -> None:
    with command("--serve", "--port", "0", "--llms", "3", "--fault", "slow=0.1") as served:
        assert served.stdout is not None
        line = served.stdout.readline()
        url = line.split(" at ")[1].split(";")[0]
        assert line.startswith("3 simulated LLMs")
        assert get(url, "/health") == {"status": "ok"}
        served.send_signal(number)
        assert served.communicate(timeout=10) == ("", "")
        assert served.returncode == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --serve"),
        (["--serve", "--api-key-env", "MY_KEY"], "environment variable MY_KEY, got none"),
        (["--serve", "--fault", "sever=1"], "did you mean 'server'"),
        (["--serve", "--port", "70000"], "--port: expected a number from 0 to 65535, got 70000"),
        (["--serve", "--answer-key", "none.csv"], "none.csv: expected a file, found none"),
    ],
)
def test_a_wrong_command_is_refused_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    try:
        code = main(arguments)
    except SystemExit as end:  # argparse, after its usage
        code = end.code  # type: ignore[assignment]
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
