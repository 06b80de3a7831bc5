from pathlib import Path

import pytest

from configs.errors import InputError
from configs.schema import Config
from data_processing.stage import Done, configured, parser, stage_main
from data_processing.workspace import Workspace


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "some.yaml"
    path.write_text(f"name: some\nbuild: {{folder: {tmp_path}/out}}\n", encoding="utf-8")
    return str(path)


def test_a_stage_gets_its_configuration_and_its_notes_are_told(config: str, capsys: pytest.CaptureFixture) -> None:
    seen = []

    def run(given: Config, workspace: Workspace) -> Done:
        seen.append((given.build.queries_per_task, given.build.max_usd, workspace.folder.name))
        return Done(["3 questions", "half a character: \ud83d"])

    argv = ["--config", config, "--set", "build.queries_per_task=3", "--max-usd", "0.25"]
    assert stage_main(run, "Does something.", argv) == 0
    assert seen == [(3, 0.25, "some")]
    assert capsys.readouterr().out == "3 questions\nhalf a character: \\ud83d\n"


def test_wrong_input_is_one_line_and_exit_code_2(config: str, capsys: pytest.CaptureFixture) -> None:
    def run(given: Config, workspace: Workspace) -> Done:
        raise InputError("file.json: expected a list,\n got a number; mend it")

    assert stage_main(run, "", ["--config", config]) == 2
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", "error: file.json: expected a list, got a number; mend it\n")


def test_ctrl_c_is_exit_code_130(config: str, capsys: pytest.CaptureFixture) -> None:
    def run(given: Config, workspace: Workspace) -> Done:
        raise KeyboardInterrupt

    assert stage_main(run, "", ["--config", config]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_a_negative_budget_is_refused(config: str) -> None:
    with pytest.raises(InputError, match=r"build\.max_usd: expected a number >= 0"):
        configured(parser("").parse_args(["--config", config, "--max-usd", "-1"]))
