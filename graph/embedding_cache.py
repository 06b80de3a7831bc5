"""Vectors kept between runs: one SQLite file per encoder key, one row per text.

SQLite because it is what makes two processes and a Ctrl-C harmless: each batch is one transaction, kept whole or not
at all. A connection lives for one call, so threads and forks share nothing. Every row has a checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from configs.errors import InputError

LOG = logging.getLogger(__name__)
WAIT_SECONDS = 60
SILENT = 50  # fewer new texts than this take seconds, and nobody waits for a message
TABLE = """CREATE TABLE IF NOT EXISTS vectors (
    text BLOB PRIMARY KEY, vector BLOB NOT NULL, checksum INTEGER NOT NULL
)"""
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
# Files whose pages this process has checked. Checking reads all of a file, which may hold many times what is asked for;
# what breaks later is found when it is read.
_CHECKED: set[Path] = set()

Result = TypeVar("Result")


class QueryEncoder(Protocol):
    """What turns texts into vectors: (N, dim) float32 of length 1. Equal keys mean equal vectors."""

    @property
    def dim(self) -> int: ...

    @property
    def key(self) -> str: ...

    def encode(self, texts: Sequence[str], progress: bool = False) -> np.ndarray: ...


class BatchEncoder(QueryEncoder, Protocol):
    """An encoder that hands its vectors over as they come, so that an interrupted run keeps them."""

    def batches(self, texts: Sequence[str], progress: bool = False) -> Iterator[tuple[list[int], np.ndarray]]: ...


class CachedEncoder:
    """An encoder that computes each text once, ever; the inner encoder loads its weights only when a text is new."""

    def __init__(self, encoder: BatchEncoder, folder: str | Path) -> None:
        self.encoder = encoder
        self.folder = Path(folder)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.encoder.dim

    @property
    def key(self) -> str:
        """The inner encoder's: a cache changes no vector."""
        return self.encoder.key

    @property
    def path(self) -> Path:
        """The file of this encoder."""
        return self.folder / f"{hashlib.sha256(self.key.encode()).hexdigest()[:16]}.sqlite"

    def encode(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Return (N, dim) float32 vectors, from the file where it has them.

        A damaged file or row is thrown away with a warning and computed again. Raises `InputError` where the folder
        cannot be written.
        """
        if isinstance(texts, str):
            raise TypeError("expected a sequence of texts, got one text")
        hashes = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        found = self._read(set(hashes))
        new = {digest: text for digest, text in zip(hashes, texts, strict=True) if digest not in found}
        if new:
            if len(new) >= SILENT:
                LOG.info("encoding %d new texts of %d", len(new), len(set(hashes)))
            digests, missing = list(new), list(new.values())
            for rows, vectors in self.encoder.batches(missing, progress):
                batch = {digests[row]: vector for row, vector in zip(rows, vectors, strict=True)}
                self._write(batch)
                found.update(batch)
        if not hashes:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.stack([found[digest] for digest in hashes])

    def _read(self, digests: set[bytes]) -> dict[bytes, np.ndarray]:
        def work(db: sqlite3.Connection) -> dict[bytes, np.ndarray]:
            found: dict[bytes, np.ndarray] = {}
            damaged = []
            for digest in digests:
                row = db.execute("SELECT vector, checksum FROM vectors WHERE text = ?", (digest,)).fetchone()
                if row is None:
                    continue
                vector, checksum = row
                if isinstance(vector, bytes) and len(vector) == 4 * self.dim and zlib.crc32(vector) == checksum:
                    found[digest] = np.frombuffer(vector, dtype="<f4")
                else:
                    damaged.append((digest,))
            if damaged:
                LOG.warning("%s: %d damaged vectors are thrown away and computed again", self.path, len(damaged))
                db.executemany("DELETE FROM vectors WHERE text = ?", damaged)
            return found

        return self._transaction(work)

    def _write(self, batch: dict[bytes, np.ndarray]) -> None:
        blobs = [(digest, np.asarray(vector, dtype="<f4").tobytes()) for digest, vector in batch.items()]
        rows = [(digest, blob, zlib.crc32(blob)) for digest, blob in blobs]
        self._transaction(lambda db: db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows))

    def _transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do `work` in one transaction; where the file is damaged, throw it away and do it in a new one."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                return _within(self.path, work)
            except sqlite3.DatabaseError as err:
                if getattr(err, "sqlite_errorname", None) not in DAMAGED:
                    raise
                LOG.warning("%s is damaged (%s); it is thrown away and its vectors are computed again", self.path, err)
                self.path.unlink()
                self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)
                return _within(self.path, work)
        except (sqlite3.Error, OSError) as err:
            raise InputError(
                f"encoder.cache: expected a folder to keep vectors in, got {str(self.folder)!r}: {err}; "
                "free or unlock it, or give --set encoder.cache=null"
            ) from err


def _within(path: Path, work: Callable[[sqlite3.Connection], Result]) -> Result:
    db = _connect(path, check=path.absolute() not in _CHECKED)
    _CHECKED.add(path.absolute())
    with contextlib.closing(db), db:
        return work(db)


def _connect(path: Path, check: bool) -> sqlite3.Connection:
    """Return a connection to a file of the right format; `check` reads all of it. `sqlite3.DatabaseError` otherwise."""
    db = sqlite3.connect(path, timeout=WAIT_SECONDS)
    try:
        # No waiting for the disk: a batch is whole or absent whatever happens to the process, and after a power cut
        # the checks below find what is broken. Waiting would cost 50 ms a batch.
        db.execute("PRAGMA synchronous = OFF")
        db.execute(TABLE)
        if check and db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise _damage("its pages do not fit together")
        if [column[1] for column in db.execute("PRAGMA table_info(vectors)")] != ["text", "vector", "checksum"]:
            raise _damage("its table has other columns")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _damage(what: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error
