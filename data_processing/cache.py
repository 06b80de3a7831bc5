"""The store of everything that was asked: one SQLite file, one row per call, so that nothing is paid twice.

SQLite in WAL mode with `synchronous=NORMAL`: a commit is in the hands of the operating system, not yet on the disk. A
process that is killed therefore loses nothing that was committed. A power cut may lose the last commits, never the
file; what is lost is asked again. `FULL` would cost a disk write per commit and save nothing more from `kill -9`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

from configs.errors import InputError
from data_processing.asking import claims
from data_processing.llm_client import Call, CallError, Completion, ErrorKind

APPLICATION = 0x524F5554  # "ROUT", by which the file is known as ours
VERSION = 1
PUT_ASIDE = "put it aside with its -wal and -shm, if any, and run again (its answers will be asked again)"
WAIT_S = 60.0  # for another process that is writing
TABLES = (
    """CREATE TABLE calls (
        key TEXT PRIMARY KEY,
        llm_id TEXT NOT NULL,
        api_model TEXT NOT NULL,
        messages TEXT NOT NULL,
        parameters TEXT NOT NULL,
        asked_at_s REAL NOT NULL,
        text,
        input_tokens INTEGER,
        output_tokens INTEGER,
        estimated INTEGER,
        latency_s REAL,
        cost_usd REAL,
        finish_reason TEXT,
        error_kind TEXT,
        error_message TEXT,
        attempts INTEGER NOT NULL,
        failed_usd REAL NOT NULL
    )""",
    *claims.TABLES,
)
# An answer replaces an error, an error replaces an error, and nothing replaces an answer.
PUT = """INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET asked_at_s = excluded.asked_at_s, text = excluded.text,
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, estimated = excluded.estimated,
    latency_s = excluded.latency_s, cost_usd = excluded.cost_usd, finish_reason = excluded.finish_reason,
    error_kind = excluded.error_kind, error_message = excluded.error_message,
    attempts = attempts + excluded.attempts, failed_usd = failed_usd + excluded.failed_usd
    WHERE error_kind IS NOT NULL"""

# Where a call stands for a process that would ask it: answered, failed since this run began, or who asks it.
State = Literal["answered", "failed"] | claims.ClaimState


class Outcome(NamedTuple):
    """What became of a call. `failed_usd`: US dollars that attempts without an answer cost on the way."""

    call: Call
    result: Completion | CallError
    failed_usd: float = 0.0


class ResponseStore:
    """The store in the file `path`; a context manager, for one thread. Two processes may use one file.

    Every method raises `InputError` where the file cannot be read or written; what was committed before stays.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._db: sqlite3.Connection | None = None
        self._claims: claims.Claims | None = None

    def __enter__(self) -> ResponseStore:
        with self._explained():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
            try:
                _prepare(db, self.path)
            except BaseException:
                db.close()
                raise
        self._db, self._claims = db, claims.Claims(db)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        self._db = self._claims = None

    @property
    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise RuntimeError(f"{self.path}: the store is used outside its `with` block")
        return self._db

    @property
    def _held(self) -> claims.Claims:
        if self._claims is None:
            raise RuntimeError(f"{self.path}: the store is used outside its `with` block")
        return self._claims

    def get(self, key: str) -> Completion | None:
        """Return the answer to a call by its `Call.key`, None where there is none (yet)."""
        columns = "text, input_tokens, output_tokens, latency_s, estimated, finish_reason"
        with self._explained():
            row = self._open.execute(
                f"SELECT {columns} FROM calls WHERE key = ? AND error_kind IS NULL", (key,)
            ).fetchone()
        if row is None:
            return None
        return Completion(_read_text(row[0]), row[1], row[2], row[3], bool(row[4]), _read_text(row[5]))

    def error(self, key: str) -> tuple[ErrorKind, str] | None:
        """Return kind and message of a call's last failure, None once it is answered."""
        query = "SELECT error_kind, error_message FROM calls WHERE key = ? AND error_kind IS NOT NULL"
        with self._explained():
            row = self._open.execute(query, (key,)).fetchone()
        return None if row is None else (row[0], _read_text(row[1]))

    def known(self, keys: Iterable[str]) -> set[str]:
        """Return those of the keys that are answered."""
        return {key for key, kind, _ in self._states(keys) if kind is None}

    def spent_usd(self, keys: Iterable[str] | None = None) -> float:
        """Return US dollars for the calls of these keys (None: all), with what failures are known to have cost."""
        total = "SELECT COALESCE(SUM(COALESCE(cost_usd, 0) + failed_usd), 0) FROM calls"
        with self._explained():
            if keys is None:
                return float(self._open.execute(total).fetchone()[0])
            found = 0.0
            for chunk, marks in claims.chunks(dict.fromkeys(keys)):
                found += self._open.execute(f"{total} WHERE key IN ({marks})", chunk).fetchone()[0]
            return found

    def put(self, call: Call, completion: Completion) -> None:
        """Keep an answer."""
        self.put_all([Outcome(call, completion)])

    def put_error(self, call: Call, error: CallError) -> None:
        """Keep what went wrong, unless the call is answered."""
        self.put_all([Outcome(call, error)])

    def put_all(self, outcomes: Sequence[Outcome]) -> None:
        """Keep what became of several calls, all or none of them, and give up their claims."""
        rows = [_row(outcome) for outcome in outcomes]
        with self._writing():
            self._open.executemany(PUT, rows)
            self._held.release(row[0] for row in rows)
            if self._held.heartbeat_due:
                self._held.heartbeat()

    def claim(self, keys: Sequence[str], since_s: float) -> dict[str, State]:
        """Claim the calls that are to be asked, and return where each stands; `own` are those to ask now.

        Calls that failed before `since_s` (Unix time) are asked again, later failures are not.
        """
        with self._writing():
            found: dict[str, Literal["answered", "failed"]] = {}
            for key, kind, asked_at_s in self._states(keys):
                if kind is None or asked_at_s >= since_s:
                    found[key] = "answered" if kind is None else "failed"
            claimed = self._held.take([key for key in keys if key not in found])
            return {key: found[key] if key in found else claimed[key] for key in keys}

    def release_claims(self) -> None:
        """Give up the claims of calls that were not asked."""
        with self._writing():
            self._held.release_all()

    def heartbeat(self) -> None:
        """Let claims live on while nothing is stored for long."""
        if self._held.heartbeat_due:
            with self._writing():
                self._held.heartbeat()

    def _states(self, keys: Iterable[str]) -> list[tuple[str, ErrorKind | None, float]]:
        with self._explained():
            return [
                row
                for chunk, marks in claims.chunks(keys)
                for row in self._open.execute(
                    f"SELECT key, error_kind, asked_at_s FROM calls WHERE key IN ({marks})", chunk
                )
            ]

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction. It is immediate: one that turned from reading to writing could not wait for others."""
        with self._explained():
            self._open.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._open.execute("COMMIT")
            except BaseException:
                if self._open.in_transaction:  # a full disk has rolled it back already
                    self._open.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as err:
            raise InputError(f"{self.path}: expected a store of answers that can be used, got: {_why(err)}") from err


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Check that the file is a store of this version; make it one where it is new."""
    if _marks(db, path) is None:
        _to_wal(db)
        db.execute("BEGIN IMMEDIATE")
        if _marks(db, path) is None:  # another process may have been quicker
            for table in TABLES:
                db.execute(table)
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    db.execute("PRAGMA synchronous = NORMAL")


def _marks(db: sqlite3.Connection, path: Path) -> int | None:
    """Return the version of the store, None for an empty file; `InputError` for a foreign file or a newer store."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if (application, version, tables) == (0, 0, 0):
        return None
    if application != APPLICATION:
        raise InputError(f"{path}: expected a store of answers, got another SQLite file; {PUT_ASIDE}")
    if version != VERSION:
        raise InputError(
            f"{path}: expected a store of version {VERSION}, got version {version}; use the version of this program "
            "that wrote it, or another file"
        )
    return version


def _to_wal(db: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite does not wait here as it does elsewhere when another process is opening the same file."""
    for attempt in itertools.count(1):
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as err:
            if err.sqlite_errorname != "SQLITE_BUSY" or attempt == 100:
                raise
            time.sleep(0.02)
        else:
            return


def _row(outcome: Outcome) -> tuple:
    call, result = outcome.call, outcome.result
    messages = json.dumps(call.messages)  # ASCII, so that any text fits
    asked = (call.key, call.llm_id, call.api_model, messages, json.dumps(dict(call.parameters)), time.time())
    if isinstance(result, CallError):
        failed = (result.kind, _stored_text(str(result)), result.attempts)
        return (*asked, *(None,) * 7, *failed, outcome.failed_usd)
    answer = (_stored_text(result.text), result.input_tokens, result.output_tokens, int(result.estimated))
    cost = (result.latency_s, call.cost_usd(result), _stored_text(result.finish_reason))
    return (*asked, *answer, *cost, None, None, 1, outcome.failed_usd)


def _stored_text(text: str) -> str | bytes:
    """Return text as SQLite takes it; a text with lone surrogates, which is no UTF-8, becomes a blob."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _read_text(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else stored.decode("utf-8", "surrogatepass")


def _why(error: sqlite3.Error | OSError) -> str:
    name = getattr(error, "sqlite_errorname", "")
    remedies = {
        "SQLITE_FULL": "free some space there and run again, nothing that was stored is lost",
        "SQLITE_IOERR": "free some space there or check the disk and run again, nothing that was stored is lost",
        "SQLITE_BUSY": "another process is writing to it; end that or wait",
        "SQLITE_READONLY": "allow writing to the file and its folder",
        "SQLITE_CANTOPEN": "allow writing to the folder, or name another",
        "SQLITE_CORRUPT": f"the file is damaged; {PUT_ASIDE}",
        "SQLITE_NOTADB": f"it is not a store, or a damaged one; {PUT_ASIDE}",
    }
    remedy = next((words for start, words in remedies.items() if name.startswith(start)), "check file and folder")
    return f"{error}; {remedy}"
