"""What a build leaves to read: `report.md` for people and `build.json` for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from configs.load import dump_config
from configs.schema import Config
from data_processing.plan import Cost, as_text
from data_processing.stage import Done
from data_processing.workspace import Workspace, whole

TITLE = {
    "unify": "Questions",
    "responses": "Answers",
    "score": "Scores",
    "judge": "Judgements",
    "users": "Users",
}


@dataclasses.dataclass(frozen=True)
class Timed:
    """What a stage did, and how long it took."""

    done: Done
    seconds: float


@dataclasses.dataclass(frozen=True)
class Report:
    """One build; `costs` is what was planned."""

    config: Config
    queries: int
    llms: int
    costs: Sequence[Cost]
    stages: Mapping[str, Timed]

    @property
    def spent_usd(self) -> float:
        """Return US dollars that this process paid; another one in the same workspace has its own account."""
        return sum(each.done.spent_usd for each in self.stages.values())

    def write(self, workspace: Workspace) -> Path:
        """Write both files into the workspace; return the path of `report.md`."""
        content = {
            "schema": 1,
            "name": self.config.name,
            "queries": self.queries,
            "llms": self.llms,
            "spent_usd": self.spent_usd,
            "planned": [dataclasses.asdict(cost) for cost in self.costs],
            "stages": {
                name: {**dataclasses.asdict(each.done), "seconds": each.seconds} for name, each in self.stages.items()
            },
            "config": self.config.model_dump(mode="json"),
        }
        _replace(workspace.folder / "build.json", json.dumps(content, indent=1, sort_keys=True) + "\n")
        path = workspace.folder / "report.md"
        _replace(path, self._markdown(workspace))
        return path

    def _markdown(self, workspace: Workspace) -> str:
        lines = [f"# Data construction: {self.config.name}", ""]
        lines += [f"{self.queries:,} questions to {self.llms} LLMs; ${self.spent_usd:.4f} spent in this run.", ""]
        for name, each in self.stages.items():
            lines += [f"## {TITLE[name]}", "", *(f"- {note}" for note in each.done.notes)]
            lines += [f"- {each.seconds:.1f} s", ""]
        lines += ["## Planned cost", "", "```", as_text(self.costs), "```", ""]
        lines += ["## Train on it", "", "```", "python run_exp.py --config … --set data.source=tables \\"]
        lines += [f"    --set data.path={workspace.tables}", "```", ""]
        lines += ["## Configuration", "", "```yaml", dump_config(self.config).rstrip(), "```", ""]
        return "\n".join(lines)


def _replace(path: Path, text: str) -> None:
    with whole(path) as part:
        part.write_bytes(text.encode("utf-8", "backslashreplace"))
