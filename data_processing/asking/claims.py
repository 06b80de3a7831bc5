"""Which process asks which call, so that two processes with one store pay no call twice.

A claim is a row that names a process by host, pid and start time. Claims of a process that has ended lapse at once,
also where its pid has been given to another. A process of another host cannot be looked at: its claims lapse when it
has not been heard of for `SILENCE_S`.
"""

from __future__ import annotations

import itertools
import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

SILENCE_S = 300.0
HEARTBEAT_S = 30.0
KEYS_AT_ONCE = 500  # SQLite takes a limited number of variables per statement
TABLES = (
    """CREATE TABLE processes (
        id INTEGER PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL, seen_s REAL NOT NULL
    )""",
    "CREATE TABLE claims (key TEXT PRIMARY KEY, process INTEGER NOT NULL) WITHOUT ROWID",
)

# Who asks a call: this process from now on, this process already, or another that lives.
ClaimState = Literal["own", "under_way", "elsewhere"]


class Claims:
    """The claims of this process, by the connection of a store. Every method belongs into a write transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.process: int | None = None
        self.seen_s = 0.0

    def take(self, keys: Sequence[str]) -> dict[str, ClaimState]:
        """Claim the keys and return for each who asks it: this process newly, this one already, or another."""
        self._drop_the_dead()
        if self.process is None:
            self._enter()
        held = self._holders(keys)
        free = [(key, self.process) for key in dict.fromkeys(keys) if key not in held]
        self.db.executemany("INSERT INTO claims VALUES (?, ?)", free)
        here: dict[bool, ClaimState] = {True: "under_way", False: "elsewhere"}
        return {key: here[held[key] == self.process] if key in held else "own" for key in keys}

    def release(self, keys: Iterable[str]) -> None:
        """Give up this process's claims of the keys."""
        self.db.executemany("DELETE FROM claims WHERE key = ? AND process = ?", ((key, self.process) for key in keys))

    def release_all(self) -> None:
        """Give up all claims of this process."""
        if self.process is not None:
            self._drop(self.process)
            self.process = None

    def heartbeat(self) -> None:
        """Tell other hosts that this process lives."""
        self.db.execute("UPDATE processes SET seen_s = ? WHERE id = ?", (time.time(), self.process))
        self.seen_s = time.time()

    @property
    def heartbeat_due(self) -> bool:
        """Return whether the last sign of life is old."""
        return self.process is not None and time.time() - self.seen_s > HEARTBEAT_S

    def _holders(self, keys: Sequence[str]) -> dict[str, int]:
        """Return the processes that have claimed keys, by key."""
        held: dict[str, int] = {}
        for chunk, marks in chunks(keys):
            held.update(self.db.execute(f"SELECT key, process FROM claims WHERE key IN ({marks})", chunk))
        return held

    def _enter(self) -> None:
        self.seen_s = time.time()
        row = (socket.gethostname(), os.getpid(), started(os.getpid()), self.seen_s)
        cursor = self.db.execute("INSERT INTO processes (host, pid, started, seen_s) VALUES (?, ?, ?, ?)", row)
        self.process = cursor.lastrowid

    def _drop_the_dead(self) -> None:
        rows = self.db.execute("SELECT id, host, pid, started, seen_s FROM processes").fetchall()
        for process, host, pid, start, seen_s in rows:
            if process == self.process:
                continue
            here = host == socket.gethostname()
            if started(pid) != start if here else time.time() - seen_s > SILENCE_S:
                self._drop(process)

    def _drop(self, process: int) -> None:
        self.db.execute("DELETE FROM claims WHERE process = ?", (process,))
        self.db.execute("DELETE FROM processes WHERE id = ?", (process,))


def chunks(keys: Iterable[str]) -> Iterator[tuple[list[str], str]]:
    """Yield some keys at a time and as many question marks."""
    rest = iter(keys)
    while chunk := list(itertools.islice(rest, KEYS_AT_ONCE)):
        yield chunk, ", ".join("?" * len(chunk))


def started(pid: int) -> str:
    """Return when a process of this host started, in words that only compare; empty where there is none."""
    if Path("/proc/self/stat").exists():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        fields = stat.rpartition(")")[2].split()  # the command before may hold blanks and brackets
        return "" if fields[0] in "ZX" else fields[19]
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip()
