"""Where one build keeps what it made: the tables, and the store of everything that was asked."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from configs.errors import InputError
from configs.schema import Config
from data_processing.tables import conform


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The folder `<build.folder>/<name>`. Nothing is made before something is written."""

    folder: Path

    @classmethod
    def of(cls, config: Config) -> Workspace:
        """Return the workspace of a configuration."""
        return cls(Path(config.build.folder).expanduser() / config.name)

    @property
    def tables(self) -> Path:
        """Return the folder of tables, which `data.source: tables` reads."""
        return self.folder / "tables"

    @property
    def store(self) -> Path:
        """Return the file of the store of answers."""
        return self.folder / "responses.sqlite"

    def read(self, name: str, stage: str) -> pd.DataFrame:
        """Return table `name`; `InputError` names the `stage` that makes it where it is not there or is damaged."""
        path = self.tables / f"{name}.parquet"
        if not path.is_file():
            raise InputError(f"{path}: expected a table, found none; run first: python -m data_processing.{stage}")
        try:
            table = pd.read_parquet(path)
        except (ValueError, OSError) as err:  # pyarrow's errors are ValueErrors
            raise InputError(
                f"{path}: expected a readable table, got: {err}; run again: python -m data_processing.{stage}"
            ) from err
        return conform(name, table, str(path))

    def write(self, name: str, table: pd.DataFrame) -> Path:
        """Write table `name` whole or not at all, and return its path."""
        path = self.tables / f"{name}.parquet"
        with whole(path) as part:
            conform(name, table, str(path)).to_parquet(part, index=False)
        return path

    def remove(self, names: Sequence[str]) -> list[str]:
        """Remove those of the tables that are there; return their names."""
        there = [name for name in names if (self.tables / f"{name}.parquet").is_file()]
        for name in there:
            (self.tables / f"{name}.parquet").unlink(missing_ok=True)
        return there


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield the file to write, which replaces `path` once it is complete; `InputError` where that cannot be."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as err:
        raise InputError(
            f"{path}: expected to write it, got: {err.strerror}; free the disk or mend the folder"
        ) from err
